"""Solvers on degenerate and collinear problems."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.finexl.solvers import Solver, solve


@pytest.mark.parametrize("solver", ["nnls", "ols", "projection"])
def test_degenerate_problems(solver: Solver) -> None:
    target = np.array([1.0, 2.0])
    assert solve(target, np.zeros((0, 2)), solver).shape == (0,)
    atoms = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    assert (solve(np.zeros(2), atoms, solver) == 0).all()
    weights = solve(target, atoms, solver)
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


@pytest.mark.parametrize("solver", ["nnls", "ols"])
def test_equal_atoms_get_equal_weights(solver: Solver) -> None:
    atoms = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert solve(np.array([1.0, 2.0]), atoms, solver) == pytest.approx([0.5, 0.5], abs=1e-4)


@pytest.mark.parametrize("solver", ["nnls", "ols", "projection"])
def test_weights_go_with_the_length_of_the_target_and_against_that_of_the_atoms(solver: Solver) -> None:
    atoms, target = np.array([[1.0, 0.0], [0.3, 1.0]]), np.array([2.0, 1.0])
    weights = solve(target, atoms, solver)
    assert solve(1e-6 * target, atoms, solver) == pytest.approx(1e-6 * weights, rel=1e-6)
    assert solve(target, 1e-7 * atoms, solver) == pytest.approx(1e7 * weights, rel=1e-6)


def test_a_free_fit_tells_atoms_apart_that_are_much_alike() -> None:
    assert solve(np.array([3.0, 0.05]), np.array([[1.0, 0.0], [1.0, 0.05]]), "ols") == pytest.approx([2.0, 1.0])
