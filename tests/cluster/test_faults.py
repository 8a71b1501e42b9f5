"""Faults that need no scheduler: processes killed at every named stage, full disks, damaged files, clocks."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pytest

from auditor.cluster.retry import retry
from auditor.common.crash_points import CRASH_POINTS, CrashPoint
from auditor.hub.crawler import listing_path
from auditor.hub.listing_file import iter_listing
from auditor.pipeline import connection, stages
from auditor.planning.manifest import read_manifest
from auditor.planning.slices import Slice, StoredSlice, write_slices
from auditor.results.result_file import list_results
from auditor.results.workspace import Workspace
from tests.audit.conftest import World
from tests.cluster.conftest import (
    Planned,
    Undisturbed,
    audit,
    catalog_rows,
    leftovers,
    read_catalog,
    snapshot,
)
from tests.cluster.forks import command, in_child, join, start_child
from tests.cluster.table import FaultTable
from tests.synthetic_results import SyntheticWorld

# `slurm` for the time and the rights they need: they run beside the tests on Slurm.
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

KILLED = -signal.SIGKILL
FEW = ("mkr/moss-lora", "grab-bag/truncated", "ana-k/harbor-lora")
LISTING: tuple[CrashPoint, ...] = ("crawl_page_stored", "plan_half_written")
DOWNLOAD: tuple[CrashPoint, ...] = ("download_begun", "download_complete", "download_stored")
REFERENCE: tuple[CrashPoint, ...] = ("reference_shard_kept", "reference_written", "reference_published")
MERGE: tuple[CrashPoint, ...] = tuple(point for point in CRASH_POINTS if point.startswith("merge_"))
ITEM = tuple(point for point in CRASH_POINTS if point not in {*LISTING, *DOWNLOAD, *REFERENCE, *MERGE})


def few(world: World, *repos: str) -> StoredSlice:
    """A slice of some repos' files, in the given order."""
    by_repo = {item.repo_id: item for item in read_manifest(Workspace(world.work).manifest).items}
    items = tuple(by_repo[repo] for repo in repos or FEW)
    return StoredSlice(write_slices(Workspace(world.work).slices, (items,)), 0)


def audit_few(world: World, part: StoredSlice) -> None:
    stages.audit(world.settings, None, part)


def expected(undisturbed: Undisturbed, world: World) -> dict[str, object]:
    """The undisturbed results of what the world has results of."""
    return {name: undisturbed.results[name] for name in snapshot(world)}


def crawl_and_plan(world: World) -> None:
    settings = world.settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        stages.plan(settings, client)


def prefetch(world: World) -> None:
    settings = world.settings
    with connection.hub(settings) as client:
        stages.prefetch(settings, client, Slice())


def test_killed_at_every_named_stage(
    planned: Planned, undisturbed: Undisturbed, fault_table: FaultTable, tmp_path: Path
) -> None:
    for point in ITEM:
        world = planned.copy(tmp_path / point)
        part = few(world)
        assert in_child(partial(audit_few, world, part), crash_at=point) == KILLED, f"{point} is never passed"
        assert in_child(partial(audit_few, world, part)) == 0, point
        assert len(snapshot(world)) == len(FEW), point
        assert snapshot(world) == expected(undisturbed, world), point
        assert leftovers(world) in ([], _stale(world)), point
    _killed_while_listing(planned, tmp_path / "listing")
    _killed_while_downloading(planned, tmp_path / "download")
    _killed_while_drawing_the_reference(planned, tmp_path / "reference")
    _killed_while_merging(tmp_path / "merge")
    fault_table.add(
        "worker killed (-9) at every named stage", f"{len(CRASH_POINTS)} stages: all equal to an undisturbed run"
    )


def _stale(world: World) -> list[str]:
    """Half-written results of the killed process: never read, under names of their own."""
    return sorted(p.name for p in Workspace(world.work).results.rglob(".*.tmp"))


