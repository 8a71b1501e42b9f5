"""The file that a calibration ends in: settings take it up, and estimates go by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.calibration.calibrating import Calibration, Options, choose
from auditor.calibration.choice import Candidate, Likeness
from auditor.calibration.drawing import Drawing
from auditor.calibration.recipe_file import write_recipe_file
from auditor.calibration.trials import BaseTrials
from auditor.cli.cost import cost_rows, shares
from auditor.cli.steps import audit_cost
from auditor.cluster.estimate import basis_of
from auditor.cluster.item_seconds import assumed_seconds
from auditor.errors import UserError
from auditor.planning.audit_cost import Span, catalog_cost, pictures
from auditor.settings import MeasuredRate, Settings, resolve
from tests.work_items import make_item

OWN, SMALL = Drawing(64, 8, 1.0), Drawing(48, 6, 1.0)
LIKE = Likeness(8, 0.996, 0.994, 0.99, 1.0, 1.0, 8, 8, 0.1)


def rate(**changes: object) -> MeasuredRate:
    """Measured on the pocket; round figures."""
    values: dict[str, object] = {
        "device": 'a "card"', "measured_at": "2026-11-27", "adapters": 8, "size": 48, "steps": 6, "guidance": 1.0,
        "picture_s": 0.02, "base_picture_s": 0.01, "fixed_s": 0.3, "naming_s": 0.5, "load_s": 4.0, "batch_size": 12,
        "peak_bytes": 10**9, "probes": (10.0, 12.0), "acting": (0.8, 1.0), "drawn": (0.5, 0.7),
        "stages": {"apply": 0.1},
    }  # fmt: skip
    return MeasuredRate.model_validate(values | changes)


def settings_with(folder: Path, *overrides: str) -> Settings:
    return resolve(config=None, profile="pocket", work_dir=folder, overrides=overrides).settings


def found(settings: Settings, likeness: Likeness = LIKE) -> Calibration:
    """One base of which a smaller drawing with half the probes is cheaper."""
    rates = {(OWN, 24): rate(size=64, steps=8), (SMALL, 12): rate(cosine=likeness.cosine, agreement=1.0)}
    candidates = [Candidate(OWN.key, 24, 9.0, None), Candidate(SMALL.key, 12, 3.0, likeness)]
    trials = {"pocket": BaseTrials("pocket", rates, candidates, [], True)}
    return choose(settings, trials, {}, Options(), {"pocket": 85})


@pytest.fixture
def included(tmp_path: Path) -> Settings:
    """The pocket with the file included from its auditor.toml."""
    plain = settings_with(tmp_path / "work")
    write_recipe_file(tmp_path / "calibration.toml", plain, found(plain))
    config = tmp_path / "auditor.toml"
    config.write_text('profile = "pocket"\ninclude = ["calibration.toml"]\n[recipe]\nseed = 3\n')
    return resolve(config=config, work_dir=tmp_path / "work").settings


def test_settings_take_up_what_was_chosen(included: Settings) -> None:
    base = included.recipe.bases["pocket"]
    assert (base.size, base.steps, base.guidance, base.batch_size) == (48, 6, 1.0, 12)
    assert (included.recipe.probe_count, included.recipe.looks, included.recipe.seed) == (12, (8, 12), 3)
    assert included.measured["pocket"] == rate(cosine=0.996, agreement=1.0)


def test_settings_that_are_typed_go_before_the_file(tmp_path: Path, included: Settings) -> None:
    config = tmp_path / "auditor.toml"
    assert resolve(config=config, overrides=["recipe.probe_count=18"]).settings.recipe.probe_count == 18
    config.write_text('include = ["calibration.toml"]\n[recipe]\nprobe_count = 20\n')
    resolved = resolve(config=config)
    assert resolved.settings.recipe.probe_count == 20
    assert resolved.provenance["recipe.bases.pocket.steps"] == f"file {tmp_path / 'calibration.toml'}"
    without = resolve(config=config, overrides=["include=[]"]).settings
    assert without.measured == {} and without.recipe.bases["pocket"].size == 64


def test_included_files_are_checked_as_any_other(tmp_path: Path) -> None:
    config, other = tmp_path / "auditor.toml", tmp_path / "other.toml"
    config.write_text('include = ["other.toml"]\n')
    with pytest.raises(UserError, match=r"other\.toml"):
        resolve(config=config)
    other.write_text('include = ["auditor.toml"]\n')
    with pytest.raises(UserError, match="may not include"):
        resolve(config=config)
    other.write_text("[recipe]\nprobe_cuont = 3\n")
    with pytest.raises(UserError, match=r"probe_cuont.*other\.toml"):
        resolve(config=config)
    config.write_text("include = 3\n")
    with pytest.raises(UserError, match="include"):
        resolve(config=config)


def test_nothing_changes_where_nothing_cheaper_reaches_the_bounds(tmp_path: Path) -> None:
    plain = settings_with(tmp_path)
    unlike = Likeness(8, 0.98, 0.97, 0.9, 1.0, 1.0, 8, 8, 0.1)
    write_recipe_file(tmp_path / "c.toml", plain, found(plain, unlike))
    again = settings_with(tmp_path, f"include=['{tmp_path / 'c.toml'}']")
    assert again.recipe.bases["pocket"].steps == 8 and again.recipe.probe_count == 24
    assert again.measured["pocket"].cosine is None


def test_estimates_go_by_what_was_measured(included: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, known = included.recipe, included.measured["pocket"]
    drawn = pictures(recipe, "plain", known)
    assert drawn == Span(10 + 0.8 * 12, 12 + 1.0 * 12), "two other strengths, six pictures each"
    each = assumed_seconds(included, make_item(1))
    assert each.least == pytest.approx((drawn.least * 0.02 + 0.3 + 0.8 * 0.5) * 0.5)
    assert each.most == pytest.approx((drawn.most * 0.02 + 0.3 + 0.5) * 0.7)
    assert (basis_of(included, ["pocket"]), basis_of(included, [None])) == ("calibrated", "calibrated")
    cost = audit_cost(included, [make_item(1), make_item(2), make_item(1)])
    assert cost.files == 2 and cost.basis == "calibrated"
    assert "as calibrated here" in capsys.readouterr().err


def test_other_settings_than_the_measured_ones_are_reckoned_from_them(included: Settings) -> None:
    base, known = included.recipe.bases["pocket"], included.measured["pocket"]
    guided = base.model_copy(update={"steps": 12, "guidance": 4.0})
    recipe = included.recipe.model_copy(update={"bases": {"pocket": guided}})
    costs = catalog_cost(recipe, {"pocket": 10}, shares(0, 0), 100, {"pocket": known})
    assert costs[0].reference_s == pytest.approx(100 * 0.01 * 2 * 2)
    assert cost_rows(costs)[0][-1] == 'measured here, a "card", 8 adapters'


def test_without_a_calibration_an_estimate_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = settings_with(tmp_path)
    assert audit_cost(plain, [make_item(1)]).basis == "assumed"
    assert "auditor calibrate" in capsys.readouterr().err
