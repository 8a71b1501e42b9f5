"""Which concepts cannot be told apart."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.finexl.arrays import unit
from auditor.finexl.clusters import clusters, reading_error
from auditor.finexl.concepts import half_differences


def test_concepts_that_differ_by_less_than_readings_err_are_one_cluster() -> None:
    vectors = np.array([[1.0, 0, 0], [0.9, np.sqrt(1 - 0.81), 0], [0, 0, 1.0], [-1.0, 0, 0], [0, 0, 0]])
    assert clusters(vectors, np.ones(5), 0.05).tolist() == [0, 0, 2, 3, 4]
    assert clusters(vectors, np.ones(5), 0.02).tolist() == [0, 1, 2, 3, 4]


def test_a_cosine_that_bad_readings_made_small_is_seen_for_what_it_was() -> None:
    vectors = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    assert clusters(vectors, np.full(2, 0.75), 0.05).tolist() == [0, 0]
    assert clusters(vectors, np.ones(2), 0.05).tolist() == [0, 1]


def test_half_of_a_change_in_common_is_needed_however_bad_the_readings() -> None:
    vectors = np.array([[1.0, 0.0], [0.79, np.sqrt(1 - 0.79**2)]])
    assert clusters(vectors, np.ones(2), 9.0).tolist() == [0, 1]


def test_a_chain_of_neighbours_is_not_one_cluster() -> None:
    angles = np.deg2rad([0, 20, 40])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert clusters(vectors, np.ones(3), 0.04).tolist() == [0, 0, 2]


@pytest.mark.parametrize("alignment", [0.3, 0.7])
def test_the_error_of_readings_is_measured_by_how_the_sides_differ(alignment: float) -> None:
    rng = np.random.default_rng(0)
    truth = unit(rng.normal(size=(300, 200)))
    sides = [
        unit(np.sqrt(alignment) * truth + np.sqrt(1 - alignment) * unit(rng.normal(size=truth.shape))) for _ in range(2)
    ]
    atoms = unit(sides[0] + sides[1])
    error = reading_error(atoms, half_differences(*sides))
    wrong = atoms - (atoms * truth).sum(axis=1, keepdims=True) * truth
    along = np.sqrt(((wrong @ unit(rng.normal(size=(100, 200))).T) ** 2).mean())
    assert error == pytest.approx(along, rel=0.1)
    assert reading_error(atoms[:1], np.zeros((1, 200))) == 0.0
