"""Solvers against scipy, numpy and each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.finexl.solvers import Solver, nonnegative_batch, nonnegative_gram, solve, solve_batch


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(2, 10), st.floats(0, 0.3))
def test_batch_equals_single(seed: int, count: int, dimension: int, ridge: float) -> None:
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(count, dimension)) + rng.normal(size=dimension)
    targets = rng.normal(size=(5, dimension))
    batch = solve_batch(targets @ atoms.T, atoms @ atoms.T, "nnls", ridge)
    for target, weights in zip(targets, batch, strict=True):
        single = solve(target, atoms, "nnls", ridge)
        assert (weights >= 0).all()
        # Weights need not be unique with more atoms than dimensions; the fit is.
        largest = max(1.0, float(single.max()))
        assert weights @ atoms == pytest.approx(single @ atoms, abs=1e-3 * largest)
        if ridge > 0.01:
            assert weights == pytest.approx(single, abs=1e-3 * largest)


@pytest.mark.parametrize("common", [0.0, 0.3])
def test_the_batch_is_near_the_exact_solution_with_many_atoms_and_with_few(common: float) -> None:
    rng = np.random.default_rng(0)
    atoms = np.sqrt(1 - common) * rng.normal(size=(120, 100)) + np.sqrt(common) * rng.normal(size=100)
    targets = atoms[:3].sum(axis=0) + 10 * rng.normal(size=(30, 100))
    gram, responses = atoms @ atoms.T + 1e-4 * np.eye(120), targets @ atoms.T
    found = nonnegative_batch(gram, responses)
    exact = np.array([nonnegative_gram(gram, b, np.zeros(120, dtype=bool))[0] for b in responses])
    assert (found >= 0).all()
    assert found == pytest.approx(exact, abs=1e-3 * exact.max())


def test_rows_that_do_not_settle_are_solved_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.finexl.solvers.ADMM_STEPS", 1)
    rng = np.random.default_rng(1)
    atoms = rng.normal(size=(12, 20))
    gram, responses = atoms @ atoms.T, rng.normal(size=(5, 20)) @ atoms.T
    exact = np.array([nonnegative_gram(gram, b, np.zeros(12, dtype=bool))[0] for b in responses])
    assert nonnegative_batch(gram, responses) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("solver", ["nnls", "ols", "projection"])
def test_degenerate_problems(solver: Solver) -> None:
    target = np.array([1.0, 2.0])
    assert solve(target, np.zeros((0, 2)), solver).shape == (0,)
    assert solve_batch(np.zeros((3, 0)), np.zeros((0, 0)), solver).shape == (3, 0)
    atoms = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    assert (solve(np.zeros(2), atoms, solver) == 0).all()
    single = solve(target, atoms, solver)
    batch = solve_batch((atoms @ target)[None, :], atoms @ atoms.T, solver)[0]
    for weights in (single, batch):
        assert np.isfinite(weights).all() and weights[2] == 0
        if solver != "projection":
            assert weights @ atoms == pytest.approx([1.0, 0.0], abs=1e-4)


def test_ridge_shares_between_synonyms() -> None:
    atoms = np.array([[1.0, 0.05, 0.0], [1.0, 0.0, 0.05]])
    target = np.array([1.0, 0.05, 0.0])
    assert solve(target, atoms, "nnls") == pytest.approx([1.0, 0.0], abs=1e-2)
    shared = solve(target, atoms, "nnls", ridge=0.1)
    assert shared[1] > 0.4


def test_unknown_solver() -> None:
    with pytest.raises(ValueError, match="unknown solver"):
        solve(np.ones(2), np.eye(2), "lasso")  # type: ignore[arg-type]
