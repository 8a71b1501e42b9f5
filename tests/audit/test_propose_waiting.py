"""Concepts proposed afterwards give the records that proposing at once gives; nothing is done twice or lost."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from auditor.audit.task import Task, TaskReport
from auditor.measuring.explanations import explain_with_proposals
from auditor.pipeline import connection, stages
from auditor.planning.slices import Slice
from auditor.records.proposals import Proposals
from auditor.records.result import AuditRecord
from auditor.results.result_file import Result, list_results, read_result
from auditor.results.waiting_pictures import (
    AuditedFile,
    DamagedPictures,
    ShownPairs,
    list_waiting,
    read_waiting,
    waiting_path,
    write_waiting,
)
from auditor.results.workspace import Workspace
from tests.audit.conftest import QUICK, World, small_hub
from tests.cli.conftest import Auditor
from tests.cluster.forks import command, in_child

REPOS = (
    "ana-k/harbor-lora",
    "mkr/moss-lora",
    "mkr/alder-lora",  # declares a trigger
    "grab-bag/reupload",  # harbor's bytes
    "grab-bag/zeros",
)
DEFERRED = ("serving.when=deferred",)


def comparable(record: AuditRecord) -> AuditRecord:
    """A record without what may differ between two equal runs."""
    replies = tuple(replace(r, cached=False, duration_s=None) for r in record.replies)
    return record.model_copy(update={"timings_s": {}, "finished_at": "", "replies": replies})


def snapshot(world: World) -> dict[str, tuple[AuditRecord, dict[str, bytes]]]:
    """All results by file name, arrays included."""
    found = {}
    for path in list_results(Workspace(world.work).results):
        result = read_result(path)
        found[path.name] = comparable(result.record), {k: v.tobytes() for k, v in result.arrays.items()}
    return found


def waiting(world: World) -> list[tuple[str, str]]:
    return list(list_waiting(Workspace(world.work).waiting))


def audit(world: World) -> TaskReport:
    """Crawl, plan and audit in this process."""
    with connection.hub(world.settings) as client:
        stages.crawl(world.settings, client)
        stages.plan(world.settings, client)
        return stages.audit(world.settings, client, Slice())


def new_world(folder: Path, reference: Path, *overrides: str) -> World:
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "reference").symlink_to(reference)
    hub = folder / "hub"
    return World(folder / "work", small_hub(hub, REPOS), (*QUICK, f"hub.serve_folder={hub}", *overrides))


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory, reference_folder: Path) -> World:
    """Audited with concepts proposed at once."""
    world = new_world(tmp_path_factory.mktemp("at-once"), reference_folder)
    audit(world)
    return world


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, reference_folder: Path) -> World:
    """Audited, with the concepts still to come. Tests get copies."""
    world = new_world(tmp_path_factory.mktemp("audited"), reference_folder, *DEFERRED)
    report = audit(world)
    assert (report.pending, report.unanswered, report.outcomes["scored_partial"]) == (3, 0, 3)
    return world


@pytest.fixture
def deferred(tmp_path: Path, audited: World) -> World:
    """A world of its own in which everything but the concepts is done."""
    shutil.copytree(audited.work, tmp_path / "work", symlinks=True)
    return World(tmp_path / "work", audited.hub, audited.overrides)


def test_deferred_concepts_give_the_same_results(at_once: World, deferred: World) -> None:
    before = snapshot(deferred)
    pending = {name: record for name, (record, _) in before.items() if record.proposals == "pending"}
    assert len(pending) == 3 and not any(r.phrases or r.explanations for r in pending.values())
    assert {(r.outcome, r.reason) for r in pending.values()} == {("scored_partial", "proposals_pending")}
    assert all("still to be proposed" in r.message for r in pending.values())
    report = stages.propose(deferred.settings)
    assert (sum(report.named.values()), report.unanswered, report.lost) == (3, 0, 0)
    assert snapshot(deferred) == snapshot(at_once)
    assert waiting(deferred) == waiting(at_once) == []


def test_an_audit_leaves_pending_results_alone_and_merge_says_what_they_are(deferred: World) -> None:
    paths = list(list_results(Workspace(deferred.work).results))
    before = {p: p.stat().st_mtime_ns for p in paths}
    report = audit(deferred)
    assert not report.outcomes and {p: p.stat().st_mtime_ns for p in paths} == before
    merged = stages.merge(deferred.settings)
    assert merged.reconciles and merged.outcomes["scored_partial"] == 4
    with duckdb.connect(str(deferred.settings.catalog_path), read_only=True) as connection:
        counts = connection.execute("SELECT reason, count(*) FROM lora_card GROUP BY ALL ORDER BY 1").fetchall()
    assert counts == [("no_learned_change", 1), ("proposals_pending", 4)]


def test_an_audit_that_proposes_at_once_finishes_what_waits(at_once: World, deferred: World) -> None:
    prompt = World(deferred.work, deferred.hub, deferred.overrides[: -len(DEFERRED)])
    with connection.hub(prompt.settings) as client:
        task = Task(prompt.settings, client)
        report = task.run(stages.plan(prompt.settings, client).items)
        calls = task.open_base("pocket").generator.calls
    assert calls.adapted == 0, "no picture is made twice"
    assert report.outcomes == {"scored": 3}
    assert snapshot(prompt) == snapshot(at_once) and not waiting(prompt)


def test_tasks_share_the_work_whatever_order_they_run_in(at_once: World, deferred: World) -> None:
    shares = [stages.waiting(deferred.settings, task, 3) for task in range(3)]
    assert sorted(itertools.chain(*shares)) == waiting(deferred)
    named = 0
    for task in (2, 0, 1):
        report = stages.propose(deferred.settings, task, 3)
        assert sum(report.named.values()) == len(shares[task])
        named += sum(report.named.values())
    assert named == 3 and snapshot(deferred) == snapshot(at_once)


@pytest.mark.parametrize("point", ["result_synced", "item_named"])
def test_a_killed_propose_goes_on(at_once: World, deferred: World, tmp_path: Path, point: str) -> None:
    said = tmp_path / "said"
    killed = in_child(command(*deferred.arguments, "propose"), crash_at=f"{point}:2", output=said)
    assert killed == -signal.SIGKILL, said.read_text()[-500:]
    stages.propose(deferred.settings)
    assert snapshot(deferred) == snapshot(at_once) and not waiting(deferred)


def test_an_audit_killed_between_pictures_and_result_goes_on(
    at_once: World, tmp_path: Path, reference_folder: Path
) -> None:
    world = new_world(tmp_path, reference_folder, *DEFERRED)
    with connection.hub(world.settings) as client:
        stages.crawl(world.settings, client)
        stages.plan(world.settings, client)
    killed = in_child(command(*world.arguments, "audit"), crash_at="pictures_kept", output=tmp_path / "said")
    assert killed == -signal.SIGKILL and len(waiting(world)) == 1
    audit(world)
    stages.propose(world.settings)
    assert snapshot(world) == snapshot(at_once) and not waiting(world)


def test_damaged_pictures_are_made_again(at_once: World, deferred: World) -> None:
    folder = Workspace(deferred.work).waiting
    damaged, removed, _ = (waiting_path(folder, *key) for key in waiting(deferred))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    removed.unlink()
    report = stages.propose(deferred.settings)
    assert (report.lost, sum(report.named.values())) == (1, 1)
    assert sum(audit(deferred).outcomes.values()) == 2
    stages.propose(deferred.settings)
    assert snapshot(deferred) == snapshot(at_once)


def test_results_of_another_proposer_keep_waiting(deferred: World) -> None:
    other = World(deferred.work, deferred.hub, (*deferred.overrides, "recipe.proposer.temperature=0.5"))
    report = stages.propose(other.settings)
    assert (report.other_recipe, sum(report.named.values())) == (3, 0)
    assert len(waiting(deferred)) == 3


def test_the_command_says_what_it_would_do_and_what_it_did(deferred: World, auditor: Auditor) -> None:
    dry = auditor(*deferred.arguments, "propose", "--dry-run", "--json")
    assert dry.code == 0 and json.loads(dry.stdout) == {"waiting": 3, "most_requests": 3}
    done = auditor(*deferred.arguments, "propose", "--task", "0", "--tasks", "1", "--json")
    assert done.code == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["named"] == {"scored": 3}


class NoScorer:
    """Explains nothing; what the verdict becomes does not hang on it."""

    def explain(self, differences: object, phrases: object, discovered: object) -> tuple[()]:
        return ()


@pytest.mark.parametrize("status", ["explained", "no_effect"])
@pytest.mark.parametrize("missing", [False, True])
def test_the_verdict_after_proposing(audited: World, status: str, missing: bool) -> None:
    """An arm that acts with its trigger only says so before and after; unusable replies leave a partial score."""
    record = next(r for r, _ in snapshot(audited).values() if r.proposals == "pending")
    assert record.effect is not None
    record = record.model_copy(update={"effect": record.effect.model_copy(update={"status": status})})
    none = np.zeros((0, 8, 8, 3), np.uint8)
    shown = ShownPairs(np.zeros((2, 3), np.float32), none, none, None)
    proposals = Proposals((), (), 1, 0 if missing else 1, "vlm_invalid" if missing else None)
    named = explain_with_proposals(NoScorer(), AuditedFile(Result(record, {}), shown), proposals, 0.1).record  # type: ignore[arg-type]
    assert (named.outcome, named.reason) == (("scored_partial", "proposals_missing") if missing else ("scored", None))
    assert named.proposals == ("unusable" if missing else "answered")
    assert ("its trigger only" in named.message) == (status == "no_effect") and "still to be" not in named.message
    worse = record.model_copy(update={"reason": "modules_unmatched", "message": "Scored without 2 parts."})
    kept = explain_with_proposals(NoScorer(), AuditedFile(Result(worse, {}), shown), proposals, 0.1).record  # type: ignore[arg-type]
    assert (kept.outcome, kept.reason, kept.message) == ("scored_partial", "modules_unmatched", worse.message)


def test_pictures_come_back_bit_by_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reference, images = rng.integers(0, 256, (2, 5, 16, 12, 3), dtype=np.uint8)
    differences = rng.normal(size=(9, 4)).astype(np.float32)
    rows = np.array([3, 0])
    for base_rows in (rows, None):
        shown = ShownPairs(differences, reference[rows], images[:2], base_rows)
        write_waiting(tmp_path / "x.safetensors", shown)
        back = read_waiting(tmp_path / "x.safetensors", reference, 512)
        assert np.array_equal(back.differences, differences) and back.differences.dtype == np.float32
        assert np.array_equal(back.base_images, reference[rows]) and np.array_equal(back.images, images[:2])


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 500])
def test_other_content_is_not_taken_for_pictures(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(DamagedPictures):
        read_waiting(path, np.zeros((1, 8, 8, 3), np.uint8), 512)