def _killed_while_listing(planned: Planned, folder: Path) -> None:
    for point in LISTING:
        world = World(folder / point, planned.world.hub, planned.world.overrides)
        assert in_child(partial(crawl_and_plan, world), crash_at=point) == KILLED, point
        assert in_child(partial(crawl_and_plan, world)) == 0, point
        ours, theirs = Workspace(world.work), Workspace(planned.world.work)
        assert list(iter_listing(listing_path(ours.crawl))) == list(iter_listing(listing_path(theirs.crawl)))
        fresh = {replace(unit) for unit in read_manifest(ours.manifest).settled}
        assert fresh == {replace(unit) for unit in read_manifest(theirs.manifest).settled}


def _killed_while_downloading(planned: Planned, folder: Path) -> None:
    for point in DOWNLOAD:
        world = planned.copy(folder / point)
        shutil.rmtree(world.work / "files")
        assert in_child(partial(prefetch, world), crash_at=point) == KILLED, point
        assert in_child(partial(prefetch, world)) == 0, point
        assert blobs(world) == blobs(planned.world), point


def blobs(world: World) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (world.work / "files" / "blobs").glob("*/*")}


def _killed_while_drawing_the_reference(planned: Planned, folder: Path) -> None:
    (original,) = (planned.world.work / "reference").iterdir()
    world = planned.copy(folder)
    (world.work / "reference").unlink()
    part = few(world, "grab-bag/zeros")
    for point in REFERENCE:
        assert in_child(partial(audit_few, world, part), crash_at=point) == KILLED, point
    assert in_child(partial(audit_few, world, part)) == 0
    assert (world.work / "reference" / original.name).read_bytes() == original.read_bytes()


def _killed_while_merging(folder: Path) -> None:
    world = synthetic(folder, 420)
    whole = catalog_rows(world)
    for point in MERGE:
        world.settings.catalog_path.unlink()
        assert in_child(lambda: stages.merge(world.settings), crash_at=point) == KILLED, point
        assert world.settings.catalog_path.exists() == (point == "merge_published"), point
        assert in_child(lambda: stages.merge(world.settings)) == 0, point
        assert read_catalog(world) == whole, point
        assert not leftovers(world), point


def synthetic(folder: Path, count: int) -> World:
    """A folder of realistic results, and the world around it."""
    SyntheticWorld(folder).write(count)
    return World(folder, folder, ())


def test_an_item_that_kills_its_process(
    planned: Planned, undisturbed: Undisturbed, fault_table: FaultTable, tmp_path: Path
) -> None:
    world = planned.copy(tmp_path)
    part = few(world)
    for _ in range(3):
        assert in_child(partial(audit_few, world, part), crash_at="item_fetched") == KILLED
        assert not snapshot(world)
    assert in_child(partial(audit_few, world, part)) == 0
    outcomes = sorted((record.outcome, record.reason) for record in snapshot(world).values())
    assert outcomes == [("failed", "poison"), ("quarantined", "corrupt_file"), ("scored", None)]
    assert len(retry(world.settings, "poison", dry_run=False).results) == 1
    assert in_child(partial(audit_few, world, part)) == 0
    assert snapshot(world) == expected(undisturbed, world)
    fault_table.add("item that kills its process", "`poison` at the fourth start; after `auditor retry` all equal")


def test_copies_of_a_task_at_the_same_time(
    planned: Planned, undisturbed: Undisturbed, fault_table: FaultTable, tmp_path: Path
) -> None:
    world = planned.copy(tmp_path)
    part = few(world)
    children = [start_child(partial(audit_few, world, part)) for _ in range(4)]
    assert [join(pid) for pid in children] == [0] * 4
    assert len(snapshot(world)) == len(FEW)
    assert snapshot(world) == expected(undisturbed, world)
    assert not leftovers(world)
    fault_table.add("copies of a task at the same time", "four copies: one result each, all equal")


