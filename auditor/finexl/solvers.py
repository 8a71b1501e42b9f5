"""Least-squares solvers for V ~ sum of w_i f(C_i) (Eq. 10): free, non-negative, ridge, one by one."""

from __future__ import annotations

from typing import Literal

import numpy as np

from auditor.finexl.arrays import TINY, FloatArray

Solver = Literal["nnls", "ols", "projection"]

LEAST_RIDGE = 1e-6
"""Penalty that the non-negative solvers always apply. It is too small to see in a score, and it makes the
solution unique where atoms are collinear or cancel (atoms that sum to zero leave weights unbounded)."""


def solve(target: FloatArray, atoms: FloatArray, solver: Solver, ridge: float = 0.0) -> FloatArray:
    """Weights (m,) of `atoms` (m, D) that rebuild `target` (D,).

    Args:
        target: V, of any length including zero.
        atoms: Concept vectors; collinear and zero ones are allowed.
        solver: "nnls" non-negative, "ols" free (least norm when collinear), "projection" each atom alone.
        ridge: Penalty on the squared weights, in units of the atoms' mean squared length. It spreads
            weight evenly over near-synonyms instead of giving all of it to one of them.
    """
    if solver == "projection":
        return np.asarray(projections(target[None, :], atoms)[0])
    scale = float(np.linalg.norm(target))
    if len(atoms) == 0 or scale <= TINY:
        return np.zeros(len(atoms))
    design, wanted = atoms.T, target / scale
    if solver == "nnls":
        ridge = max(ridge, LEAST_RIDGE)
    if ridge > 0.0:
        penalty = np.sqrt(ridge * float((atoms**2).sum(axis=1).mean())) * np.eye(len(atoms))
        design = np.concatenate([design, penalty])
        wanted = np.concatenate([wanted, np.zeros(len(atoms))])
    if solver == "ols":
        return np.asarray(np.linalg.lstsq(design, wanted, rcond=None)[0]) * scale
    if solver != "nnls":
        raise ValueError(f"unknown solver {solver!r}; choose nnls, ols or projection")
    from scipy.optimize import nnls  # takes longer to load than a search may

    weights, _ = nnls(design, wanted, maxiter=max(100, 10 * len(atoms)))
    return np.asarray(weights) * scale


def projections(targets: FloatArray, atoms: FloatArray) -> FloatArray:
    """Single projections <V, f> / |f|² of each target (B, D) on each atom (m, D) -> (B, m)."""
    squares = (atoms**2).sum(axis=1)
    usable = squares > TINY**2
    return np.where(usable, (targets @ atoms.T) / np.where(usable, squares, 1.0), 0.0)
