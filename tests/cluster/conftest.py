"""A Slurm, a small plan on it, and what the plan comes to when nothing disturbs it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from auditor.audit import base_pool, opening
from auditor.pipeline import connection, stages
from auditor.planning.manifest import read_manifest
from auditor.planning.slices import Slice
from auditor.records.result import AuditRecord
from auditor.results.result_file import list_results, read_result
from auditor.results.workspace import Workspace
from tests.audit.conftest import QUICK, World, small_hub
from tests.cluster.rig import Rig, missing_programs
from tests.cluster.table import FaultTable

REPOS = (
    "ana-k/harbor-lora",
    "driftwood/lantern-lora",
    "mkr/moss-lora",
    "qtest/ember-lora",
    "studio-nine/aurora-lora",
    "mkr/indigo-lora",
    "grab-bag/reupload",
    "grab-bag/truncated",
    "grab-bag/zeros",
    "grab-bag/locked",
    "grab-bag/readme-only",
)
SMALL = (*QUICK, "recipe.probe_count=8", "recipe.dose_probes=2")
Snapshot = dict[str, AuditRecord]


@dataclass(frozen=True)
class Planned:
    """A work folder in which everything is planned, fetched and drawn for reference, but nothing audited."""

    world: World

    def copy(self, folder: Path, *overrides: str) -> World:
        """A folder of its own that shares what no task changes."""
        source, work = self.world.work, folder / "work"
        work.mkdir(parents=True)
        for name in ("crawl", "manifest", "files"):
            shutil.copytree(source / name, work / name)
        (work / "reference").symlink_to(source / "reference")
        return World(work, self.world.hub, (*self.world.overrides, *overrides))


@dataclass(frozen=True)
class Undisturbed:
    """How the plan ends in one process that nothing disturbs."""

    results: Snapshot
    catalog: list[tuple[object, ...]]


def snapshot(world: World) -> Snapshot:
    """All results by file name, without what may differ between two equal runs."""
    return {path.name: comparable(read_result(path).record) for path in list_results(Workspace(world.work).results)}


def comparable(record: AuditRecord) -> AuditRecord:
    """A record without times, and without whether a reply came from the cache."""
    replies = tuple(r.__class__(**{**vars(r), "cached": False, "duration_s": None}) for r in record.replies)
    return record.model_copy(update={"timings_s": {}, "finished_at": "", "replies": replies})


def catalog_rows(world: World) -> list[tuple[object, ...]]:
    """Scores and outcomes as a reader sees them, after a merge of what is there."""
    stages.merge(world.settings)
    return read_catalog(world)


def read_catalog(world: World) -> list[tuple[object, ...]]:
    """Scores and outcomes of the catalog as it is."""
    sql = (
        "SELECT a.repo_id, a.path, a.outcome, a.reason, s.concept, s.score, s.low, s.high "
        "FROM adapters a LEFT JOIN scores s USING (audit_id) ORDER BY ALL"
    )
    with closing(duckdb.connect(str(world.settings.catalog_path), read_only=True)) as connection:
        return connection.execute(sql).fetchall()


def leftovers(world: World) -> list[str]:
    """Temporary files and attempts that nobody will take up again."""
    workspace = Workspace(world.work)
    found = [*workspace.results.rglob(".*.tmp"), *workspace.attempts.glob("*"), *world.work.glob(".catalog*.tmp*")]
    return sorted(path.name for path in found)


def audit(world: World) -> None:
    """Audit everything that is left, in this process and without a Hub."""
    stages.audit(world.settings, None, Slice())


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    top = tmp_path_factory.mktemp("planned")
    hub = small_hub(top / "hub", REPOS)
    world = World(top / "work", hub, (*SMALL, f"hub.serve_folder={hub}"))
    (world.work / "reference").mkdir(parents=True)
    settings = world.settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        stages.plan(settings, client)
        stages.prefetch(settings, client, Slice())
    return Planned(world)


@pytest.fixture(scope="session")
def models(planned: Planned) -> Iterator[None]:
    """Loads the models once for all audits of this process and its forks; the rest of the audit is as always."""
    settings = planned.world.settings
    base = opening.load_base(settings.recipe.active_bases["pocket"], settings.recipe.application)
    encoder, proposer = opening.load_encoder(settings), opening.load_proposer(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "load_base", lambda *_: base)
        patch.setattr(base_pool, "load_encoder", lambda *_: encoder)
        patch.setattr(base_pool, "load_proposer", lambda *_: proposer)
        yield


@pytest.fixture(scope="session")
def undisturbed(planned: Planned, models: None, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    world = planned.copy(tmp_path_factory.mktemp("undisturbed"))
    audit(world)
    results = snapshot(world)
    assert sum(record.outcome == "scored" for record in results.values()) >= 5
    assert len(read_manifest(Workspace(world.work).manifest).items) >= 8
    return Undisturbed(results, catalog_rows(world))


@pytest.fixture(scope="session")
def start_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Rig]]:
    """Starts Slurms; all are stopped at the end, with whatever they left running."""
    assert os.geteuid() == 0, "Slurm's daemons need root; run these tests in a container, or leave them out by name"
    assert not missing_programs(), f"install first, with .ci/slurm: {', '.join(missing_programs())}"
    rigs: list[Rig] = []

    def start(name: str) -> Rig:
        rig = Rig(tmp_path_factory.mktemp(f"slurm-{name}"))
        rig.environment |= {"PYTHON_BIN": sys.executable, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        rigs.append(rig)
        rig.start()
        return rig

    yield start
    for rig in rigs:
        rig.stop()


@pytest.fixture(scope="session")
def rig(start_rig: Callable[[str], Rig]) -> Rig:
    return start_rig("main")


@pytest.fixture(scope="session")
def fault_table(repository_folder: Path) -> Iterator[FaultTable]:
    """What the tests see goes into docs/reliability.md, or is compared with it."""
    table = FaultTable(repository_folder / "docs" / "reliability.md")
    yield table
    table.close()


@pytest.fixture(scope="session")
def repository_folder() -> Path:
    return Path(__file__).resolve().parents[2]
