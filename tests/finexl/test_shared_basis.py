"""Scores on the shared basis and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.finexl.concepts import CombinedDirections, ConceptDirections, combine
from auditor.finexl.shared_basis import ScoreOptions, make_basis, score, score_phrase
from auditor.finexl.solvers import Solver

SOLVERS: list[Solver] = ["nnls", "ols", "projection"]


def problem(seed: int, n: int = 12, count: int = 6, dimension: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dimension)) + 0.5 * rng.normal(size=dimension)
    rows = vectors[0] + 0.5 * vectors[1] + 0.5 * rng.normal(size=(n, dimension))
    return rows, vectors


def names(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]


def fields(result: object) -> list[str]:
    return [f for f in vars(result) if isinstance(getattr(result, f), np.ndarray)]


def test_the_norm_is_the_length_of_the_mean_difference() -> None:
    rows = np.array([[3.0, 0.0, 4.0, 0.0], [3.0, 2.0, 4.0, 0.0], [3.0, -2.0, 4.0, 0.0]])
    found = score(rows, make_basis(names(2), np.eye(4)[:2]))
    assert found.norm == pytest.approx(5.0) and found.probes == 3


def test_dependent_directions_have_intervals_as_small_as_the_scatter_allows() -> None:
    rng = np.random.default_rng(4)
    vectors = np.stack([np.eye(6)[0], np.eye(6)[1], np.eye(6)[0] + np.eye(6)[1]])
    rows = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]) + 0.1 * rng.normal(size=(40, 6))
    found = score(rows, make_basis(names(3), vectors), ScoreOptions(solver="ols", ridge=0.0))
    assert ((found.low <= found.score) & (found.score <= found.high)).all()
    assert (found.high - found.low < 0.2).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 4), st.sampled_from(SOLVERS))
def test_planted_scores_are_recovered(seed: int, planted: int, solver: Solver) -> None:
    rng = np.random.default_rng(seed)
    orthogonal, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    vectors = orthogonal[:8] + 0.01 * rng.normal(size=(8, 16))
    truth = np.zeros(8)
    truth[:planted] = rng.uniform(0.5, 2.0, size=planted)
    rows = truth @ vectors + 0.05 * rng.normal(size=(30, 16))
    result = score(rows, make_basis(names(8), vectors), ScoreOptions(solver=solver))
    assert result.score == pytest.approx(truth, abs=0.2)
    assert result.explained_share > 0.9
    assert ((result.low <= result.score) & (result.score <= result.high)).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.sampled_from(SOLVERS), st.sampled_from([0.0, 0.1]))
def test_linear_and_order_free(seed: int, scale: float, solver: Solver, ridge: float) -> None:
    rows, vectors = problem(seed)
    basis, options = make_basis(names(6), vectors), ScoreOptions(solver=solver, ridge=ridge)
    first = score(rows, basis, options)
    shuffled = score(np.random.default_rng(seed).permutation(rows), basis, options)
    scaled = score(scale * rows, basis, options)
    for name in fields(first):
        assert (getattr(first, name) == getattr(shuffled, name)).all()
        expected = getattr(first, name) * (1 if name == "place" else scale)
        assert expected == pytest.approx(getattr(scaled, name), rel=1e-6, abs=1e-7 * scale)
    assert scaled.explained_share == pytest.approx(first.explained_share)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 5), st.floats(0.5, 3.0), st.sampled_from(SOLVERS))
def test_a_duplicate_concept_changes_nothing(seed: int, copied: int, length: float, solver: Solver) -> None:
    rows, vectors = problem(seed)
    options = ScoreOptions(solver=solver)
    plain = score(rows, make_basis(names(6), vectors), options)
    doubled = make_basis([*names(6), "copy"], np.concatenate([vectors, length * vectors[copied : copied + 1]]))
    again = score(rows, doubled, options)
    for name in fields(plain):
        assert (getattr(again, name)[:6] == getattr(plain, name)).all()
        assert getattr(again, name)[6] == getattr(plain, name)[copied]
    assert again.explained_share == plain.explained_share


def test_opposites_are_not_merged() -> None:
    basis = make_basis(["dark", "bright"], [[1.0, 0], [-1.0, 0]])
    result = score(np.tile([1.0, 0], (5, 1)), basis)
    assert result.score == pytest.approx([1.0, 0.0])
    assert result.projection == pytest.approx([1.0, -1.0])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n", [1, 2, 7])
def test_degenerate_inputs_stay_finite(solver: Solver, n: int) -> None:
    options = ScoreOptions(solver=solver)
    vectors = np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 0, 0], [-1.0, 0, 0], [0.9, 0.1, 0]])
    basis = make_basis(names(5), vectors)
    rng = np.random.default_rng(n)
    for rows in (np.zeros((n, 3)), rng.normal(size=(n, 3)), np.tile([0.3, 0, 0], (n, 1))):
        result = score(rows, basis, options)
        for name in fields(result):
            assert np.isfinite(getattr(result, name)).all(), name
        assert (result.low <= result.score).all() and (result.score <= result.high).all()
        assert 0.0 <= result.explained_share <= 1.0
    nothing = score(np.zeros((n, 3)), basis, options)
    assert (nothing.high == 0).all() and nothing.explained_share == 0.0
    empty = score(rng.normal(size=(n, 3)), make_basis([], np.zeros((0, 3))), options)
    assert empty.score.shape == (0,) and empty.explained_share == 0.0


def test_one_probe_claims_no_precision() -> None:
    basis = make_basis(["a"], [[1.0, 0]])
    one, many = score([[0.5, 0.1]], basis), score(np.tile([0.5, 0.1], (20, 1)), basis)
    assert one.low[0] == 0.0 and one.high[0] > 1.0
    assert many.high[0] - many.low[0] < 1e-6


def test_intervals_shrink_with_probes_and_cover() -> None:
    rng = np.random.default_rng(0)
    vectors = np.eye(8)[:3]
    basis, truth, covered, widths = make_basis(names(3), vectors), np.array([1.0, 0.5, 0.2]), 0, []
    aligned = ScoreOptions()
    for _ in range(40):
        result = score(truth @ vectors + 0.3 * rng.normal(size=(20, 8)), basis, aligned)
        covered += int(((result.low <= truth) & (truth <= result.high)).sum())
        widths.append(result.high[0] - result.low[0])
    assert covered / 120 > 0.88
    longer = score(truth @ vectors + 0.3 * rng.normal(size=(200, 8)), basis, aligned)
    assert longer.high[0] - longer.low[0] < 0.5 * np.mean(widths)


def test_noise_biases_the_joint_fit_and_the_interval_still_covers_a_longer_audit() -> None:
    rng = np.random.default_rng(11)
    vectors = 0.8 * rng.normal(size=(60, 50)) + 0.6 * rng.normal(size=50)
    basis, covered = make_basis(names(60), vectors), []
    for _ in range(60):
        chosen = rng.choice(60, 2, replace=False)
        mean = rng.uniform(0.3, 1.0, 2) @ vectors[chosen]
        longer = score(mean[None, :], basis).score
        found = score(mean + 2.5 * rng.normal(size=(24, 50)), basis)
        covered += ((found.low <= longer) & (longer <= found.high))[longer > 0.05].tolist()
    assert 0.93 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize("mode", ["stacked", "either"])
def test_two_sided_modes_score_what_both_sides_say(mode: str) -> None:
    side = ConceptDirections(np.eye(6)[:3], np.full(3, 0.1))
    basis = make_basis(names(3), combine(side, side, mode))  # type: ignore[arg-type]
    result = score(np.tile([1.0, 0.5, 0, 0, 0, 0], (4, 1)), basis)
    assert result.score == pytest.approx([1.0, 0.5, 0.0], abs=1e-4)
    assert result.projection == pytest.approx([1.0, 0.5, 0.0])
    assert result.explained_share == pytest.approx(1.0)


def test_what_lies_in_the_common_direction_is_not_explained() -> None:
    span = np.array([[0.0, 0.0, 1.0]])
    basis = make_basis(["a"], [[1.0, 0, 3.0]], common=span)
    result = score(np.tile([1.0, 0, 1.0], (4, 1)), basis)
    assert result.score == pytest.approx([1.0])
    assert result.explained_share == pytest.approx(0.5)


def test_phrase_outside_the_lexicon() -> None:
    rows, vectors = problem(5)
    result = score(rows, make_basis(names(6), vectors))
    phrase = score_phrase(rows, vectors[2])
    assert phrase.score == pytest.approx(result.projection[2])
    sure = score_phrase(rows, vectors[2], alignment=1.0)
    assert phrase.high - phrase.low == pytest.approx(2 * (sure.high - sure.low)), "half of it is taken to be known"
    alone = score_phrase(rows.mean(axis=0), vectors[2])
    assert alone.score == pytest.approx(phrase.score) and alone.high - alone.low > phrase.high - phrase.low
    assert score_phrase(rows, np.zeros(10)).cosine == 0.0
    assert score_phrase(np.zeros(10), vectors[0]).high == 0.0
    assert -1.0 <= phrase.cosine <= 1.0


def test_bad_input_is_named() -> None:
    basis = make_basis(["a"], [[1.0, 0]])
    with pytest.raises(ValueError, match="dimensions"):
        score(np.ones((2, 3)), basis)
    with pytest.raises(ValueError, match="NaN"):
        score([[np.nan, 1.0]], basis)
    with pytest.raises(ValueError, match="unique"):
        make_basis(["a", "a"], np.eye(2))
    with pytest.raises(ValueError, match="names"):
        make_basis(["a"], np.eye(2))
    for owner in ([0, 0, 1], [1, 1], [0, 2]):  # one has two atoms, one has none, one is nobody's
        atoms = CombinedDirections(np.eye(3)[: len(owner)], np.array(owner), 1, None)
        with pytest.raises(ValueError, match="names"):
            make_basis(["a", "b"], atoms)
    with pytest.raises(ValueError, match="dimensions"):
        score_phrase(np.ones((2, 3)), np.ones(2))


def test_a_large_basis_is_scored() -> None:
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(150, 200)) + 0.5 * rng.normal(size=200)
    rows = vectors[3] + 0.5 * vectors[140] + 0.3 * rng.normal(size=(15, 200))
    result = score(rows, make_basis(names(150), vectors), ScoreOptions())
    assert result.score[[3, 140]] == pytest.approx([1.0, 0.5], abs=0.1)
    assert set(np.argsort(-result.score)[:2]) == {3, 140}
    assert result.low[3] > 0.5 and (result.high >= result.score).all()


def test_atoms_that_cancel_leave_scores_bounded() -> None:
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(6, 20))
    centred = vectors - vectors.mean(axis=0)
    result = score(rng.normal(size=(8, 20)), make_basis(names(6), centred))
    assert result.high.max() < 100
