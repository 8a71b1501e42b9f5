"""Tags, Slurm's output, run folders, chains: what needs no cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.cluster.completion import DAMAGED, read_completion, stored_results
from auditor.cluster.estimate import estimate
from auditor.cluster.item_seconds import assumed_seconds, task_seconds
from auditor.cluster.jobs import single_job
from auditor.cluster.retry import retry
from auditor.cluster.runs import latest_run, open_run
from auditor.cluster.slurm import Limits, QueuedJob, parse_job_id, parse_limits, parse_queue
from auditor.cluster.status import take_status
from auditor.cluster.submission import plan_chain
from auditor.cluster.tags import STAGES, Tag, parse_tag, work_key
from auditor.errors import TransientError, UserError
from auditor.measuring.reference import reference_path
from auditor.planning.audit_cost import Span, pictures, reference_seconds_of, seconds_each
from auditor.planning.manifest import Manifest, write_manifest
from auditor.planning.recipes_in_force import publish_recipe, settings_key
from auditor.planning.slices import cut, write_slices
from auditor.records.result import ANY_RECIPE, AuditRecord, WorkItem
from auditor.results.result_file import Result, write_result
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve
from tests.cluster.table import FAULTS, FaultTable
from tests.synthetic_results import SyntheticWorld
from tests.work_items import make_item


def test_tags_survive_the_comment(tmp_path: Path) -> None:
    for stage in STAGES:
        tag = Tag(work_key(tmp_path), "2026-11-25", stage, "0123456789ab.40")
        assert parse_tag(str(tag)) == tag
    assert Tag("w", "r", "merge").job_name == Tag("w", "q", "merge", "abc.0").job_name, "merges run one at a time"
    assert Tag("w", "r", "audit", "abc.0").job_name != Tag("w", "r", "audit", "abd.0").job_name


@given(st.text(max_size=80))
def test_foreign_comments_are_no_tags(comment: str) -> None:
    assert parse_tag(comment) is None or comment.strip().startswith("auditor:")


def test_queue_lines_of_others_are_left_out() -> None:
    text = (
        "17|3|RUNNING|None|any|auditor:w:r:audit:abc.0\n"
        "17|N/A|PENDING|Dependency|any|auditor:w:r:merge:-\n"
        "18|N/A|RUNNING|None|x|(null)\n19|1|RUNNING|None|a|b|c\nslurm_load_jobs error\n\n20|N/A|R\n"
    )
    assert list(parse_queue(text)) == [
        QueuedJob("17", 3, "RUNNING", "None", Tag("w", "r", "audit", "abc.0")),
        QueuedJob("17", None, "PENDING", "Dependency", Tag("w", "r", "merge")),
    ]


@given(st.text(max_size=200))
def test_parsers_take_any_text(text: str) -> None:
    list(parse_queue(text))
    parse_limits(text)
    assert (parse_job_id(text) or "0").isdecimal()


def test_job_ids_and_limits() -> None:
    assert parse_job_id("17\n") == parse_job_id("sbatch: warning: x\n17;cluster\n") == "17"
    assert parse_job_id("Submitted nothing") is None
    assert parse_limits("MaxArraySize            = 11\nMaxJobCount = 60\n") == Limits(11, 60)
    assert parse_limits("") == Limits(1001, 10_000)


@pytest.fixture
def settings(tmp_path: Path, repository: Path) -> Settings:
    wanted = ("cluster.items_per_task=4", f"cluster.scripts={repository / 'slurm'}", "cluster.array_limit=6")
    return resolve(config=None, profile="pocket", work_dir=tmp_path, overrides=wanted).settings


def publish(settings: Settings, item: WorkItem, outcome: str, reason: str | None) -> Path:
    record = AuditRecord(
        item=item,
        file_sha256=str(item.file_sha256),
        recipe_id=ANY_RECIPE,
        outcome=outcome,
        reason=reason,
        message="-",
        base_name=None,
    )  # type: ignore[arg-type]
    return write_result(Workspace(settings.work.dir).results, Result(record, {}))


def test_frozen_settings_are_the_settings(settings: Settings) -> None:
    run = open_run(settings, "night")
    run.freeze(settings)
    assert resolve(config=run.config, environment={}).settings == settings
    assert latest_run(settings) == run
    with pytest.raises(UserError, match="cannot name a run"):
        open_run(settings, "../x")


def test_jobs_find_what_was_given_relative_to_where_submit_was_typed(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (typed_in := tmp_path / "checkout").mkdir()
    (typed_in / "slurm").symlink_to(repository / "slurm")
    (typed_in / "mine.json").write_text((repository / "auditor/lexicons/pocket-1.json").read_text())
    monkeypatch.chdir(typed_in)
    relative = (
        "catalog.path=db/c.duckdb",
        "export.dir=pages",
        "hub.serve_folder=repos",
        "recipe.lexicon=mine.json",
        "recipe.encoder.path=clip",
        "recipe.bases.pocket.path=base",
    )
    settings = resolve(profile="pocket", work_dir=Path("work"), overrides=relative, environment={}).settings
    assert str(settings.cluster.scripts) == "slurm"
    run, key = open_run(settings, "night"), settings_key(settings)
    run.freeze(settings)
    monkeypatch.chdir(tmp_path)
    frozen = resolve(config=run.config, environment={}).settings
    assert single_job(frozen, run, "merge").script == typed_in / "slurm" / "merge.sbatch"
    assert (frozen.work.dir, frozen.catalog_path) == (typed_in / "work", typed_in / "db" / "c.duckdb")
    assert (frozen.export_dir, frozen.hub.serve_folder) == (typed_in / "pages", typed_in / "repos")
    assert frozen.recipe.lexicon == str(typed_in / "mine.json") and frozen.recipe.probes == "pocket-1"
    assert frozen.recipe.encoder.path == typed_in / "clip"
    assert frozen.recipe.bases["pocket"].path == typed_in / "base"
    assert settings_key(frozen) == key


def test_requeues_are_counted_on_disk(settings: Settings) -> None:
    run = open_run(settings, "night")
    assert [run.count_requeue("audit.abc.0.1", 2) for _ in range(4)] == [True, True, False, False]
    assert run.count_requeue("audit.abc.0.2", 2)
    run.forget_requeues()
    assert run.count_requeue("audit.abc.0.1", 2)


def test_a_chain_takes_what_is_neither_done_nor_held(settings: Settings) -> None:
    wanted = [make_item(n) for n in range(20)]
    write_manifest(Workspace(settings.work.dir).manifest, Manifest(tuple(wanted), ()))
    publish(settings, wanted[0], "quarantined", "corrupt_file")
    publish(settings, wanted[1], "failed", "download_failed")  # passing: to be done again
    run = open_run(settings, "night")
    held = cut(wanted[2:6], 2)
    stored = write_slices(Workspace(settings.work.dir).slices, held)
    queue = [QueuedJob("7", n, "PENDING", "None", Tag(run.key, "yesterday", "audit", f"{stored}.0")) for n in (0, 1)]
    chain = plan_chain(settings, run, queue, Limits(11, 1000), 2)
    assert {i.key for i in chain.items} == {wanted[n].key for n in (1, *range(6, 20))}
    assert [(job.tag.stage, job.tasks) for job in chain.jobs][:2] == [("prefetch", 1), ("audit", 4)]
    assert (chain.held, chain.left_out) == (4, 0)
    status = take_status(settings, run, queue)
    assert (status.wanted, status.done, status.held, status.unsubmitted) == (20, 1, 4, 15)
    assert status.failed == {"download_failed": 1}


def test_arrays_are_split_where_the_site_ends_and_share_the_throttle(settings: Settings) -> None:
    wanted = tuple(make_item(n) for n in range(100))  # 25 slices
    write_manifest(Workspace(settings.work.dir).manifest, Manifest(wanted, ()))
    run = open_run(settings, "night")
    chain = plan_chain(settings, run, [], Limits(11, 1000), 0)
    arrays = [job for job in chain.jobs if job.tag.stage == "audit"]
    assert [next(o for o in job.command({}) if o.startswith("--array")) for job in arrays] == [
        "--array=0-10%2",
        "--array=0-10%2",
        "--array=0-2%2",
    ]
    assert [job.arguments[-1] for job in arrays] == ["0", "11", "22"]
    ids = {job.tag: str(n) for n, job in enumerate(chain.jobs)}
    merge = next(job for job in chain.jobs if job.tag.stage == "merge")
    assert "--dependency=afterany:1:2:3,singleton" in merge.command(ids)
    full = plan_chain(settings, run, [], Limits(11, 30), 10)  # room for a few only
    assert (len(full.slices), full.left_out) == (13, 12)
    with pytest.raises(TransientError, match="queue is full"):
        plan_chain(settings, run, [], Limits(11, 30), 29)


def test_the_index_follows_the_files(settings: Settings) -> None:
    workspace = Workspace(settings.work.dir)
    path = publish(settings, make_item(1), "failed", "poison")
    assert stored_results(workspace)[path.name][:2] == ("failed", "poison")
    publish(settings, make_item(1), "skipped", "gated")
    assert stored_results(workspace)[path.name][:2] == ("skipped", "gated")
    path.write_bytes(path.read_bytes()[:40])
    assert stored_results(workspace)[path.name].outcome == DAMAGED
    (workspace.root / "results-index.json").write_text("[]")
    path.unlink()
    assert not stored_results(workspace)


def test_retry_moves_results_aside_and_the_items_are_wanted_again(settings: Settings) -> None:
    wanted = tuple(make_item(n) for n in range(3))
    write_manifest(Workspace(settings.work.dir).manifest, Manifest(wanted, ()))
    poison = publish(settings, wanted[0], "failed", "poison")
    publish(settings, wanted[1], "skipped", "gated")
    assert retry(settings, "poison", dry_run=True).results == (poison,)
    assert len(read_completion(settings).done) == 2
    done = retry(settings, "poison", dry_run=False)
    assert [path.name for path in done.moved_to.iterdir()] == [poison.name]
    assert set(read_completion(settings).done) == {wanted[1]}


def test_the_page_on_reliability_tells_of_every_fault(repository: Path) -> None:
    assert list(FaultTable(repository / "docs" / "reliability.md").rows()) == list(FAULTS)


def test_an_estimate_counts_the_reference_until_it_is_made(settings: Settings) -> None:
    bases = settings.recipe.bases
    big = {"flux": bases["pocket"].model_copy(update={"family": "flux1"})}
    settings = settings.model_copy(
        update={
            "recipe": settings.recipe.model_copy(update={"bases": bases | big}),
            "cluster": settings.cluster.model_copy(update={"gpus_per_task": 1}),
        }
    )
    item = make_item(1).model_copy(update={"base_name": "flux"})
    write_manifest(Workspace(settings.work.dir).manifest, Manifest((item,), ()))
    chain = plan_chain(settings, open_run(settings, "night"), (), Limits(11, 1000), 2)
    inventory = read_completion(settings)
    flux = settings.recipe.bases["flux"]
    count = 2 * settings.recipe.probe_count + 41 * settings.recipe.solver.image_probes
    audit = seconds_each(flux, pictures(settings.recipe, "plain")) + Span(60, 60)
    reference = reference_seconds_of(flux, count)
    found = estimate(settings, chain, inventory)
    assert found.gpu_hours_low * 3600 == pytest.approx(audit.least + reference)
    assert found.gpu_hours_high * 3600 == pytest.approx(audit.most + reference)
    recipe = SyntheticWorld(settings.work.dir).recipe.model_copy(update={"base_name": "flux"})
    publish_recipe(settings, recipe)
    path = reference_path(Workspace(settings.work.dir).reference, recipe)
    path.parent.mkdir()
    path.write_bytes(b"as if it were made")
    assert estimate(settings, chain, inventory).gpu_hours * 3600 == pytest.approx(audit.middle)


def test_a_task_holds_what_it_can_do_within_its_time_limit(settings: Settings) -> None:
    items = [make_item(n).model_copy(update={"trigger": "ohwx" if n % 5 == 0 else None}) for n in range(200)]
    write_manifest(Workspace(settings.work.dir).manifest, Manifest(tuple(items), ()))
    cluster = settings.cluster.model_copy(update={"items_per_task": 1000, "time_limit": "00:10:00", "warning_s": 120})
    short = settings.model_copy(update={"cluster": cluster})
    assert task_seconds(short, "pocket") == 600 - 120 - 60 - 60
    slices = plan_chain(short, open_run(short, "night"), (), Limits(1000, 1000), 2).slices
    spent = [sum(assumed_seconds(short, item).most for item in part) for part in slices]
    assert len(slices) > 1 and max(spent) <= task_seconds(short, "pocket")
    assert sum(map(len, slices)) == 200
    day = cluster.model_copy(update={"time_limit": "2-00:00:00"})
    assert task_seconds(short.model_copy(update={"cluster": day}), "pocket") == 2 * 86400 - 240
    long = short.model_copy(update={"cluster": day})
    assert len(plan_chain(long, open_run(long, "night"), (), Limits(1000, 1000), 2).slices) == 1
