"""Where two clauses of a docstring meet: the case at the boundary, and the case in which both apply."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from auditor.finexl.basis import make_basis
from auditor.finexl.divergence import next_look, precision
from auditor.finexl.shared_basis import ScoreOptions, score
from auditor.finexl.significance import effect_test, sign_flip_p_value


def test_a_change_exactly_as_long_as_the_floor_is_no_effect() -> None:
    """`floor` is what |V| has to exceed, not to reach."""
    same = np.tile([0.5, 0.0], (8, 1))
    result = effect_test(same, np.array([[0.0, 1.0]]), negligible=0.5)
    assert result.norm == result.floor == 0.5
    assert result.reason == "below_floor"


@pytest.mark.parametrize("resamples", [1, 100])
def test_a_drawn_p_value_is_never_zero(resamples: int) -> None:
    assert sign_flip_p_value(np.ones((40, 2)), resamples=resamples) == 1 / (1 + resamples)


def _left_out(rows: np.ndarray) -> float:
    """The jackknife by its definition: the signal of every sample with one probe left out."""
    n = len(rows)
    signals = np.array([precision(np.delete(rows, i, axis=0)).signal for i in range(n)])
    return float(np.sqrt((n - 1) / n * ((signals - signals.mean()) ** 2).sum()))


def test_the_signal_error_is_the_jackknife_where_there_is_an_effect() -> None:
    rows = np.array([[1.0], [1.0], [1.0], [5.0]])
    assert precision(rows).signal_error == pytest.approx(_left_out(rows), rel=1e-12)
    assert precision(rows).signal_error > 0


def test_the_signal_error_stays_where_the_jackknife_vanishes() -> None:
    """Every probe left out changes the signal alike, though there is no effect at all."""
    rows = np.array([[1.0], [1.0], [-1.0], [-1.0]])
    assert _left_out(rows) == pytest.approx(0.0, abs=1e-12)
    # sqrt of twice the sum of squared products, over n (n - 1)
    assert precision(rows).signal_error == pytest.approx(np.sqrt(2 * 12) / 12)


def test_a_signal_too_uncertain_to_size_by_takes_the_smallest_step() -> None:
    looks, steps = (6, 12, 24, 2000), []
    for seed in range(60):
        rows = np.random.default_rng(seed).normal(size=(6, 4)) + 0.4
        look = next_look(rows, looks=looks)
        undetected = look.precision.signal - 1.96 * look.precision.signal_error <= 0
        if undetected and look.reason == "more_probes":
            steps.append(look.next_probes)
    assert len(steps) > 10 and set(steps) == {12}


ROWS = np.array([[9.0], [9.0], [11.0], [11.0]])


def test_the_bootstrap_interval_is_widened_for_the_variance_that_resampling_loses() -> None:
    """Of four resampled ±1 the mean reaches ±1 in a sixteenth of the draws: both ends, before the widening."""
    basis = make_basis(("only",), np.array([[1.0]]))
    options = ScoreOptions(solver="ols", resamples=4000, unknown_alignment=1.0)
    result = score(ROWS, basis, options)
    widened = np.sqrt(4 / 3)
    assert (result.low[0], result.high[0]) == pytest.approx((10 - widened, 10 + widened))


def test_the_projection_interval_is_students() -> None:
    basis = make_basis(("only",), np.array([[1.0]]))
    result = score(ROWS, basis, ScoreOptions(unknown_alignment=1.0))
    half = stats.t.ppf(0.975, 3) * ROWS.std(ddof=1) / 2
    assert (result.projection_low[0], result.projection_high[0]) == pytest.approx((10 - half, 10 + half))


@pytest.mark.parametrize("length", [0.001, 1.0, 70.0])
def test_the_common_share_does_not_depend_on_the_strength(length: float) -> None:
    basis = make_basis(("only",), np.array([[0.0, 0.0, 1.0]]), common=np.array([[1.0, 0.0, 0.0]]))
    rows = np.tile([3.0, 4.0, 0.0], (4, 1)) * length
    assert score(rows, basis).common_share == pytest.approx(9 / 25)
