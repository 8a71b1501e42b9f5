"""The chain with concepts from a real vLLM: wherever it runs and whatever befalls it, the results are the same."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from auditor.audit.task import Task, TaskReport
from auditor.generation.diffusers_base import DiffusersBase
from auditor.pipeline import connection, stages
from auditor.planning.slices import Slice
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.server import LocalServer
from tests.audit.conftest import QUICK, World, small_hub
from tests.audit.test_propose_waiting import snapshot, waiting
from tests.cluster.table import FaultTable
from tests.proposing.test_server import gone

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1200)]
REPOS = ("ana-k/harbor-lora", "driftwood/lantern-lora", "mkr/moss-lora")


def world_of(folder: Path, reference: Path, *overrides: str) -> World:
    (folder / "work").mkdir(parents=True)
    reference.mkdir(parents=True, exist_ok=True)
    (folder / "work" / "reference").symlink_to(reference)
    hub = small_hub(folder / "hub", REPOS)
    world = World(folder / "work", hub, (*QUICK, f"hub.serve_folder={hub}", "recipe.dose_scales=[]", *overrides))
    with connection.hub(world.settings) as client:
        stages.crawl(world.settings, client)
        stages.plan(world.settings, client)
    return world


def audit(world: World) -> TaskReport:
    with connection.hub(world.settings) as client:
        return stages.audit(world.settings, client, Slice())


@pytest.fixture
def at_address(
    tmp_path: Path, reference_folder: Path, serving: tuple[str, ...], endpoint: Endpoint, monkeypatch: Any
) -> World:
    """A world whose tasks ask the session's server."""
    monkeypatch.setenv("OPENAI_API_KEY", endpoint.api_key)
    address = ("serving.timeout_s=60", f"serving.address={endpoint.base_url}")
    return world_of(tmp_path, reference_folder, *serving, *address)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, reference_folder: Path, serving: tuple[str, ...], endpoint: Endpoint
) -> dict[str, Any]:
    """Concepts asked for at an address, one adapter after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", endpoint.api_key)
        place = tmp_path_factory.mktemp("undisturbed")
        world = world_of(place, reference_folder, *serving, f"serving.address={endpoint.base_url}", "serving.ahead=0")
        assert audit(world).outcomes == {"scored": 3}
        return snapshot(world)


def test_the_chain_names_as_it_does_in_process(
    undisturbed: dict[str, Any], tmp_path: Path, reference_folder: Path
) -> None:
    world = world_of(tmp_path, reference_folder)
    audit(world)
    here = {r.file_sha256: r for r, _ in snapshot(world).values()}
    there = {r.file_sha256: r for r, _ in undisturbed.values()}
    assert len(here) == 3 and here.keys() == there.keys()
    for key, record in here.items():
        assert record.recipe_id != there[key].recipe_id, "another way to run the model is another recipe"
        assert record.scores == there[key].scores
        assert record.phrases == there[key].phrases and record.phrases
        assert record.explanations == there[key].explanations


def test_concepts_proposed_afterwards_are_the_same(undisturbed: dict[str, Any], at_address: World) -> None:
    later = World(at_address.work, at_address.hub, (*at_address.overrides, "serving.when=deferred"))
    assert audit(later).pending == 3
    assert sum(stages.propose(later.settings).named.values()) == 3
    assert snapshot(later) == undisturbed and not waiting(later)


def test_a_server_that_stands_still_costs_no_picture(
    undisturbed: dict[str, Any], at_address: World, server: LocalServer
) -> None:
    """Stopped for as long as a whole audit takes; the next one finishes what it left."""
    group = server._group
    assert group is not None
    hasty = World(at_address.work, at_address.hub, (*at_address.overrides, "serving.timeout_s=2"))
    os.killpg(group, signal.SIGSTOP)
    try:
        report = audit(hasty)
    finally:
        os.killpg(group, signal.SIGCONT)
    assert (report.pending, report.unanswered) == (3, 3)
    with connection.hub(at_address.settings) as client, contextlib.closing(Task(at_address.settings, client)) as task:
        assert task.run(stages.plan(at_address.settings, client).items).outcomes == {"scored": 3}
        assert task.open_base("pocket").generator.calls.adapted == 0
    assert snapshot(at_address) == undisturbed
    saw(
        "VLM server stopped (SIGSTOP) for a whole audit",
        "three results left pending, then all equal with no picture drawn",
    )


def test_a_task_starts_its_server_and_starts_it_again_when_killed(
    undisturbed: dict[str, Any],
    tmp_path: Path,
    reference_folder: Path,
    serving: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server is killed while the second adapter is on the base; its engine must go too."""
    servers: list[LocalServer] = []
    engines: list[int] = []
    plain_apply = DiffusersBase.apply

    class Recorded(LocalServer):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            servers.append(self)

    def apply(self: DiffusersBase, *arguments: Any) -> Any:
        applied.append(1)
        if len(applied) == 2:
            servers[0].start()  # returns once it is ready
            group = servers[0]._group
            assert group is not None
            engines.extend(members(group))
            os.kill(group, signal.SIGKILL)
        return plain_apply(self, *arguments)

    applied: list[int] = []
    monkeypatch.setattr("auditor.proposing.server.LocalServer", Recorded)
    monkeypatch.setattr(DiffusersBase, "apply", apply)
    world = world_of(tmp_path, reference_folder, *serving)
    report = audit(world)
    assert report.outcomes == {"scored": 3} and servers[0].starts == 2
    assert len(engines) >= 2 and gone(engines), "the API server and at least one engine process"
    assert not servers[0].running
    assert snapshot(world) == undisturbed and not waiting(world)
    saw(
        "VLM server killed (-9) while an audit runs", "started again once, nothing of the first left running; all equal"
    )


def saw(fault: str, seen: str) -> None:
    """The page on reliability must say the same."""
    FaultTable(Path(__file__).resolve().parents[2] / "docs" / "reliability.md").add(fault, seen)


def members(group: int) -> list[int]:
    """Process ids of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == group:
                    found.append(int(entry.name))
    return found
