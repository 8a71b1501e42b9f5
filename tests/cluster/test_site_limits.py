"""Sites with rules of their own: submit limits, no arrays, no look at the configuration, comments rewritten."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.cluster.runs import Run, open_run
from auditor.cluster.slurm import Limits, QueuedJob, Slurm, SubmitLimitReached, parse_limits, parse_queue
from auditor.cluster.submission import go_on, held_items, plan_chain, resume
from auditor.cluster.tags import STAGES, UNKNOWN, Tag, parse_tag
from auditor.errors import TransientError, UserError
from auditor.planning.manifest import Manifest, write_manifest
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve
from tests.cluster.test_run_chain import publish
from tests.work_items import make_item

TASKS = re.compile(r"--array=0-(\d+)%\d+")


class LimitedSlurm(Slurm):
    """A queue that holds `limit` jobs and array tasks, and shows them as the site shows them."""

    def __init__(self, limit: int, site: Limits | None = None, *, comments: bool = True) -> None:
        super().__init__()
        self.limit, self.site, self.comments = limit, site or Limits(1001, 10_000), comments
        self.jobs: list[tuple[list[str], int, bool]] = []

    def submit(self, command: Sequence[str]) -> str:
        words = list(command)
        found = next((TASKS.fullmatch(word) for word in words if word.startswith("--array")), None)
        tasks = int(found[1]) + 1 if found else 1
        if sum(count for _, count, _ in self.jobs) + tasks > self.limit:
            raise SubmitLimitReached("QOSMaxSubmitJobPerUserLimit")
        self.jobs.append((words, tasks, found is not None))
        return str(len(self.jobs))

    def queue(self) -> tuple[QueuedJob, ...]:
        lines = []
        for number, (words, tasks, array) in enumerate(self.jobs, start=1):
            name, comment = (next(w for w in words if w.startswith(p)).partition("=")[2] for p in ("--job-n", "--com"))
            shown = comment if self.comments else "billed to project 7"
            lines += [f"{number}|{i if array else 'N/A'}|PENDING|None|{name}|{shown}" for i in range(tasks)]
        return tuple(parse_queue("\n".join(lines)))

    def jobs_of_all(self) -> int:
        return sum(count for _, count, _ in self.jobs)

    def limits(self) -> Limits:
        return self.site

    def stages(self) -> list[tuple[str, int]]:
        return [(Path(next(w for w in words if w.endswith(".sbatch"))).stem, tasks) for words, tasks, _ in self.jobs]


@pytest.fixture
def settings(tmp_path: Path, repository: Path) -> Settings:
    wanted = ("cluster.items_per_task=1", f"cluster.scripts={repository / 'slurm'}", "cluster.array_limit=6")
    return resolve(config=None, profile="pocket", work_dir=tmp_path, overrides=wanted, environment={}).settings


@pytest.fixture
def run(settings: Settings) -> Run:
    write_manifest(Workspace(settings.work.dir).manifest, Manifest(tuple(make_item(n) for n in range(40)), ()))
    return open_run(settings, "night")


def audited(settings: Settings, slurm: LimitedSlurm, run: Run) -> set[str]:
    """Do what the queued audits hold; the queue is empty afterwards."""
    held = held_items(settings, run, slurm.queue())
    for number in range(40):
        if make_item(number).key in held:
            publish(settings, make_item(number), "skipped", "gated")
    slurm.jobs.clear()
    return {key[0] for key in held}


@pytest.mark.parametrize("limit", [9, 12, 25, 43, 44, 200])
@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("comments", [False, True])
def test_a_submit_limit_makes_a_window_that_rolls(
    settings: Settings, run: Run, limit: int, told: bool, comments: bool
) -> None:
    if told:
        cluster = settings.cluster.model_copy(update={"submit_limit": limit})
        settings = settings.model_copy(update={"cluster": cluster})
    slurm, done = LimitedSlurm(limit, comments=comments), list[str]()
    for _ in range(40):
        try:
            submitted = go_on(settings, run, slurm)
        except SubmitLimitReached:  # the arrays left no room for the merge: the next call has it
            done += audited(settings, slurm, run)
            continue
        before = len(slurm.jobs)
        assert {"prefetch", "audit", "merge", "export"} <= {stage for stage, _ in slurm.stages()} or done
        with_same = go_on(settings, run, slurm) if not submitted.left_out else None
        assert with_same is None or (not with_same.new and len(slurm.jobs) == before)
        done += audited(settings, slurm, run)
        if not submitted.left_out:
            break
    assert sorted(done) == sorted(make_item(n).key[0] for n in range(40)), "each once, none lost"


def test_a_limit_of_size_or_time_is_said(settings: Settings, run: Run) -> None:
    """Slurm words it as it words a limit of number."""

    class Strict(LimitedSlurm):
        def submit(self, command: Sequence[str]) -> str:
            if any(word.endswith("audit.sbatch") for word in command):
                raise SubmitLimitReached("job submit limit, user's size and/or time limits")
            return super().submit(command)

    said = go_on(settings, run, Strict(100)).note
    assert "size and/or time" in said and "cluster.time_limit" in said
    assert not go_on(settings, open_run(settings, "other"), LimitedSlurm(100)).note


def test_one_plan_is_prefetched_once(settings: Settings, run: Run) -> None:
    slurm = LimitedSlurm(20)
    assert go_on(settings, run, slurm).left_out
    slurm.limit = 1_000
    assert not resume(settings, run, slurm).left_out
    assert [stage for stage, _ in slurm.stages()].count("prefetch") == 1


def test_items_that_fail_every_time_do_not_go_round_for_ever(settings: Settings, run: Run) -> None:
    slurm = LimitedSlurm(20)
    assert go_on(settings, run, slurm).left_out
    slurm.jobs.clear()  # everything failed, nothing was published
    again = go_on(settings, run, slurm)
    assert not again.new and "still do" in again.note
    assert resume(settings, run, slurm).new


def test_a_site_without_arrays_gets_plain_jobs(settings: Settings, run: Run) -> None:
    slurm = LimitedSlurm(1_000, parse_limits("MaxArraySize            = 0\nMaxJobCount = 10000\n"))
    go_on(settings, run, slurm)
    assert not any(array for _, _, array in slurm.jobs)
    assert [stage for stage, _ in slurm.stages()].count("audit") == 40
    assert len(held_items(settings, run, slurm.queue())) == 40
    assert not any("%a" in word for words, _, _ in slurm.jobs for word in words)
    assert not go_on(settings, run, slurm).new


def test_a_hidden_configuration_means_slurms_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def scontrol(body: str) -> Slurm:
        program = tmp_path / "scontrol"
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        return Slurm()

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert scontrol("echo 'Access/permission denied' >&2; exit 1").limits() == Limits(1001, 10_000)
    assert scontrol("exit 127").limits() == Limits(1001, 10_000)
    with pytest.raises(TransientError):
        scontrol("echo 'Unable to contact slurm controller' >&2; exit 1").limits()


@pytest.mark.parametrize(
    "words",
    [
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
        "QOSMaxSubmitJobPerUserLimit",
        "AssocMaxSubmitJobLimit",
        "AssocGrpSubmitJobsLimit",
        "QOSGrpSubmitJobsLimit",
    ],
)
def test_a_submit_limit_is_told_from_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    (program := tmp_path / "sbatch").write_text(f'#!/bin/sh\necho "sbatch: error: $*{words}" >&2; exit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SubmitLimitReached):
        Slurm().submit(["sbatch"])
    program.write_text("#!/bin/sh\necho 'sbatch: error: Invalid qos specification' >&2; exit 1\n")
    with pytest.raises(UserError, match="Invalid qos"):
        Slurm().submit(["sbatch"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_job_is_known_by_its_name_where_its_comment_is_gone(stage: str) -> None:
    tag = Tag("0a1b2c3d", "night", stage, "0123456789ab.40")  # type: ignore[arg-type]
    for comment in ("", "(null)", "billed to project 7", "auditor"):
        known = parse_tag(comment, tag.job_name)
        assert known is not None and known.run == UNKNOWN and known.matches(tag) and tag.matches(known)
        assert not known.matches(tag._replace(work="ffffffff"))
    for comment in (str(tag), f"{tag};site=7", f"site: {tag}", f"[{tag}]"):
        assert parse_tag(comment, "other") == tag


@given(st.text(max_size=60), st.text(max_size=60))
def test_names_and_comments_of_others_are_not_ours(comment: str, name: str) -> None:
    assert parse_tag(comment, name) is None or "auditor" in comment + name


def test_a_site_has_its_way(settings: Settings, run: Run) -> None:
    wanted = settings.cluster.model_copy(
        update={
            "memory_gb": 0,
            "cpu_memory_gb": 0,
            "options": settings.cluster.options.model_copy(update={"audit": ("--qos=long", "--mem-per-cpu=4G")}),
        }
    )
    chain = plan_chain(settings.model_copy(update={"cluster": wanted}), run, (), Limits(1001, 10_000), 0)
    lines = {job.tag.stage: job.command({}) for job in chain.jobs}
    assert lines["audit"].index("--qos=long") < next(i for i, w in enumerate(lines["audit"]) if w.endswith(".sbatch"))
    assert not any(word.startswith("--mem=") for line in lines.values() for word in line)
    assert not any("--qos" in word for stage, line in lines.items() if stage != "audit" for word in line)
    usual = plan_chain(settings, run, (), Limits(1001, 10_000), 0)
    assert all(any(word.startswith("--mem=") for word in job.command({})) for job in usual.jobs)
