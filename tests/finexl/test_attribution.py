"""Ranks, chance lines and bootstrap means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from auditor.finexl.attribution import (
    Interval,
    average_ranks,
    bootstrap_mean,
    chance_random,
    chance_tied,
    rank_error,
)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_ranks_match_scipy(values: list[int]) -> None:
    assert average_ranks(values) == pytest.approx(rankdata(values))


@pytest.mark.parametrize("levels", [1, 3, 5, 8, 10])
def test_chance_lines(levels: int) -> None:
    truth = np.arange(levels)
    assert chance_tied(levels) == pytest.approx(rank_error(truth, np.zeros(levels)))
    rng = np.random.default_rng(levels)
    simulated = np.mean([rank_error(truth, rng.permutation(levels)) for _ in range(1500)])
    assert chance_random(levels) == pytest.approx(simulated, abs=0.06)


def test_perfect_and_reversed_orders() -> None:
    assert rank_error([1, 2, 3], [0.1, 0.5, 9.0]) == 0.0
    assert rank_error([1, 2, 3], [3, 2, 1]) == pytest.approx(4 / 3)


def test_bootstrap_mean() -> None:
    values = np.random.default_rng(1).normal(1.0, 1.0, 100)
    interval = bootstrap_mean(values)
    assert interval.low < interval.mean < interval.high and interval.cases == 100
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.15)
    assert bootstrap_mean([2.0]) == Interval(2.0, 2.0, 2.0, 1)


def test_empty_and_unpaired_input_is_named() -> None:
    for call in (lambda: bootstrap_mean([]), lambda: rank_error([], []), lambda: rank_error([1], [1, 2])):
        with pytest.raises(ValueError, match=r"no cases|pair up"):
            call()
    for chance in (chance_random, chance_tied):
        assert chance(1) == 0.0
        with pytest.raises(ValueError, match="at least 1"):
            chance(0)


def test_the_bootstrap_interval_has_its_confidence_and_no_order() -> None:
    values = np.random.default_rng(2).normal(1.0, 1.0, 100)
    wide, half = bootstrap_mean(values), bootstrap_mean(values, confidence=0.5)
    assert (half.high - half.low) / (wide.high - wide.low) == pytest.approx(0.674 / 1.96, rel=0.15)
    assert bootstrap_mean(values[::-1]) == wide
