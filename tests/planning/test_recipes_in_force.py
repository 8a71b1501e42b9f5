"""Recipes on disk are believed when they are what was written; else they lie aside and are written again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from auditor.pipeline.stages import current_recipes
from auditor.planning.recipes_in_force import publish_recipe, read_recipe, recipes_in_force
from auditor.records.recipe import Recipe
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve
from tests.synthetic_results import SyntheticWorld

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "no text": lambda whole: whole[:40] + b"\xff\xc4\x00" + whole[43:],
    "another JSON": lambda whole: b'{"a": [1, null]}',
    "one figure changed": lambda whole: whole.replace(b'"seed": 0', b'"seed": 1'),
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return resolve(config=None, profile="pocket", work_dir=tmp_path, overrides=(), environment={}).settings


@pytest.fixture
def recipe(settings: Settings) -> Recipe:
    made = SyntheticWorld(settings.work.dir).recipe.model_copy(update={"base_name": "pocket", "seed": 0})
    publish_recipe(settings, made)
    return made


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("which", ["current", "by its id"])
def test_a_damaged_recipe_counts_as_never_used_and_is_written_again(
    settings: Settings, recipe: Recipe, which: str, damage: str
) -> None:
    assert recipes_in_force(settings) == {"pocket": recipe} and current_recipes(settings) == [recipe]
    folder = Workspace(settings.work.dir).recipes
    path = folder / ("current-pocket.json" if which == "current" else f"{recipe.recipe_id}.json")
    harmed = DAMAGE[damage](path.read_bytes())
    assert harmed != path.read_bytes()
    path.write_bytes(harmed)
    assert read_recipe(path) is None and not path.exists()
    assert [left for left in folder.iterdir() if ".damaged-" in left.name]
    assert recipes_in_force(settings) == {} and current_recipes(settings) == []
    publish_recipe(settings, recipe)
    assert recipes_in_force(settings) == {"pocket": recipe} and current_recipes(settings) == [recipe]


def test_damaged_settings_of_a_recipe_are_other_settings(settings: Settings, recipe: Recipe) -> None:
    (Workspace(settings.work.dir).recipes / "current-pocket.settings").write_bytes(b"\xff\xc4")
    assert recipes_in_force(settings) == {}
