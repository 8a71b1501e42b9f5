"""Several bases in one task: each is opened as seldom as can be, and none pays for what another one lacks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from auditor.audit import base_pool
from auditor.audit.task import Task, TaskReport
from auditor.cluster.completion import read_completion
from auditor.errors import ItemError, PrerequisiteMissing
from auditor.generation.diffusers_base import DiffusersBase
from auditor.hub.download import fetch
from auditor.pipeline import connection, stages
from auditor.planning.slices import Slice
from auditor.pocket.odd_repos import OWNER
from auditor.records.result import ANY_RECIPE, AuditRecord, WorkItem
from auditor.results.failures import failure_record
from auditor.results.result_file import Result, list_results, read_result, write_result
from auditor.results.workspace import Workspace
from auditor.settings import Settings
from tests.audit.conftest import QUICK, World, small_hub

FLUX = f"{OWNER}/flux"
REPOS = ("ana-k/harbor-lora", "mkr/moss-lora")
FEW = ("recipe.probe_count=8", "recipe.dose_scales=[]")


@pytest.fixture
def world(tmp_path: Path, reference_folder: Path) -> World:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "reference").symlink_to(reference_folder)
    hub = small_hub(tmp_path / "hub", REPOS)
    return World(tmp_path / "work", hub, (*QUICK, *FEW, f"hub.serve_folder={hub}"))


def with_bases(settings: Settings, *, proposer: dict[str, Any], **bases: dict[str, Any]) -> Settings:
    """The settings with further bases, each the pocket one but for some values."""
    pocket = settings.recipe.bases["pocket"]
    all_bases = settings.recipe.bases | {name: pocket.model_copy(update=changes) for name, changes in bases.items()}
    changes = {"bases": all_bases, "proposer": settings.recipe.proposer.model_copy(update=proposer)}
    return settings.model_copy(update={"recipe": settings.recipe.model_copy(update=changes)})


def test_what_no_base_fits_is_looked_at_again_with_other_bases_and_settles_no_copy(tmp_path: Path) -> None:
    """With a base of its family switched on, which is not here, it is no longer `unsupported_base`."""
    (tmp_path / "work").mkdir()
    hub = small_hub(tmp_path / "hub", ("grab-bag/readme-only", FLUX))
    world = World(tmp_path / "work", hub, (*QUICK, f"hub.serve_folder={hub}"))
    (item,) = items_of(world)
    copy = item.model_copy(update={"repo_id": "another/card"})
    plain = with_bases(world.settings, proposer=NO_PROPOSER)
    assert run(plain, [item, copy]).outcomes == {"skipped": 2}, "the other card might have named a base"
    assert {r.reason for r in records(world)} == {"unsupported_base"}
    assert run(plain, [item, copy]).already_done == 2
    assert not read_completion(plain).remaining and not fetchable(plain, item)

    wider = with_bases(world.settings, proposer=NO_PROPOSER, flux=ABSENT | {"family": "flux1"})
    assert read_completion(wider).remaining == (item,) and fetchable(wider, item)
    assert run(wider, [item]).outcomes == {"skipped": 1}
    assert stages.merge(wider).reconciles
    assert sorted(r.reason or "" for r in records(world)) == ["base_unavailable", "unsupported_base"]


def test_an_older_result_that_settled_the_bytes_is_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    hub = small_hub(tmp_path / "hub", ("grab-bag/readme-only", FLUX))
    world = World(tmp_path / "work", hub, (*QUICK, f"hub.serve_folder={hub}"))
    (item,) = items_of(world)
    item = item.model_copy(update={"file_sha256": item.file_sha256 or content_of(world, item)})
    error = ItemError("skipped", "unsupported_base", "No active base fits.")
    older = failure_record(item, str(item.file_sha256), ANY_RECIPE, error)
    write_result(Workspace(world.work).results, Result(older, {}))
    settings = with_bases(world.settings, proposer=NO_PROPOSER)
    assert fetchable(settings, item)
    assert run(settings, [item]).outcomes == {"skipped": 1} and run(settings, [item]).already_done == 1
    assert stages.merge(settings).reconciles


def fetchable(settings: Settings, item: WorkItem) -> bool:
    with connection.hub(settings) as client:
        return not stages.prefetcher(settings, client).finished(item)


def content_of(world: World, item: WorkItem) -> str:
    return fetch(
        None, item.repo_id, item.path, commit_sha=item.commit_sha, cache_dir=Workspace(world.work).files
    ).sha256


NO_PROPOSER = {"kind": "none"}
ABSENT = {"path": None, "repo": "nobody/absent"}


def items_of(world: World) -> list[WorkItem]:
    with connection.hub(world.settings) as client:
        stages.crawl(world.settings, client)
        items = stages.plan(world.settings, client).items
        stages.prefetch(world.settings, client, Slice())
    return sorted(items, key=lambda item: item.repo_id)


def on(item: WorkItem, base_name: str) -> WorkItem:
    """The item of a card that names another base."""
    return item.model_copy(
        update={"base_name": base_name, "other_bases": (), "base_claim": None, "other_claims": (), "base_distances": ()}
    )


def run(settings: Settings, items: list[WorkItem]) -> TaskReport:
    task = Task(settings, None)
    try:
        return task.run(items)
    finally:
        task.close()


def records(world: World) -> list[AuditRecord]:
    return [read_result(path).record for path in list_results(Workspace(world.work).results)]


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """Arguments of all calls of one of the functions that load models."""
    calls: list[tuple[Any, ...]] = []
    real = getattr(base_pool, name)

    def call(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(base_pool, name, call)
    return calls


def test_a_missing_proposer_is_not_a_missing_base_and_costs_no_attempt(world: World) -> None:
    items = items_of(world)
    lacking = {"kind": "transformers", "path": None, "model": "nobody/not-cached"}
    settings = with_bases(world.settings, proposer=lacking, second={"steps": 2})
    for _ in range(4):  # one more than an item is given
        with pytest.raises(PrerequisiteMissing, match="nobody/not-cached"):
            run(settings, items)
    assert not records(world) and not list(Workspace(world.work).attempts.glob("*"))


def test_a_missing_base_without_another_costs_no_attempt(world: World) -> None:
    items = [item.model_copy(update={"base_name": None}) for item in items_of(world)]
    settings = with_bases(world.settings, proposer=NO_PROPOSER, pocket=ABSENT)
    for _ in range(4):
        with pytest.raises(PrerequisiteMissing, match="nobody/absent"):
            run(settings, items)
    assert not records(world) and not list(Workspace(world.work).attempts.glob("*"))


def test_a_base_that_is_not_here_leaves_the_shared_models_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, encoders = counted(monkeypatch, "load_proposer"), counted(monkeypatch, "load_encoder")
    first, second = items_of(world)
    settings = with_bases(world.settings, proposer={}, away=ABSENT)
    report = run(settings, [on(first, "away"), second])
    assert report.outcomes == {"skipped": 1, "scored": 1}
    assert {r.reason for r in records(world)} == {"base_unavailable", None}
    assert len(opened) == len(encoders) == 1


def test_a_base_that_was_switched_off_since_the_plan_ends_no_task(world: World) -> None:
    items = items_of(world)
    settings = with_bases(world.settings, proposer=NO_PROPOSER, off={"enabled": False})
    assert run(settings, [on(items[0], "off"), on(items[1], "forgotten")]).outcomes == {"scored": 2}


def test_alternating_bases_are_opened_in_turn_not_item_by_item(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = counted(monkeypatch, "open_base")
    first, second = items_of(world)
    settings = with_bases(world.settings, proposer=NO_PROPOSER, second={"steps": 2})
    told: list[WorkItem] = []
    items = [
        on(item, base)
        for item in (first, second, first.model_copy(update={"repo_id": "copy/of-it"}))
        for base in ("pocket", "second")
    ]
    task = Task(settings, None)
    report = task.run(items, lambda item, record: told.append(item))
    assert [base for _, base in opened] == ["pocket", "second", "pocket"]
    assert Counter(told) == Counter(items)
    assert (report.outcomes, report.duplicates) == ({"scored": 4}, 2)
    assert Counter((r.base_name, r.item.repo_id) for r in records(world)) == Counter(
        (base, repo) for base in ("pocket", "second") for repo in REPOS
    )
    report = task.run(items)
    assert report.already_done + report.duplicates == 6 and not report.outcomes
    assert len(opened) == 3, "all recipes are known by now"


def test_a_base_that_does_not_fit_costs_the_others_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = items_of(world)
    real = DiffusersBase._open

    def open_unless_large(base: DiffusersBase) -> Any:
        if base.options.steps == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 GiB.")
        return real(base)

    monkeypatch.setattr(DiffusersBase, "_open", open_unless_large)
    settings = with_bases(world.settings, proposer=NO_PROPOSER, large={"steps": 3})
    assert run(settings, [on(first, "large"), on(second, "pocket")]).outcomes == {"skipped": 1, "scored": 1}
    (skipped,) = (record for record in records(world) if record.outcome == "skipped")
    assert skipped.reason == "base_unavailable" and "8.00 GiB" in str(skipped.message)


@pytest.mark.parametrize("alone_fits", [True, False])
def test_a_picture_that_does_not_fit_is_tried_again_another_day(
    world: World, monkeypatch: pytest.MonkeyPatch, alone_fits: bool
) -> None:
    """Only a base that does not fit without an adapter either is given up for the rest of the task."""
    items = items_of(world)
    settings = with_bases(world.settings, proposer=NO_PROPOSER)
    task = Task(settings, None)
    task.open_base("pocket")  # its reference is made
    worn: list[bool] = []
    real = DiffusersBase._render

    def render(base: DiffusersBase, prompts: Any, seeds: Any, state: str) -> Any:
        worn.append(base._adapter is not None)
        if worn[-1] or not alone_fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 GiB.")
        return real(base, prompts, seeds, state)

    monkeypatch.setattr(DiffusersBase, "_render", render)
    assert task.run(items).outcomes == {"skipped": 2}
    assert {(r.reason, "8.00 GiB" in str(r.message)) for r in records(world)} == {("base_unavailable", True)}
    assert worn.count(False) == (2 if alone_fits else 1)
    monkeypatch.setattr(DiffusersBase, "_render", real)
    assert run(settings, items).outcomes == {"scored": 2}
