"""Signed levels: their unit, order, intervals, penalty and clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.finexl.arrays import FloatArray, unit
from auditor.finexl.attribution import rank_error
from auditor.finexl.basis import Basis, make_basis
from auditor.finexl.clusters import clusters
from auditor.finexl.concepts import CombineMode, ConceptDirections, combine, half_differences
from auditor.finexl.levels import PENALTIES, choose_penalty, level_map, levels
from auditor.finexl.solvers import solve


def names(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]


def measured(seed: int, count: int, dimension: int, alignment: float) -> tuple[FloatArray, Basis, FloatArray]:
    """True directions, the basis that two noisy sides make of them, and half the difference of the sides."""
    rng = np.random.default_rng(seed)
    truth = unit(rng.normal(size=(count, dimension)) + 0.4 * rng.normal(size=dimension))
    text, image = (
        unit(np.sqrt(alignment) * truth + np.sqrt(1 - alignment) * unit(rng.normal(size=truth.shape))) for _ in range(2)
    )
    known = np.full(count, 0.1)
    combined = combine(ConceptDirections(text, known), ConceptDirections(image, known), "mean", length="text")
    return truth, make_basis(names(count), combined), half_differences(text, image)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(PENALTIES), st.floats(-2, 2))
def test_a_concept_alone_has_its_own_amount_as_level(seed: int, penalty: float, amount: float) -> None:
    vectors = np.random.default_rng(seed).normal(size=(7, 12))
    mapping = level_map(make_basis(names(7), vectors), penalty)
    found = levels(np.tile(amount * vectors[3], (5, 1)), mapping)
    assert found.level[3] == pytest.approx(amount, abs=1e-9)


@pytest.mark.parametrize("mode", ["mean", "stacked", "either"])
def test_levels_are_linear_in_v_and_one_matrix_makes_them(mode: CombineMode) -> None:
    rng = np.random.default_rng(2)
    sides = [ConceptDirections(rng.normal(size=(6, 9)), np.full(6, 0.1)) for _ in range(2)]
    mapping = level_map(make_basis(names(6), combine(sides[0], sides[1], mode)), 0.3)
    first, second = rng.normal(size=(8, 9)), rng.normal(size=(8, 9))
    both = levels(first - 2 * second, mapping).level
    assert both == pytest.approx(levels(first, mapping).level - 2 * levels(second, mapping).level)
    assert both == pytest.approx(mapping.matrix @ (first - 2 * second).mean(axis=0))


def test_names_of_one_direction_share_its_level_and_nothing_is_nothing() -> None:
    vectors = np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 0, 0], [0, 1.0, 0]])
    mapping = level_map(make_basis(names(4), vectors), 0.5)
    found = levels(np.tile([0.5, 0, 0], (4, 1)), mapping)
    assert found.level == pytest.approx([0.5, 0.5, 0.0, 0.0])
    assert (levels(np.zeros((4, 3)), mapping).level == 0).all()


def test_amounts_of_neighbours_are_ordered_better_than_by_the_joint_fit() -> None:
    truth, basis, halves = measured(0, 120, 80, 0.5)
    rng = np.random.default_rng(1)
    mapping = level_map(basis, choose_penalty(basis, halves, 0.5 * rng.normal(size=(50, 80)), 25), halves)
    amounts, joint, signed = np.linspace(0.1, 1.0, 6), [], []
    for _ in range(60):
        asked, other = rng.choice(120, 2, replace=False)
        means = np.outer(amounts, truth[asked]) + np.outer(rng.uniform(0, 1, 6), truth[other])
        means += 0.1 * rng.normal(size=means.shape)
        joint.append(rank_error(amounts, [solve(v, basis.atoms, "nnls")[asked] for v in means]))
        signed.append(rank_error(amounts, means @ mapping.matrix[asked]))
    assert np.mean(signed) < 0.85 * np.mean(joint)


def test_intervals_over_probes_cover_longer_audits_and_doubt_covers_the_truth() -> None:
    truth, basis, halves = measured(3, 40, 60, 0.7)
    rng = np.random.default_rng(4)
    mapping = level_map(basis, 0.5, halves)
    again, narrow, wide = [], [], []
    for _ in range(300):
        amounts = np.zeros(40)
        amounts[rng.choice(40, 2, replace=False)] = rng.uniform(0.3, 1.0, 2)
        mean = amounts @ truth
        rows = mean + 0.3 * rng.normal(size=(24, 60))
        found = levels(rows, mapping, solve(rows.mean(axis=0), basis.atoms, "nnls"))
        present = amounts > 0
        half = found.high - found.level
        again.append((np.abs(found.level - mapping.matrix @ mean) <= half).mean())
        narrow.append((np.abs(found.level - amounts) <= half)[present].mean())
        wide.append((np.abs(found.level - amounts) <= np.hypot(half, 1.96 * found.doubt))[present].mean())
    assert 0.93 <= np.mean(again) <= 0.97
    assert np.mean(narrow) < 0.88
    assert 0.9 < np.mean(wide) < 0.97


def test_noise_asks_for_a_larger_penalty() -> None:
    _, basis, halves = measured(5, 30, 40, 0.95)
    scatter = np.random.default_rng(6).normal(size=(60, 40))
    quiet, loud = (choose_penalty(basis, halves, size * scatter, 10) for size in (0.001, 2.0))
    assert quiet < loud


def test_concepts_that_agree_as_two_readings_would_are_one_cluster() -> None:
    vectors = np.array([[1.0, 0, 0], [0.9, np.sqrt(1 - 0.81), 0], [0, 0, 1.0], [-1.0, 0, 0], [0, 0, 0]])
    assert clusters(vectors, np.full(5, 0.94)).tolist() == [0, 0, 2, 3, 4]
    assert clusters(vectors, np.full(5, 0.99)).tolist() == [0, 1, 2, 3, 4]


def test_a_chain_of_neighbours_is_not_one_cluster() -> None:
    angles = np.deg2rad([0, 20, 40])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert clusters(vectors, np.full(3, 0.95)).tolist() == [0, 0, 2]


def test_a_penalty_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        level_map(make_basis(names(1), [[1.0, 0.0]]), 0.0)
