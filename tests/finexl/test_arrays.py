"""The order in which rows are taken does not depend on the order in which they came."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.finexl.arrays import canonical_rows


@pytest.mark.parametrize("values", [2, 1000])  # with two values columns tie, and the next one decides
def test_rows_are_sorted_by_their_columns_from_the_first(values: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.integers(0, values, size=(9, 5)).astype(np.float64)
        found = canonical_rows(rows[rng.permutation(9)])
        assert found.tolist() == sorted(rows.tolist())
