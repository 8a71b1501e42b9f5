"""The ways of drawing that are compared, and the sample they are compared on."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.calibration.drawing import cheaper_drawings, looks_within, own_drawing, probe_counts
from auditor.calibration.sample import draw_sample
from auditor.settings import RecipeSettings, resolve
from tests.work_items import make_item


def recipe(profile: str, *overrides: str) -> RecipeSettings:
    return resolve(config=None, profile=profile, work_dir=Path(".auditor"), overrides=overrides).settings.recipe


@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd35_large", "flux1_dev"])
def test_levers_are_tried_alone_and_together_cheapest_first(name: str) -> None:
    base = recipe("hub").bases[name]
    found, own = cheaper_drawings(base), own_drawing(base)
    works = [each.work(base) for each in found]
    assert works == sorted(works) and works[-1] < own.work(base)
    changed = {(d.size != own.size, d.steps != own.steps, d.guidance != own.guidance) for d in found}
    assert {(True, False, False), (False, True, False), (True, True, False)} <= changed
    assert ((True, True, True) in changed) == (name != "flux1_dev"), "guidance is an input of FLUX.1: it saves nothing"
    intervals = {d.guidance_interval for d in found}
    assert intervals == ({(0.0, 1.0)} if name == "flux1_dev" else {(0.0, 1.0), (0.0, 0.5)})
    assert all(d.guidance > 1 for d in found if d.guidance_interval != (0.0, 1.0))
    assert len({d.key for d in found}) == len(found)
    assert all(d.size % 64 == 0 and d.steps >= 4 for d in found)


def test_the_pocket_draws_smaller_and_in_fewer_steps() -> None:
    base = recipe("pocket").bases["pocket"]
    assert {(d.size, d.steps) for d in cheaper_drawings(base)} == {(48, 4), (64, 4), (48, 6), (64, 6), (48, 8)}


def test_fewer_probes_still_suffice_for_the_test_of_an_effect() -> None:
    chosen = recipe("pocket")
    assert probe_counts(chosen) == (24, 18, 12)
    assert looks_within(chosen, 18) == (8, 16, 18) and looks_within(chosen, 24) == (8, 16, 24)
    few = recipe("pocket", "recipe.probe_count=8", "recipe.looks=[]")
    assert min(probe_counts(few)) >= few.solver.least_probes and looks_within(few, 6) == ()


def test_a_sample_goes_on_when_the_plan_grows() -> None:
    items = [*map(make_item, range(30)), make_item(30, None), make_item(31, "sdxl"), make_item(32, content=3)]
    sample = draw_sample(items, "pocket", 0)
    assert len(sample) == 31 and {item.base_name for item in sample} == {"pocket", None}
    fewer = draw_sample(items[5:], "pocket", 0)
    assert fewer == [item for item in sample if item in fewer], "the order is the same"
    assert draw_sample(items, "pocket", 1) != sample
