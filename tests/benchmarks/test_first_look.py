"""The estimate from few pictures and many predictions is right on average, and varies less than pictures alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from first_look import controlled


def test_a_control_variate_is_unbiased_and_steadier() -> None:
    rng = np.random.default_rng(0)
    m, n, rounds = 5, 30, 4000
    found, alone = [], []
    for _ in range(rounds):
        # skewed, so that a slope fitted on the very probes it is used for would lean to one side
        cheap = rng.gamma(0.7, size=(n, 2))
        full = cheap[:m] ** 1.5 + 0.2 * rng.normal(size=(m, 2))
        found.append(controlled(full, cheap))
        alone.append(full.mean(0))
    truth = np.full(2, _moment(0.7, 1.5))
    found, alone = np.asarray(found), np.asarray(alone)
    error = found.std(0) / rounds**0.5
    assert (np.abs(found.mean(0) - truth) < 4 * error).all()
    assert (found.var(0) < 0.8 * alone.var(0)).all()


def test_predictions_that_say_nothing_change_little() -> None:
    rng = np.random.default_rng(1)
    full, cheap = rng.normal(size=(12, 3)) + 1, rng.normal(size=(48, 3))
    assert np.abs(controlled(full, cheap) - full.mean(0)).max() < 0.3
    np.testing.assert_allclose(controlled(full, np.zeros((48, 3))), full.mean(0))


def _moment(shape: float, power: float) -> float:
    """E[x^power] of a gamma variable."""
    from scipy.special import gamma

    return float(gamma(shape + power) / gamma(shape))