def test_two_merges_at_once(fault_table: FaultTable, tmp_path: Path) -> None:
    world = synthetic(tmp_path / "work", 210)
    reading, writing = os.pipe()

    def slow_merge() -> None:
        def on_results(_: int) -> None:
            os.write(writing, b".")
            if not stopped:
                stopped.append(True)
                os.kill(os.getpid(), signal.SIGSTOP)

        stopped: list[bool] = []
        stages.merge(world.settings, on_results=on_results)

    first = start_child(slow_merge)
    assert os.read(reading, 1) == b"."
    said = tmp_path / "said"
    assert in_child(command(*world.arguments, "merge"), output=said) == 75
    assert re.search(rf"process {first} ", said.read_text()), "it names the one that merges"
    os.kill(first, signal.SIGCONT)
    assert join(first) == 0
    assert read_catalog(world) == catalog_rows(synthetic(tmp_path / "alone", 210))
    fault_table.add("two merges at once", "the second ends with 75 and names the first; catalog equal")


def test_merge_killed_at_random(fault_table: FaultTable, tmp_path: Path) -> None:
    world = synthetic(tmp_path / "work", 60)
    old = catalog_rows(world)
    kept = tmp_path / "old.duckdb"
    shutil.copy(world.settings.catalog_path, kept)
    SyntheticWorld(world.work).write(420)
    began = time.monotonic()
    new = catalog_rows(synthetic(tmp_path / "undisturbed", 420))
    duration_s = time.monotonic() - began
    moments, killed = random.Random(4), 0
    for _ in range(25):
        child = start_child(lambda: stages.merge(world.settings))
        time.sleep(moments.uniform(0, duration_s))
        os.kill(child, signal.SIGKILL)
        killed += join(child) == KILLED
        seen = read_catalog(world)
        assert seen in (old, new), "half a catalog"
        if seen == new:
            shutil.copy(kept, world.settings.catalog_path)
    assert killed > 10, "most merges ended before they could be killed"
    assert catalog_rows(world) == new
    assert not leftovers(world)
    fault_table.add("merge killed (-9) at 25 random moments", "old or new catalog each time, whole; final one equal")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def test_damaged_results_are_redone(
    planned: Planned, undisturbed: Undisturbed, fault_table: FaultTable, tmp_path: Path
) -> None:
    world = planned.copy(tmp_path)
    audit(world)
    ways: list[Callable[[Path], object]] = [
        _truncate,
        _flip,
        lambda p: p.write_bytes(b""),
        lambda p: p.write_text("<html>Not found</html>"),
    ]
    scored = [p for p in list_results(Workspace(world.work).results) if undisturbed.results[p.name].outcome == "scored"]
    for damage, path in zip(ways, scored, strict=False):
        damage(path)
    report = stages.merge(world.settings)
    assert sorted(name for name, _ in report.rejected) == sorted(p.name for p in scored[:4])
    with closing(duckdb.connect(str(world.settings.catalog_path), read_only=True)) as connection:
        reasons = connection.execute("SELECT count(DISTINCT reason) FROM rejected_results").fetchone()
    assert reasons is not None and reasons[0] >= 3
    assert report.pending >= 4
    audit(world)
    assert snapshot(world) == undisturbed.results
    rows = catalog_rows(world)
    assert rows == undisturbed.catalog
    fault_table.add("result file truncated, emptied, bit-flipped, foreign", "four set aside, then all equal")


def test_clock_stepped_back(
    planned: Planned, undisturbed: Undisturbed, fault_table: FaultTable, tmp_path: Path
) -> None:
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    world = planned.copy(tmp_path)
    clock = tmp_path / "clock"
    clock.write_text("+1d")
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "auditor.cli.main", *world.arguments, "audit", "--offline"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    results = Workspace(world.work).results
    deadline = time.monotonic() + 200
    while len(list(list_results(results))) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    clock.write_text("-1d")
    assert process.wait(200) == 0
    finished = {record.finished_at[:10] for record in _records(world)}
    assert len(finished) == 2, "the clock was to step back between two results"
    assert snapshot(world) == undisturbed.results
    assert catalog_rows(world) == undisturbed.catalog
    assert not leftovers(world)
    fault_table.add("clock stepped back by a day", "in the middle of a task: all equal")


def _records(world: World) -> list[object]:
    from auditor.results.result_file import read_result

    return [read_result(path).record for path in list_results(Workspace(world.work).results)]
