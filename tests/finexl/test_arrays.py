"""Checks of what comes in, and the order in which rows are taken."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.finexl.arrays import TINY, as_array, as_vectors, canonical_rows, unit, unit_features


@pytest.mark.parametrize("values", [2, 1000])  # with two values columns tie, and the next one decides
def test_rows_are_sorted_by_their_columns_from_the_first(values: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.integers(0, values, size=(9, 5)).astype(np.float64)
        found = canonical_rows(rows[rng.permutation(9)])
        assert found.tolist() == sorted(rows.tolist())


def test_what_is_no_longer_than_rounding_has_no_direction() -> None:
    assert unit(np.array([[TINY, 0.0], [2 * TINY, 0.0], [0.0, 0.0]])).tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]


def test_a_feature_without_a_direction_is_refused_but_no_features_are_not() -> None:
    assert unit_features([[0.0, 2.0]], "features").tolist() == [[0.0, 1.0]]
    assert unit_features(np.zeros((0, 2)), "features").shape == (0, 2)
    with pytest.raises(ValueError, match="features holds a zero"):
        unit_features([[1.0, 0.0], [0.0, 0.0]], "features")


def test_axes_and_dimensions_must_be_those_asked_for_unless_there_are_no_vectors() -> None:
    with pytest.raises(ValueError, match="2 axes"):
        as_array(np.ones(3), "features", 2)
    with pytest.raises(ValueError, match="5 dimensions, expected 3"):
        as_vectors(np.ones((1, 5)), "vectors", 3)
    assert as_vectors(np.ones((0, 5)), "vectors", 3).shape == as_vectors([], "vectors", 3).shape == (0, 3)
