"""Which concept names an adapter first, which second: nearest to V, then nearest to what is left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.finexl.shared_basis import NAMED, ScoreOptions, SharedScores, make_basis, score


def scored(v: np.ndarray, vectors: np.ndarray) -> SharedScores:
    rows = np.stack([v, v])
    return score(rows, make_basis([f"c{i}" for i in range(len(vectors))], vectors))


def test_the_concept_that_v_points_to_comes_before_one_with_a_larger_score() -> None:
    short, long = np.array([0.1, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    found = scored(np.array([0.5, 0.6, 0.0]), np.stack([short, long]))
    assert found.score[0] > found.score[1]
    assert found.place.tolist() == [2, 1] and found.naming.tolist() == [1, 0]


def test_the_next_place_is_for_what_is_left_and_not_for_a_neighbour_of_the_first() -> None:
    first, other, neighbour = np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0.95, 0, np.sqrt(1 - 0.95**2)])
    v = first + 0.6 * other + 0.3 * neighbour
    assert v @ neighbour > v @ other
    found = scored(v, np.stack([neighbour, other, first]))
    assert (found.score > 0).all()
    assert found.place.tolist() == [3, 2, 1]


def test_what_is_left_is_taken_after_a_new_fit() -> None:
    """After the first alone its projection is taken off; with two, both weights are fitted again."""
    first, second = np.array([1.0, 0, 0, 0]), np.array([0.8, 0.6, 0, 0])
    third, fourth = np.array([0, 0.9, np.sqrt(1 - 0.81), 0]), np.array([0, 0, 0.2, np.sqrt(1 - 0.04)])
    vectors = np.stack([fourth, third, second, first])
    found = scored(np.array([1.0, 0.5, 0.5, 0.4]) @ vectors[::-1], vectors)
    left, expected = np.array([1.0, 0.5, 0.5, 0.4]) @ vectors[::-1], []
    whole = left.copy()
    for _ in range(4):
        along = [-np.inf if i in expected else float(left @ vectors[i]) for i in range(4)]
        expected.append(int(np.argmax(along)))
        chosen = vectors[expected]
        left = whole - np.linalg.lstsq(chosen.T, whole, rcond=None)[0] @ chosen
    assert (found.score > 0.1).all() and found.naming.tolist() == expected


def test_names_of_one_direction_share_its_place() -> None:
    found = scored(np.array([1.0, 0.5]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert found.place.tolist() == [1, 1, 2]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 30), st.floats(0.1, 5.0), st.sampled_from(["nnls", "ols"]))
def test_places_are_of_the_fit_and_the_first_is_nearest(seed: int, count: int, length: float, solver: str) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 12)) * rng.uniform(0.3, 2.0, size=(count, 1))
    rows = rng.uniform(0, 1, size=count) @ vectors + rng.normal(size=(6, 12))
    basis, options = make_basis([f"c{i}" for i in range(count)], vectors), ScoreOptions(solver=solver)  # type: ignore[arg-type]
    found = score(rows, basis, options)
    given_places = np.sort(found.place[found.place > 0])
    assert given_places.tolist() == list(range(1, len(given_places) + 1)) and len(given_places) <= NAMED
    assert (found.score[found.place > 0] > 0).all()
    if len(given_places):
        cosines = vectors @ rows.mean(axis=0) / np.linalg.norm(vectors, axis=1)
        within = np.where(found.score > 1e-9, cosines, -np.inf)
        assert cosines[found.naming[0]] == pytest.approx(within.max())
    again = score(length * rng.permutation(rows), basis, options)
    assert again.place.tolist() == found.place.tolist()


def test_what_has_no_place_follows_by_score() -> None:
    rng = np.random.default_rng(3)
    vectors, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    amounts = np.linspace(1.0, 0.2, 16)
    found = scored(amounts @ vectors, vectors)
    assert (found.place > 0).sum() == NAMED
    assert found.naming.tolist() == list(range(16))


def test_the_first_concept_alone_explains_its_share_of_what_is_not_scatter() -> None:
    v, vectors = np.array([0.8, 0.6, 0.0]), np.eye(3)
    assert scored(v, vectors).first_share == pytest.approx(0.64, abs=1e-4)
    rows = v + 0.3 * np.stack([np.array([0.0, 0, 1]), np.array([0, 0, -1.0])])
    assert score(rows, make_basis(["a", "b", "c"], vectors)).first_share == pytest.approx(0.64 / (1 - 0.09), abs=1e-4)
    assert scored(np.zeros(3), vectors).first_share == scored(-np.ones(3), vectors).first_share == 0.0


def test_one_probe_has_no_scatter_to_set_aside() -> None:
    found = score([[0.8, 0.6, 0.0]], make_basis(["a", "b", "c"], np.eye(3)))
    assert found.first_share == pytest.approx(0.64, abs=1e-4)


def test_the_share_of_the_first_concept_is_never_more_than_all() -> None:
    rows = np.array([[0.6, -0.1, 0.6], [0.6, -0.5, 0.4], [1.8, 0.9, -0.7]])
    v = rows.mean(axis=0)
    assert v[0] ** 2 > v @ v - rows.var(axis=0, ddof=1).sum() / 3 > 0.1
    assert score(rows, make_basis(["a"], np.eye(3)[:1])).first_share == 1.0


def test_what_points_away_from_the_rest_has_no_place_though_a_free_fit_gives_it_weight() -> None:
    vectors = np.array([[0.3, 0.8, 0.3], [-1.3, 0.9, 0.4], [-0.5, 0.6, 0.4]])
    v = np.array([1.0, 0.3, -0.8]) @ vectors
    left = v - (v @ vectors[0]) / (vectors[0] @ vectors[0]) * vectors[0]
    assert vectors[1] @ left < 0
    found = score(np.stack([v, v]), make_basis(["a", "b", "c"], vectors), ScoreOptions(solver="ols"))
    assert found.score == pytest.approx([1.0, 0.3, -0.8]) and found.place.tolist() == [1, 0, 0]


def test_nothing_has_no_place() -> None:
    assert scored(np.zeros(3), np.eye(3)).place.tolist() == [0, 0, 0]
    assert scored(-np.ones(3), np.eye(3)).place.tolist() == [0, 0, 0]
