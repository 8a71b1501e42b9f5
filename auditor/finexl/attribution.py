"""Ranks, chance lines and intervals for judging an explainer against known personalisation levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from auditor.finexl.arrays import FloatArray, as_array


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile bootstrap interval over `cases` cases."""

    mean: float
    low: float
    high: float
    cases: int


def average_ranks(values: ArrayLike) -> FloatArray:
    """Ranks from 1, smallest first; equal values share the average of their ranks."""
    array = as_array(values, "values", 1)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse])


def rank_error(levels: ArrayLike, scores: ArrayLike) -> float:
    """Mean absolute difference between the ranks of `scores` and of the true `levels` (App. C)."""
    truth, found = average_ranks(levels), average_ranks(scores)
    if truth.shape != found.shape or truth.size == 0:
        raise ValueError(f"levels and scores must pair up and not be empty, got {truth.size}, {found.size}")
    return float(np.abs(truth - found).mean())


def chance_random(levels: int) -> float:
    """Expected rank error of a random order of `levels` levels: (L² - 1) / (3 L)."""
    _at_least_one(levels)
    return (levels**2 - 1) / (3 * levels)


def chance_tied(levels: int) -> float:
    """Rank error of an answer that gives every level the same score."""
    _at_least_one(levels)
    return float(np.abs(np.arange(1, levels + 1) - (levels + 1) / 2).mean())


def bootstrap_mean(values: ArrayLike, *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Mean of per-case values with a percentile bootstrap interval; one case gives a point."""
    array = np.sort(as_array(values, "values", 1))
    if array.size == 0:
        raise ValueError("no cases to average")
    drawn = np.random.default_rng(seed).integers(array.size, size=(resamples, array.size))
    means = array[drawn].mean(axis=1)
    tail = (1.0 - confidence) / 2.0
    mean = float(array.mean())
    low, high = (float(q) for q in np.quantile(means, [tail, 1.0 - tail]))
    return Interval(mean, min(low, mean), max(high, mean), int(array.size))


def _at_least_one(levels: int) -> None:
    if levels < 1:
        raise ValueError(f"levels must be at least 1, got {levels}")
