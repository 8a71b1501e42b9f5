"""Counted costs against what audits draw, and the sums of a catalog's table."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.cli.cost import cost_rows, shares
from auditor.cli.main import run
from auditor.errors import UserError
from auditor.planning.audit_cost import RATES, Span, catalog_cost, evaluations, pictures, seconds_each
from auditor.settings import RecipeSettings, resolve


def recipe(*overrides: str, profile: str = "hub") -> RecipeSettings:
    return resolve(config=None, profile=profile, work_dir=Path(".auditor"), overrides=overrides).settings.recipe


def test_pictures_of_each_kind_are_those_that_the_arms_draw() -> None:
    """50 probes with a look at 25, three strengths of which one is the plain arm's, 8 pictures each, 16 contexts."""
    chosen = recipe()
    assert pictures(chosen, "plain") == Span(25, 50 + 2 * 8)
    # word on base and adapter, and the plain arm filled up where it stopped before them
    assert pictures(chosen, "trigger") == Span(25 + 50, 66 + 100)
    to_the_end = recipe("recipe.trigger_stopping=false")
    assert pictures(to_the_end, "trigger") == Span(25 + 100 + 25, 66 + 100)
    # word and class by the adapter; the base's class and its other seeds once
    assert pictures(chosen, "subject") == Span(25 + 2 * 16, 66 + 3 * 16 + 8)


def test_what_is_switched_off_costs_nothing() -> None:
    assert pictures(recipe("recipe.trigger_arms=false"), "subject") == pictures(recipe(), "plain")
    assert pictures(recipe("recipe.subject_contexts=none"), "subject") == pictures(recipe(), "trigger")
    assert pictures(recipe("recipe.looks=[]", "recipe.dose_scales=[]"), "plain") == Span(50, 50)


def test_seconds_grow_with_steps_and_area() -> None:
    base = recipe().bases["sdxl"]
    rate = RATES["sdxl"]
    assert seconds_each(base, Span(10, 20)) == Span(10 * rate.seconds + rate.fixed_s, 20 * rate.seconds + rate.fixed_s)
    half = base.model_copy(update={"size": 512, "steps": 50})
    assert seconds_each(half, Span(10, 10)).most - rate.fixed_s == pytest.approx(10 * rate.seconds / 4 * 2)


def test_guidance_draws_twice_unless_it_is_distilled() -> None:
    bases = recipe().bases
    assert (evaluations(bases["sdxl"]), evaluations(bases["flux1_dev"])) == (50, 28)
    half = recipe("recipe.bases.sdxl.guidance_interval=[0.0,0.5]").bases["sdxl"]
    assert evaluations(half) == 25 + 13, "steps 0 to 12 of 25 begin in the first half"
    assert seconds_each(half, Span(10, 10)).most - RATES["sdxl"].fixed_s == pytest.approx(13.36 * 38 / 50)


@pytest.mark.parametrize("override", ["flux1_dev.guidance_interval=[0.0,0.5]", "sd15.guidance_interval=[0.5,0.5]"])
def test_an_interval_that_saves_nothing_is_refused(override: str) -> None:
    with pytest.raises(UserError, match="guidance_interval"):
        recipe(f"recipe.bases.{override}")


def test_a_catalog_s_days_are_those_of_its_bases() -> None:
    found = catalog_cost(recipe(), {"sd15": 100, "sdxl": 10}, shares(0.5, 0.5), reference_pictures=0)
    rows = cost_rows(found)
    assert [row[0] for row in rows] == ["sd15", "sdxl", "all"] and rows[-1][1] == "110"
    first = found[0]
    assert first.gpu_days.most == pytest.approx(100 * first.each_s.most / 86400)
    assert first.drawn.least == pytest.approx(0.5 * 25 + 0.25 * 75 + 0.25 * 57)
    assert sum(shares(0.3, 0.2).values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("given", "says"), [("sdxxl=3", "no base 'sdxxl'"), ("sdxl", "write BASE=N"), ("sdxl=-3", "write BASE=N")]
)
def test_a_wrong_count_is_refused(capsys: pytest.CaptureFixture[str], given: str, says: str) -> None:
    with pytest.raises(SystemExit) as end:
        run(["--profile", "hub", "cost", "--adapters", given])
    assert end.value.code == 2 and says in capsys.readouterr().err
