"""A calibration of the pocket: it measures what an audit measures, goes on where it stopped, and stops in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auditor.adapters.adapter_file import inspect_file
from auditor.audit.opening import load_encoder
from auditor.calibration.calibrating import Calibration, Options, calibrate
from auditor.calibration.choice import Bounds
from auditor.calibration.kept import Measurement, kept_for
from auditor.calibration.rates import stopping_at
from auditor.calibration.recipe_file import write_recipe_file
from auditor.calibration.trial_base import TrialBase
from auditor.common.package_paths import package_path
from auditor.errors import BaseDamaged, UserError
from auditor.measuring.base_choice import choose_base
from auditor.pipeline import connection, stages
from auditor.planning.slices import Slice
from auditor.results.result_file import read_result
from auditor.settings import Settings, resolve
from tests.audit.conftest import QUICK, small_hub
from tests.work_items import make_item

REPOS = (
    "ana-k/harbor-lora", "driftwood/lantern-lora", "mkr/moss-lora", "tomo/coral-lora", "grab-bag/zeros",
    "grab-bag/truncated",
)  # fmt: skip
ALL = Options(seconds=600, adapters=4, bounds=Bounds(0.5, 0.0))


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, reference_folder: Path) -> Settings:
    """A plan of a small Hub, its files fetched, no name asked for."""
    folder = tmp_path_factory.mktemp("planned")
    (folder / "work").mkdir()
    (folder / "work" / "reference").symlink_to(reference_folder)
    hub = small_hub(folder / "hub", REPOS)
    overrides = (*QUICK, f"hub.serve_folder={hub}", "recipe.proposer.kind=none")
    settings = resolve(config=None, profile="pocket", work_dir=folder / "work", overrides=overrides).settings
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        stages.plan(settings, client)
        stages.prefetch(settings, client, Slice())
    return settings


@pytest.fixture(scope="module")
def calibrated(planned: Settings) -> Calibration:
    """Without a network: all is prefetched."""
    return calibrate(planned, None, ALL)


def test_a_time_that_suffices_for_nothing_measures_nothing(planned: Settings) -> None:
    found = calibrate(planned, None, Options(seconds=0.0))
    assert not found.whole and not found.taken and not found.bases["pocket"].rates


def test_all_is_measured_and_the_cheapest_taken(planned: Settings, calibrated: Calibration) -> None:
    trials = calibrated.bases["pocket"]
    assert calibrated.whole and [each.drawing.key for each in trials.trials] == ["48-4-1"]
    drawing, probes = calibrated.taken["pocket"]
    assert {(c.drawing, c.probes) for c in trials.candidates} == {
        (k, n) for k in ("64-4-1", "48-4-1") for n in (6, 9, 12)
    }
    cheapest = min(trials.candidates, key=lambda each: each.seconds)  # as it was measured here
    assert (drawing.key, probes) == (cheapest.drawing, cheapest.probes) and probes == 6
    rate = calibrated.rates["pocket"]
    assert rate.adapters == 4 and rate.probes == (6.0, 6.0) and rate.picture_s > 0 < rate.fixed_s
    assert 0 < rate.drawn[0] < 4 / 6 < rate.drawn[1] < 1, "one has learned nothing, one is cut short"
    assert {"normalise", "apply", "generate", "dose", "remove"} <= rate.stages.keys()


def test_what_is_measured_is_what_an_audit_measures(planned: Settings, calibrated: Calibration) -> None:
    stages.audit(planned, None, Slice())
    results = [read_result(path) for path in (planned.work.dir / "results").rglob("*") if path.is_file()]
    drawn = {r.record.file_sha256: r.arrays["differences"] for r in results if r.record.effect is not None}
    assert len(drawn) == 4
    base = TrialBase(planned, "pocket", load_encoder(planned), None)
    for sha256, differences in drawn.items():
        unit = base.kept.unit(sha256, "own")
        assert unit is not None and np.array_equal(unit.differences, differences.astype(np.float32))


def test_nothing_is_measured_twice(planned: Settings, calibrated: Calibration, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Measurement:
        raise AssertionError("it was measured before")

    monkeypatch.setattr(TrialBase, "audit", never)
    monkeypatch.setattr(TrialBase, "measure", never)
    again = calibrate(planned, None, ALL)
    assert again.taken == calibrated.taken
    assert [c.likeness for c in again.bases["pocket"].candidates] == [
        c.likeness for c in calibrated.bases["pocket"].candidates
    ]


def test_a_calibrated_recipe_is_not_calibrated_again(planned: Settings, calibrated: Calibration) -> None:
    path = planned.work.dir / "calibration.toml"
    write_recipe_file(path, planned, calibrated)
    settings = resolve(profile="pocket", work_dir=planned.work.dir, overrides=[f"include=['{path}']"]).settings
    assert settings.recipe.bases["pocket"].size == calibrated.taken["pocket"][0].size
    assert settings.recipe.probe_count == 6
    with pytest.raises(UserError, match="include="):
        calibrate(settings, None, ALL)


def test_damaged_measurements_are_made_again(tmp_path: Path) -> None:
    kept = kept_for(tmp_path, "a recipe", "a device")
    unit = Measurement(np.ones((3, 2), np.float32), np.arange(3), 0.5, True, True, True, {"apply": 0.1})
    kept.keep_unit("f" * 64, "own", unit)
    read = kept.unit("f" * 64, "own")
    assert read is not None and (read.picture_s, read.acts, read.stages) == (0.5, True, {"apply": 0.1})
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-4])
    assert kept.unit("f" * 64, "own") is None


def test_sampling_stops_where_an_audit_would() -> None:
    clear = np.tile([[1.0, 0.0]], (24, 1)).astype(np.float32)
    noise = np.random.default_rng(0).normal(size=(24, 8)).astype(np.float32) + np.float32(1.0)
    looks = (8, 16, 24)
    assert stopping_at(Measurement(clear, np.arange(24)), 24, looks, 0.005) == 8
    assert stopping_at(Measurement(noise, np.arange(24)), 24, looks, 0.005) == 24
    assert stopping_at(Measurement(noise, np.arange(24)), 24, (), 0.005) == 24


def test_an_adapter_that_damages_the_base_is_left_out(planned: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    base = TrialBase(planned, "pocket", load_encoder(planned), None)

    def damages(*_: object) -> None:
        raise BaseDamaged("a weight differs")

    monkeypatch.setattr("auditor.calibration.trial_base.audit_file", damages)
    item = make_item(1)
    path = next(package_path("pocket/zoo/mkr/moss-lora").glob("*.safetensors"))
    adapter = inspect_file(path, name=path.name)
    assert not base.audit(item, adapter, "0" * 64, choose_base(item, adapter, planned)).drawn
    assert base.measure(base.own, adapter).drawn, "the base is whole again"
