"""Divergence and its closed-form precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from auditor.finexl.divergence import (
    Precision,
    divergence,
    expected_cosine_error,
    next_look,
    precision,
    probes_needed,
)

finite_rows = arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 6)), elements=st.floats(-2, 2))


def sample(rng: np.random.Generator, n: int, spread: float, dimension: int = 256) -> np.ndarray:
    mean = np.zeros(dimension)
    mean[0] = 1.0
    return mean + rng.normal(size=(n, dimension)) * np.sqrt(spread / dimension)


@given(finite_rows)
def test_everything_is_defined(rows: np.ndarray) -> None:
    result, estimate = divergence(rows), precision(rows)
    assert 0.0 <= estimate.cosine_error <= 1.0
    assert np.isfinite([estimate.signal, estimate.signal_error, estimate.spread, result.norm]).all()
    assert next_look(rows).precision == estimate


def test_signal_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    estimates = [precision(sample(rng, 5, 4.0)).signal for _ in range(400)]
    naive = [divergence(sample(rng, 5, 4.0)).norm ** 2 for _ in range(400)]
    assert np.mean(estimates) == pytest.approx(1.0, abs=0.1)
    assert np.mean(naive) == pytest.approx(1.8, abs=0.1)


@pytest.mark.parametrize("spread", [1.0, 5.0])
@pytest.mark.parametrize("n", [10, 25, 50])
def test_closed_form_matches_simulation(spread: float, n: int) -> None:
    rng = np.random.default_rng(n)
    true, estimated = [], []
    for _ in range(60):
        rows = sample(rng, n, spread)
        mean = rows.mean(axis=0)
        true.append(1.0 - mean[0] / np.linalg.norm(mean))
        estimated.append(precision(rows).cosine_error)
    assert np.mean(estimated) == pytest.approx(np.mean(true), rel=0.1)


def test_probes_needed_meets_the_target() -> None:
    rng = np.random.default_rng(1)
    needed = probes_needed(precision(sample(rng, 25, 5.0)), 0.05)
    assert needed is not None and 30 <= needed <= 70
    errors = []
    for _ in range(60):
        mean = sample(rng, needed, 5.0).mean(axis=0)
        errors.append(1.0 - mean[0] / np.linalg.norm(mean))
    assert np.mean(errors) == pytest.approx(0.05, rel=0.3)


@pytest.mark.parametrize("count", [3, 7, 25, 50, 100])
def test_the_error_expected_of_so_many_probes_needs_no_more_than_these(count: int) -> None:
    known = Precision(probes=5, signal=1.0, signal_error=0.0, spread=1.0, cosine_error=0.0)
    target = expected_cosine_error(1.0, 1.0, count)
    assert probes_needed(known, target) == count
    assert probes_needed(known, 0.999 * target) == count + 1


def test_probes_are_counted_and_not_dimensions() -> None:
    found = divergence(np.ones((5, 3)))
    assert found.probes == 5 and found.norm == pytest.approx(3**0.5)


def test_looks() -> None:
    rng = np.random.default_rng(2)
    assert next_look(sample(rng, 25, 0.5)).reason == "target_reached"
    onward = next_look(sample(rng, 25, 6.0))
    assert (onward.reason, onward.next_probes) == ("more_probes", 100)
    assert next_look(sample(rng, 200, 100.0)).reason == "target_missed"
    still = next_look(rng.normal(size=(200, 256)) * 0.01)
    assert (still.reason, still.next_probes) == ("no_detectable_effect", None)
    assert next_look(np.zeros((25, 4))).reason == "no_detectable_effect"


@settings(max_examples=30)
@given(finite_rows, st.floats(0.01, 100))
def test_precision_does_not_depend_on_scale(rows: np.ndarray, scale: float) -> None:
    rows = np.round(rows, 3)
    assert precision(rows * scale).cosine_error == pytest.approx(precision(rows).cosine_error, abs=1e-3)


def test_bad_targets_and_looks() -> None:
    for target in (0.0, 1.0):
        with pytest.raises(ValueError, match="target"):
            probes_needed(precision(np.ones((3, 2))), target)
    for looks in ((50, 25), (25, 25), (), (0, 5)):
        with pytest.raises(ValueError, match="increasing"):
            next_look(np.ones((3, 2)), looks=looks)


def test_without_a_signal_the_cosine_error_is_whole() -> None:
    assert expected_cosine_error(0.0, 1.0, 1000) == expected_cosine_error(-0.1, 0.0, 1000) == 1.0
    assert expected_cosine_error(1.0, 3.0, 1) == pytest.approx(0.5)


def test_an_uncertain_signal_that_the_last_look_could_settle_goes_on_though_the_one_before_could_not() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 256)) * np.sqrt(2.0 / 256)
    rows[:, 0] += 1.0
    estimate = next_look(rows, looks=(25,)).precision
    at_best = probes_needed(replace(estimate, signal=estimate.signal + 1.96 * estimate.signal_error), 0.05)
    assert at_best is not None and at_best > 4
    assert next_look(rows, looks=(4, at_best)).reason == "more_probes"
    assert next_look(rows, looks=(4, at_best - 1)).reason == "no_detectable_effect"


def test_the_error_of_the_signal_is_its_spread_where_there_is_an_effect() -> None:
    """Which only the jackknife sees."""
    rng = np.random.default_rng(0)
    found = [precision(1.0 + 0.5 * rng.normal(size=(24, 1))) for _ in range(400)]
    spread = np.std([each.signal for each in found])
    assert np.mean([each.signal_error for each in found]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("n", [1, 2])
def test_with_fewer_than_three_probes_the_mean_square_stands_in_for_the_error(n: int) -> None:
    found = precision(np.tile([3.0, 4.0], (n, 1)))
    assert found.signal_error == pytest.approx(25.0)
    assert (found.signal, found.cosine_error) == ((0.0, 1.0) if n == 1 else (pytest.approx(25.0), 0.0))


def test_a_target_that_is_met_ends_the_audit_though_the_interval_of_the_signal_covers_zero() -> None:
    look = next_look(np.tile([1.0, 0.0], (2, 1)))
    assert look.precision.signal - 1.96 * look.precision.signal_error < 0.0
    assert look.reason == "target_reached"


def test_the_probes_needed_are_the_fewest() -> None:
    estimate = precision(sample(np.random.default_rng(3), 25, 5.0))
    for target in (0.01, 0.05, 0.2):
        needed = probes_needed(estimate, target)
        assert needed is not None
        errors = [expected_cosine_error(estimate.signal, estimate.spread, n) for n in (needed - 1, needed)]
        assert errors[1] <= target < errors[0]


def test_rounding_makes_no_spread_negative() -> None:
    below = False
    for seed in range(50):
        rows = np.tile(np.random.default_rng(seed).normal(size=9), (7, 1))
        below |= precision(rows).signal > float((rows**2).sum(axis=1).mean())
        assert precision(rows).spread >= 0.0 and precision(rows).cosine_error >= 0.0
    assert below, "of these the difference alone is below zero"
