"""A work folder that the code of release 0.1.0 made, before rooms were moved and migrations added, is read today.

`earlier/work.tar.xz` is what `auditor --profile pocket nightly` left of ana-k/meadow-lora at the parent of commit
2381853 (8 probes, 4 steps), without downloads and reference.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from auditor.catalog.adapter_cards import read_cards
from auditor.catalog.export.bundle import export
from auditor.catalog.migrations import load_migrations
from auditor.catalog.reading import run_sql
from auditor.catalog.search import search
from auditor.errors import UserError
from auditor.pipeline import stages
from auditor.planning.manifest import read_manifest
from auditor.results.result_file import read_result
from auditor.settings import Settings, resolve

REPO = "ana-k/meadow-lora"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with tarfile.open(Path(__file__).parent / "earlier" / "work.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    lexicon = "recipe.lexicon=pocket-1"
    return resolve(config=None, profile="pocket", work_dir=tmp_path, overrides=(lexicon,)).settings


def scores(settings: Settings) -> dict[object, object]:
    (card,) = read_cards(settings.catalog_path, REPO)
    return {row["concept"]: row["score"] for row in card.scores}


def migrations(settings: Settings) -> int:
    return len(run_sql(settings.catalog_path, "FROM schema_migrations").rows)


def test_the_catalog_answers_as_it_is(settings: Settings) -> None:
    assert migrations(settings) < len(load_migrations())
    answer = search(settings.catalog_path, "vibrant watercolor", 3)
    assert [hit.repo_id for hit in answer.hits] == [REPO]
    assert scores(settings)["vibrant"] > 0  # type: ignore[operator]
    with pytest.raises(UserError, match=r"earlier version.*auditor merge"):
        export(settings.catalog_path, settings.work.dir / "export", settings.work.dir / "results")


@pytest.mark.parametrize("rebuild", [False, True])
def test_its_results_become_a_catalog_of_today(settings: Settings, rebuild: bool) -> None:
    before = scores(settings)
    report = stages.merge(settings, rebuild=rebuild)
    assert (report.audits, report.pending, list(report.rejected)) == (1, 0, [])
    assert migrations(settings) == len(load_migrations())
    assert scores(settings) == before


def test_its_plan_and_its_result_file_are_read(settings: Settings) -> None:
    manifest = read_manifest(settings.work.dir / "manifest")
    assert [item.repo_id for item in manifest.items] == [REPO] and not manifest.settled
    (path,) = (settings.work.dir / "results").rglob("*.safetensors")
    record = read_result(path).record
    (recipe,) = stages.current_recipes(settings)
    assert record.outcome == "scored" and record.recipe_id == recipe.recipe_id
