"""A disk that turns read-only under one folder: the path is named, nothing is lost, and it goes on once it can."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.conftest import Planned
from tests.cluster.forks import command, in_child, small_disk
from tests.cluster.table import FaultTable
from tests.cluster.test_faults import few, synthetic

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


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
