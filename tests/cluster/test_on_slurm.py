"""A night on a real Slurm, and what breaks there: every end state equals that of an undisturbed run.

The faults are tried beside each other, because most of their time is waiting.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from auditor.cluster.slurm import Limits, parse_limits
from tests.audit.conftest import World
from tests.cluster.conftest import Planned, Undisturbed, read_catalog, snapshot
from tests.cluster.rig import Rig
from tests.cluster.site import RUN, Site, alive, has_pending
from tests.cluster.table import FaultTable

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

AT_ONCE = 3
ONE_TASK = ("cluster.items_per_task=100",)
TWO_TASKS = ("cluster.items_per_task=5",)
Seen = dict[str, str]


@dataclass(frozen=True)
class Stage:
    """What a scenario is played on."""

    planned: Planned
    undisturbed: Undisturbed
    rig: Rig
    start_rig: Callable[[str], Rig]
    folder: Path
    repository: Path

    def site(self, name: str, *overrides: str, rig: Rig | None = None) -> Site:
        """A fresh copy of the plan."""
        common = (f"cluster.scripts={self.repository / 'slurm'}", "cluster.cpus_per_task=1", "cluster.array_limit=2")
        return Site(rig or self.rig, self.planned.copy(self.folder / name, *common, *overrides))


def a_whole_night(stage: Stage) -> Seen:
    """Crawl, prefetch, plan, an array of five tasks, proposals, merge, export; started three times."""
    made = stage.site("night", "cluster.items_per_task=2", "serving.when=deferred")
    for name in ("crawl", "manifest", "files"):
        shutil.rmtree(made.world.work / name)
    lines = made.auditor("submit", "--dry-run", "--run", RUN).splitlines()
    assert lines[0].startswith("sbatch --parsable --job-name=auditor-crawl-")
    assert not made.jobs()
    for _ in range(2):
        made.auditor("submit", "--run", RUN)
    assert len(made.jobs()) == 1
    # The export comes last: before it is there, the crawl job is still submitting.
    made.rig.wait_for("chain", lambda: bool(made.jobs("audit")) and bool(made.jobs("export")), 200)
    array = set(made.jobs())
    made.auditor("plan")
    assert "lacks nothing" in made.auditor("submit", "--resume", "--run", RUN)
    assert "in the queue already" in made.auditor("submit", "--run", RUN)
    assert set(made.jobs()) <= array
    status = made.status()
    assert (status["wanted"], status["unsubmitted"]) == (9, 0)
    made.drain()
    made.must_equal(stage.undisturbed)
    assert read_catalog(made.world) == stage.undisturbed.catalog
    status = made.status()
    assert (status["done"], status["held_by_queued_tasks"], status["unsubmitted"]) == (9, 0, 0)
    assert "is finished" in made.auditor("submit", "--run", RUN)
    assert re.search(r"vibrant 0\.\d\d", made.auditor("search", "vibrant"))
    tasks = len(list((made.world.work / "runs" / RUN / "slurm").glob("audit-*")))
    assert tasks >= 4
    return {
        "submission repeated": "four calls: one crawl, one array, one merge",
        "new plan while an array is queued": "nothing submitted again; results and catalog equal",
    }


def cancelled(stage: Stage) -> Seen:
    """First one task, then the whole array."""
    made = stage.site("cancelled", *TWO_TASKS)
    made.resume_audits_only()
    made.wait_for_results()
    running = [job for job, state in made.jobs("audit").items() if state == "RUNNING"]
    made.rig.run("scancel", running[0])
    made.drain()
    left = made.status()["unsubmitted"]
    assert left > 0 and made.requeues() == 0
    before = made.results()
    made.resume()
    made.rig.wait_for("worker", lambda: bool(made.workers()), 200)
    for job in {job.partition("_")[0] for job in made.jobs("audit")}:
        made.rig.run("scancel", job)
    made.drain()
    assert made.requeues() == 0, "cancelled means cancelled"
    assert made.status()["unsubmitted"] > 0
    partly = {row[0] for row in read_catalog(made.world) if row[2] == "scored"}
    assert 0 < len(partly) < len({row[0] for row in stage.undisturbed.catalog if row[2] == "scored"})
    assert made.results() >= before
    made.resume_audits_only()
    made.drain()
    made.must_equal(stage.undisturbed)
    return {
        "one task cancelled": "not requeued, counted as not submitted; after `submit --resume` all equal",
        "whole array cancelled": "catalog built from what was there; after `submit --resume` all equal",
    }


def killed_worker(stage: Stage) -> Seen:
    made = stage.site("killed", *ONE_TASK)
    made.resume_audits_only()
    os.kill(made.stop_worker(), signal.SIGKILL)
    made.drain()
    assert made.requeues() == 1
    made.must_equal(stage.undisturbed)
    return {"worker killed (-9) in its job": "requeued once by itself; all equal"}


def lost_node(stage: Stage) -> Seen:
    made = stage.site("lost", *ONE_TASK, rig=stage.start_rig("lost"))
    made.resume_audits_only()
    zombie = made.stop_worker()
    (job,) = made.jobs("audit")
    node = made.rig.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
    made.rig.kill(node)
    made.rig.wait_for("second copy", lambda: len(made.workers()) == 2, 200)
    copy = next(pid for pid in made.workers() if pid != zombie)
    os.kill(zombie, signal.SIGCONT)
    made.rig.wait_for("both to end", lambda: not alive(zombie) and not alive(copy), 300)
    made.rig.start_node(node)
    made.drain()
    made.must_equal(stage.undisturbed)
    return {"node lost: slurmd killed (-9), its worker lives on": "both ran to their end; one result each, all equal"}


def lost_controller(stage: Stage) -> Seen:
    made = stage.site("controller", *TWO_TASKS, "cluster.sbatch_timeout_s=8", rig=stage.start_rig("controller"))
    made.resume_audits_only()
    made.rig.wait_for("tasks", lambda: "RUNNING" in made.jobs("audit").values(), 200)
    made.rig.kill("slurmctld")
    made.auditor("submit", "--run", "other", code=75)
    made.rig.start_controller()
    made.drain()
    if made.status()["unsubmitted"]:
        made.resume_audits_only()
        made.drain()
    made.must_equal(stage.undisturbed)
    return {
        "slurmctld killed (-9) right after the tasks started": "all equal",
        "slurmctld down while submitting": _unsure(made),
    }


def _unsure(made: Site) -> str:
    """The controller takes the job, but sbatch says it could not be reached."""
    liar = made.world.work / "bin"
    liar.mkdir()
    (liar / "sbatch").write_text(
        f'#!/bin/bash\n{shutil.which("sbatch")} --hold "$@" >/dev/null\n'
        'echo "sbatch: error: Unable to contact slurm controller (connect failure)" >&2\nexit 1\n'
    )
    (liar / "sbatch").chmod(0o755)
    path = f"{liar}{os.pathsep}{made.rig.environment['PATH']}"
    made.auditor("submit", "--run", "other", PATH=path)
    made.auditor("submit", "--run", "other")
    jobs = made.jobs()
    assert len(jobs) == 1, jobs
    made.rig.run("scancel", *jobs)
    made.drain()
    return "exit 75; a job that was taken unseen is found by its tag: submitted once"


def preempted(stage: Stage) -> Seen:
    made = stage.site("preempted", *TWO_TASKS, rig=stage.start_rig("preempt"))
    made.resume_audits_only()
    made.wait_for_results()
    made.rig.run("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 2")
    made.rig.wait_for("preemption", lambda: "stopping after this item" in made.printed(), 60)
    made.drain()
    made.must_equal(stage.undisturbed)
    return {"preempted by another partition": "USR2 at the start of the grace time; came back, all equal"}


def warned(stage: Stage) -> Seen:
    # Slurm alone is told of the short time: a task that the settings give three minutes gets one item.
    made = stage.site("warned", *ONE_TASK, "cluster.options.audit=['--time=00:03:00']", "cluster.warning_s=60")
    made.resume_audits_only()
    pid = made.stop_worker()
    made.rig.wait_for("warning", lambda: has_pending(pid, signal.SIGUSR2), 200)
    os.kill(pid, signal.SIGCONT)
    made.rig.wait_for("requeue", lambda: made.requeues() == 1, 100)
    assert snapshot(made.world).items() <= stage.undisturbed.results.items(), "the item in hand was to be finished"
    made.drain()
    made.must_equal(stage.undisturbed)
    return {"warned before the time limit": "item in hand published, requeued once, all equal"}


def timed_out(stage: Stage) -> Seen:
    made = stage.site("limit", *ONE_TASK, "cluster.time_limit=00:01:00", "cluster.warning_s=1")
    made.resume_audits_only()
    pid = made.stop_worker(results=0)
    made.rig.wait_for("kill", lambda: not alive(pid), 200)
    made.drain()
    assert made.status()["unsubmitted"] > 0
    longer = (*made.world.overrides, "cluster.time_limit=01:00:00")
    later = Site(made.rig, World(made.world.work, made.world.hub, longer))
    later.resume_audits_only()
    later.drain()
    later.must_equal(stage.undisturbed)
    return {"killed at the time limit": "counted as not submitted; after `submit --resume` all equal"}


def put_off_for_ever(stage: Stage) -> Seen:
    made = stage.site("loop", *ONE_TASK, "cluster.requeue_limit=1")
    made.resume()
    array = next(iter(made.jobs("audit"))).partition("_")[0]
    made.rig.run("scontrol", "hold", array)
    made.rig.wait_for("prefetch", lambda: not made.jobs("prefetch"), 200)
    shutil.rmtree(made.world.work / "files")  # and the audit may not download
    made.rig.run("scontrol", "release", array)
    made.drain()
    assert made.requeues() == 1
    assert made.printed().count(" 9 put off") == 2, made.printed()
    assert "too often" in made.printed()
    assert not snapshot(made.world)
    return {"tasks that end with 75 for ever": "limit 1: ran twice, then failed with exit code 1"}


SCENARIOS: tuple[Callable[[Stage], Seen], ...] = (
    a_whole_night, timed_out, warned, lost_node, lost_controller, preempted, cancelled, put_off_for_ever, killed_worker,
)  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(
    planned: Planned,
    undisturbed: Undisturbed,
    rig: Rig,
    start_rig: Callable[[str], Rig],
    tmp_path_factory: pytest.TempPathFactory,
    repository_folder: Path,
    request: pytest.FixtureRequest,
) -> Iterator[dict[str, Future[Seen]]]:
    one_by_one = threading.Lock()

    def start(name: str) -> Rig:
        with one_by_one:
            return start_rig(name)

    stage = Stage(planned, undisturbed, rig, start, tmp_path_factory.mktemp("sites"), repository_folder)
    wanted = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {play.__name__: pool.submit(play, stage) for play in SCENARIOS if play.__name__ in wanted}


@pytest.mark.parametrize("name", [play.__name__ for play in SCENARIOS])
def test_ends_like_an_undisturbed_run(name: str, outcomes: dict[str, Future[Seen]], fault_table: FaultTable) -> None:
    for fault, seen in outcomes[name].result().items():
        fault_table.add(fault, seen)


def test_the_limits_are_those_of_the_site(rig: Rig) -> None:
    assert parse_limits(rig.run("scontrol", "show", "config")) == Limits(11, 60)
