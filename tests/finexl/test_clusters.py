"""Which concepts cannot be told apart."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.finexl.arrays import unit
from auditor.finexl.clusters import clusters, reading_errors
from auditor.finexl.concepts import half_differences


def test_concepts_that_differ_by_less_than_readings_err_are_one_cluster() -> None:
    vectors = np.array([[1.0, 0, 0], [0.9, np.sqrt(1 - 0.81), 0], [0, 0, 1.0], [-1.0, 0, 0], [0, 0, 0]])
    assert clusters(vectors, np.ones(5), np.full(5, 0.06)).tolist() == [0, 0, 2, 3, 4]
    assert clusters(vectors, np.ones(5), np.full(5, 0.04)).tolist() == [0, 1, 2, 3, 4]


def test_a_cosine_that_bad_readings_made_small_is_seen_for_what_it_was() -> None:
    vectors = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    assert clusters(vectors, np.full(2, 0.75), [0.05, 0.05]).tolist() == [0, 1]
    assert clusters(vectors, np.full(2, 0.73), [0.05, 0.05]).tolist() == [0, 0]
    assert clusters(vectors, np.ones(2), [0.05, 0.05]).tolist() == [0, 1]


def test_words_that_may_be_alike_but_are_too_badly_read_to_know_stay_apart() -> None:
    vectors = np.array([[1.0, 0.0], [0.9, np.sqrt(1 - 0.81)]])
    assert clusters(vectors, np.ones(2), [0.06, 0.06]).tolist() == [0, 0]
    assert clusters(vectors, np.ones(2), [0.08, 0.08]).tolist() == [0, 1]
    far = np.array([[1.0, 0.0], [0.38, np.sqrt(1 - 0.38**2)]])
    assert clusters(far, np.full(2, 0.58), [0.2, 0.2]).tolist() == [0, 1], "a corrected cosine of 1, give or take 0.5"


def test_one_badly_read_word_does_not_join_others() -> None:
    near = np.array([[1.0, 0, 0], [0.9, np.sqrt(1 - 0.81), 0], [0, 0, 1.0]])
    assert clusters(near, np.ones(3), [0.03, 0.03, 0.3]).tolist() == [0, 1, 2]
    assert clusters(near, np.ones(3), [0.03, 0.08, 0.3]).tolist() == [0, 0, 2], "each one's own error counts"


def test_a_chain_of_neighbours_is_not_one_cluster() -> None:
    angles = np.deg2rad([0, 20, 40])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert clusters(vectors, np.ones(3), np.full(3, 0.04)).tolist() == [0, 0, 2]


def test_each_words_error_is_read_off_its_own_two_sides() -> None:
    halves = np.zeros((3, 3))
    halves[0, 1] = 0.3  # leans towards the second concept, which is read without error
    errors = reading_errors(np.eye(3), halves)
    assert errors == pytest.approx([0.3 / np.sqrt(1 - 0.09) / np.sqrt(2), 0.0, 0.0])


@pytest.mark.parametrize("alignment", [0.3, 0.7])
def test_the_error_of_readings_is_measured_by_how_the_sides_differ(alignment: float) -> None:
    rng = np.random.default_rng(0)
    truth = unit(rng.normal(size=(300, 200)))
    sides = [
        unit(np.sqrt(alignment) * truth + np.sqrt(1 - alignment) * unit(rng.normal(size=truth.shape))) for _ in range(2)
    ]
    atoms = unit(sides[0] + sides[1])
    errors = reading_errors(atoms, half_differences(*sides))
    wrong = atoms - (atoms * truth).sum(axis=1, keepdims=True) * truth
    along = np.sqrt(((wrong @ unit(rng.normal(size=(100, 200))).T) ** 2).mean())
    assert np.sqrt((errors**2).mean()) == pytest.approx(along, rel=0.1)
    assert reading_errors(atoms[:1], np.zeros((1, 200))).tolist() == [0.0]


def test_a_concept_between_two_clusters_joins_the_first() -> None:
    angles = np.deg2rad([0, 40, 20])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert clusters(vectors, np.ones(3), np.full(3, 0.04)).tolist() == [0, 1, 0]
    assert clusters(vectors[[1, 0, 2]], np.ones(3), np.full(3, 0.04)).tolist() == [0, 1, 0]
