"""The whole chain on real pocket models: outcomes, counts, resumption, and that nothing hostile leaves a trace."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pytest

from auditor.audit.task import Task
from auditor.catalog.cluster_words import cluster_words
from auditor.catalog.reading import reading_catalog
from auditor.catalog.search import search
from auditor.errors import EXIT_REQUEUE
from auditor.pipeline import connection, stages
from auditor.planning.slices import Slice
from auditor.records.result import AuditRecord
from auditor.results.result_file import list_results, read_result, result_path
from auditor.results.workspace import Workspace
from tests.audit.conftest import World
from tests.cluster.forks import command, exited, join, start_child

EXPECTED = {
    "ana-k/harbor-lora": ("scored", None),
    "driftwood/lantern-lora": ("scored", None),
    "mkr/moss-lora": ("scored", None),
    "grab-bag/reupload": ("scored", None),  # the same bytes as harbor: audited once, listed twice
    "grab-bag/pickled": ("quarantined", "refused_format"),
    "grab-bag/pointer": ("quarantined", "corrupt_file"),
    "grab-bag/truncated": ("quarantined", "corrupt_file"),
    "grab-bag/not-a-number": ("quarantined", "nonfinite_weights"),
    "grab-bag/half-missing": ("quarantined", "unpaired_tensors"),
    "grab-bag/zeros": ("no_effect", "no_learned_change"),
    "grab-bag/chat-lora": ("skipped", "not_text_to_image"),
    "grab-bag/readme-only": ("skipped", "no_weights"),
    "grab-bag/locked": ("skipped", "gated"),
}


def run_all(world: World) -> None:
    """Crawl, plan, audit and merge in this process."""
    settings = world.settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        stages.plan(settings, client)
        stages.audit(settings, client, Slice())
    stages.merge(settings)


def comparable(record: AuditRecord) -> AuditRecord:
    """A record without what may differ between two equal runs."""
    replies = tuple(r.__class__(**{**vars(r), "cached": False, "duration_s": None}) for r in record.replies)
    return record.model_copy(update={"timings_s": {}, "finished_at": "", "replies": replies})


def snapshot(world: World) -> dict[str, AuditRecord]:
    """All results by file name."""
    return {p.name: comparable(read_result(p).record) for p in list_results(Workspace(world.work).results)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, reference_folder: Path) -> World:
    """A world in which the chain has run once, undisturbed."""
    from tests.audit.conftest import QUICK, small_hub

    top = tmp_path_factory.mktemp("finished")
    (top / "work").mkdir()
    (top / "work" / "reference").symlink_to(reference_folder)
    world = World(top / "work", small_hub(top / "hub"), (*QUICK, f"hub.serve_folder={top / 'hub'}"))
    run_all(world)
    return world


def test_every_listed_unit_has_the_expected_outcome(finished: World) -> None:
    with duckdb.connect(str(finished.settings.catalog_path), read_only=True) as connection:
        rows = connection.execute("SELECT repo_id, outcome, reason FROM lora_card").fetchall()
    assert {repo: (outcome, reason) for repo, outcome, reason in rows} == EXPECTED


def test_same_bytes_are_audited_once(finished: World) -> None:
    counts = Counter(r.outcome for r in snapshot(finished).values())
    assert counts["scored"] == 3


def test_second_run_changes_nothing_and_calls_no_base(finished: World) -> None:
    before = {p: p.stat().st_mtime_ns for p in list_results(Workspace(finished.work).results)}
    settings = finished.settings
    with connection.hub(settings) as client:
        report = stages.audit(settings, client, Slice())
    assert not report.outcomes and report.transient == 0
    assert {p: p.stat().st_mtime_ns for p in list_results(Workspace(finished.work).results)} == before


def test_base_denoiser_is_not_called_for_further_adapters(world: World) -> None:
    settings = world.settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        manifest = stages.plan(settings, client)
        task = Task(settings, client)
        task.open_base("pocket")  # makes the reference, or reads it
        calls = task.open_base("pocket").generator.calls
        before = calls.base
        task.run([i for i in manifest.items if i.repo_id in ("mkr/moss-lora", "driftwood/lantern-lora")])
    assert calls.base == before
    assert calls.adapted > 0


def test_hostile_files_before_an_adapter_change_nothing_of_its_scores(finished: World, world: World) -> None:
    settings = world.settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        manifest = stages.plan(settings, client)
        alone = [i for i in manifest.items if i.repo_id == "mkr/moss-lora"]
        Task(settings, client).run(alone)
    (name, lonely), *_ = snapshot(world).items()
    assert snapshot(finished)[name] == lonely


def test_killed_run_goes_on_and_ends_like_an_undisturbed_one(finished: World, world: World, tmp_path: Path) -> None:
    night = start_child(command(*world.arguments, "nightly"), output=tmp_path / "said")
    results = Workspace(world.work).results
    deadline = time.monotonic() + 240
    while not (results.exists() and len(list(list_results(results))) >= 2):
        assert not exited(night) and time.monotonic() < deadline, (tmp_path / "said").read_text()[-1000:]
        time.sleep(0.05)
    os.kill(night, signal.SIGKILL)
    assert join(night) == -signal.SIGKILL, "the run ended before it could be killed"
    run_all(world)
    assert snapshot(world) == snapshot(finished)
    assert not list(Workspace(world.work).attempts.iterdir())


def test_two_nights_at_once_in_one_folder_end_as_one(finished: World, world: World, tmp_path: Path) -> None:
    said = [tmp_path / f"said-{number}" for number in range(2)]
    both = [start_child(command(*world.arguments, "nightly"), output=path) for path in said]
    codes = [join(night) for night in both]
    # the second to merge may find the first at it
    assert set(codes) <= {0, EXIT_REQUEUE} and 0 in codes, "\n".join(path.read_text() for path in said)
    run_all(world)
    assert snapshot(world) == snapshot(finished)
    assert not list(Workspace(world.work).attempts.iterdir())


def test_an_item_that_kills_its_process_is_given_up_after_three_attempts(world: World) -> None:
    settings = world.settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        item = next(i for i in stages.plan(settings, client).items if i.repo_id == "mkr/moss-lora")
        attempts = Workspace(world.work).attempts
        attempts.mkdir()
        for attempt in range(3):  # as three processes left them that were killed
            (attempts / f"{item.name_sha256}.{attempt}").write_text('{"host": "elsewhere", "pid": 1, "started": "1"}')
        Task(settings, client).run([item])
    (record,) = snapshot(world).values()
    assert (record.outcome, record.reason) == ("failed", "poison")


def test_a_damaged_result_is_redone(finished: World, world: World) -> None:
    settings = world.settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        item = next(i for i in stages.plan(settings, client).items if i.repo_id == "mkr/moss-lora")
        task = Task(settings, client)
        task.run([item])
        recipe_id = task.open_base("pocket").recipe.recipe_id
        path = result_path(Workspace(world.work).results, str(item.file_sha256), recipe_id)
        content = bytearray(path.read_bytes())
        content[-20] ^= 1
        path.write_bytes(content)
        report = task.run([item])
    assert sum(report.outcomes.values()) == 1
    assert comparable(read_result(path).record) == snapshot(finished)[path.name]


def test_scores_are_finite_and_in_lexicon_order(finished: World) -> None:
    for record in snapshot(finished).values():
        if record.outcome == "scored":
            names = [s.concept for s in record.scores]
            assert names == list(dict.fromkeys(names)) and len(names) == 30
            assert all(np.isfinite([s.score, s.low, s.high, s.projection]).all() for s in record.scores)
            assert all(s.low <= s.score <= s.high for s in record.scores)


def test_words_that_the_recipe_cannot_tell_apart_find_each_others_adapters(finished: World) -> None:
    database = finished.settings.catalog_path
    with reading_catalog(database) as catalog:
        (clusters,) = cluster_words(catalog).members.values()
        rows = catalog.execute(
            "SELECT concept, audit_id FROM scores WHERE greatest(score, projection) >= 0.1"
        ).fetchall()
    neighbours = 0
    for concept, members in clusters.items():
        found = {hit.audit_id for hit in search(database, concept, 100).hits if hit.band != "near"}
        having = {audit for name, audit in rows if name in members}
        assert having and found == having
        neighbours += len(having - {audit for name, audit in rows if name == concept})
    assert neighbours
