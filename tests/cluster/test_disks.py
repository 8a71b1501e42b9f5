"""Disks that fill, turn read-only or vanish: the path is named, nothing is lost, and it goes on once there is one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from auditor.common.crash_points import CRASH_POINTS, CrashPoint
from auditor.hub.crawler import listing_path
from auditor.hub.listing_file import iter_listing
from tests.audit.conftest import World
from tests.cluster.conftest import Planned, Undisturbed, catalog_rows, leftovers, read_catalog, snapshot
from tests.cluster.forks import bound_disk, command, in_child, join, small_disk, stopped_at
from tests.cluster.table import FaultTable
from tests.cluster.test_faults import blobs, expected, few, synthetic
from tests.synthetic_results import SyntheticWorld

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


def test_full_disk_for_downloads(planned: Planned, fault_table: FaultTable, tmp_path: Path) -> None:
    world = planned.copy(tmp_path)
    shutil.rmtree(world.work / "files")
    said = tmp_path / "said"
    with small_disk(world.work / "files", 200) as resize:
        assert in_child(command(*world.arguments, "prefetch"), output=said) == 3
        assert "Traceback" not in said.read_text() and "full" in said.read_text()
        resize(20_000)
        assert in_child(command(*world.arguments, "prefetch"), output=said) == 0
        assert blobs(world) == blobs(planned.world)
    fault_table.add("full disk for downloads", "exit 3, then all files with the right hash")


def test_full_disk_for_results(
    planned: Planned, undisturbed: Undisturbed, fault_table: FaultTable, tmp_path: Path
) -> None:
    world = planned.copy(tmp_path)
    part, said = few(world, "mkr/moss-lora", "ana-k/harbor-lora"), tmp_path / "said"
    again = command(*world.arguments, "audit", "--offline", "--slices", part.slices_id)
    with small_disk(world.work / "results", 48) as resize:
        assert in_child(again, output=said) == 3
        assert "Traceback" not in said.read_text() and "No space left" in said.read_text()
        assert not leftovers(world), "a full disk is not the item's fault"
        assert snapshot(world) == expected(undisturbed, world)
        resize(4_000)
        assert in_child(again, output=said) == 0
        assert len(snapshot(world)) == 2
        assert snapshot(world) == expected(undisturbed, world)
    fault_table.add("full disk for results", "exit 3, no half result, then all equal")


def test_full_disk_for_the_catalog(fault_table: FaultTable, tmp_path: Path) -> None:
    disk, said = tmp_path / "disk", tmp_path / "said"
    with small_disk(disk, 60_000):
        world = synthetic(tmp_path / "work", 200)
        world = replace(world, overrides=(f"catalog.path={disk / 'catalog.duckdb'}",))
        old = catalog_rows(world)
        SyntheticWorld(world.work).write(220)
        free = shutil.disk_usage(disk).free
        (disk / "ballast").write_bytes(b"\0" * (free - 500_000))
        assert in_child(command(*world.arguments, "merge"), output=said) == 3
        assert "Traceback" not in said.read_text() and "no room" in said.read_text()
        assert read_catalog(world) == old
        assert not list(disk.glob(".catalog*.tmp*"))
        (disk / "ballast").unlink()
        assert in_child(command(*world.arguments, "merge"), output=said) == 0
        merged = read_catalog(world)
    assert merged == catalog_rows(synthetic(tmp_path / "fresh", 220))
    fault_table.add("full disk for the catalog", "exit 3, old catalog answers, then equal to a fresh one")


def test_full_disk_for_exports_and_logs(
    planned: Planned, undisturbed: Undisturbed, fault_table: FaultTable, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    world = synthetic(tmp_path / "scored", 20)
    assert in_child(command(*world.arguments, "merge"), output=said) == 0
    disk = tmp_path / "disk"
    export = command(*world.arguments, "export", "--out", str(disk / "export"))
    with small_disk(disk, 100) as resize:
        assert in_child(export, output=said) == 3
        assert "Traceback" not in said.read_text() and "No space left" in said.read_text()
        assert f"{disk / 'export'}: " in said.read_text()
        assert not list(disk.glob(".export*"))
        resize(60_000)
        assert in_child(export, output=said) == 0
    said.unlink()
    world = planned.copy(tmp_path / "audited")
    part = few(world)
    with small_disk(world.work / "logs", 4):
        (world.work / "logs" / "ballast").write_bytes(b"\0" * 4096)
        audit = command(*world.arguments, "audit", "--offline", "--slices", part.slices_id)
        assert in_child(audit, output=said) == 0
    assert "Traceback" not in said.read_text() and said.read_text().count("No space left") == 1
    assert snapshot(world) == expected(undisturbed, world) and len(snapshot(world)) == 3
    fault_table.add("full disk for exports or logs", "exit 3 and no half export; the work goes on without its log")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder with what is in it on a file system of its own, which nobody may write."""
    kept = folder.with_name(f"{folder.name}-kept")
    if folder.exists():
        shutil.copytree(folder, kept)
    with small_disk(folder, 60_000):
        if kept.exists():
            shutil.copytree(kept, folder, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield


def test_read_only_disks(planned: Planned, fault_table: FaultTable, tmp_path: Path) -> None:
    said = tmp_path / "said"
    cases = 0

    def refused(world_arguments: list[str], folder: Path, *stage: str) -> None:
        nonlocal cases
        with read_only(folder):
            assert in_child(command(*world_arguments, *stage), output=said) == 3, said.read_text()
            assert "Traceback" not in said.read_text() and str(folder) in said.read_text(), stage
        assert in_child(command(*world_arguments, *stage), output=said) == 0, said.read_text()
        cases += 1

    world = planned.copy(tmp_path / "planned")
    shutil.rmtree(world.work / "files")
    part = few(world, "mkr/moss-lora")
    refused(world.arguments, world.work / "logs", "plan")
    refused(world.arguments, world.work / "crawl", "crawl", "--full")
    refused(world.arguments, world.work / "files", "prefetch")
    refused(world.arguments, world.work / "results", "audit", "--offline", "--slices", part.slices_id)
    scored = synthetic(tmp_path / "scored", 20)
    there = replace(scored, overrides=(f"catalog.path={tmp_path / 'disk' / 'catalog.duckdb'}",))
    refused(there.arguments, tmp_path / "disk", "merge")
    refused(there.arguments, tmp_path / "out", "export", "--out", str(tmp_path / "out" / "export"))
    fault_table.add("disk that turns read-only", f"{cases} folders: exit 3 with the path, then done")


def vanish(folder: Path, point: CrashPoint, work: Callable[[], object], said: Path) -> None:
    """The disk goes while the command stands at a point, and is back for the next call, which ends well."""
    with bound_disk(folder) as attach:
        pid = stopped_at(work, point, output=said)
        attach(False)
        os.kill(pid, signal.SIGCONT)
        assert join(pid) in (0, 3, 75), (folder, point, said.read_text())
        attach(True)
        assert in_child(work, output=said) == 0, (folder, point, said.read_text())
    assert "Traceback" not in said.read_text(), (folder, point)


def test_disks_that_vanish_from_an_audit(
    planned: Planned, undisturbed: Undisturbed, fault_table: FaultTable, tmp_path: Path
) -> None:
    folders = ("files", "results", "attempts", "logs")
    points: tuple[CrashPoint, ...] = ("item_claimed", "item_generated", "result_half_written", "item_published")
    for folder, point in product(folders, points):
        world = planned.copy(tmp_path / folder / point)
        audit = command(*world.arguments, "audit", "--offline", "--slices", few(world).slices_id)
        vanish(world.work / folder, point, audit, tmp_path / "said")
        assert len(snapshot(world)) == 3, (folder, point)
        assert snapshot(world) == expected(undisturbed, world), (folder, point)
    fault_table.add("disk that vanishes from an audit", f"{len(folders) * len(points)} times: then all equal")


def test_disks_that_vanish_from_other_stages(planned: Planned, fault_table: FaultTable, tmp_path: Path) -> None:
    said, theirs = tmp_path / "said", planned.world
    world = World(tmp_path / "listed", theirs.hub, theirs.overrides)
    vanish(world.work / "crawl", "crawl_page_stored", command(*world.arguments, "crawl"), said)
    assert _listed(world) == _listed(theirs)
    vanish(world.work / "manifest", "plan_half_written", command(*world.arguments, "plan"), said)
    points: tuple[CrashPoint, ...] = ("download_begun", "download_complete", "download_stored")
    for point in points:
        shutil.rmtree(world.work / "files", ignore_errors=True)
        vanish(world.work / "files", point, command(*world.arguments, "prefetch"), said)
        assert blobs(world) == blobs(theirs), point
    merging = tuple(point for point in CRASH_POINTS if point.startswith("merge_"))
    for point in merging:
        disk = tmp_path / point / "disk"
        there = synthetic(tmp_path / point / "work", 420)
        there = replace(there, overrides=(f"catalog.path={disk / 'catalog.duckdb'}",))
        vanish(disk, point, command(*there.arguments, "merge"), said)
        assert len(read_catalog(there)) > 420, point
    times = 2 + len(points) + len(merging)
    fault_table.add("disk that vanishes from another stage", f"{times} times: then all there")


def _listed(world: World) -> list[object]:
    return list(iter_listing(listing_path(world.work / "crawl")))
