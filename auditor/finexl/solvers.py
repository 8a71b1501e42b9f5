"""Least-squares solvers for V ~ sum of w_i f(C_i) (Eq. 10): free, non-negative, ridge, one by one.

The batch solver works on the Gram matrix of the atoms, so that the bootstrap can refit hundreds of
resampled V for the price of small linear systems instead of full problems in D dimensions.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import nnls

from auditor.finexl.arrays import TINY, FloatArray

Solver = Literal["nnls", "ols", "projection"]

LEAST_RIDGE = 1e-6
"""Penalty that the non-negative solvers always apply. It is too small to see in a score, and it makes the
solution unique where atoms are collinear or cancel (atoms that sum to zero leave weights unbounded)."""

ADMM_STEPS = 200
"""Steps after which the batch solver hands what has not settled to the exact method."""

_ADMM_STRENGTH = 0.3  # of the mean squared atom length; 0.1 and 1 take twice the steps or more
_ADMM_RELAXATION = 1.6
_ADMM_TOLERANCE = 1e-5  # largest change in a step, of the largest weight


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
    weights, _ = nnls(design, wanted, maxiter=max(100, 10 * len(atoms)))
    return np.asarray(weights) * scale


def projections(targets: FloatArray, atoms: FloatArray) -> FloatArray:
    """Single projections <V, f> / |f|² of each target (B, D) on each atom (m, D) -> (B, m)."""
    squares = (atoms**2).sum(axis=1)
    usable = squares > TINY**2
    return np.where(usable, (targets @ atoms.T) / np.where(usable, squares, 1.0), 0.0)


def solve_batch(responses: FloatArray, gram: FloatArray, solver: Solver, ridge: float = 0.0) -> FloatArray:
    """The same weights for many targets at once.

    Args:
        responses: <V_b, f_j> of every target b and atom j (B, m).
        gram: <f_i, f_j> (m, m).
        solver: As in `solve`.
        ridge: As in `solve`.

    Returns:
        Weights (B, m).
    """
    if responses.shape[1] == 0:
        return np.zeros_like(responses)
    squares = np.diag(gram)
    if solver == "projection":
        usable = squares > TINY**2
        return np.where(usable, responses / np.where(usable, squares, 1.0), 0.0)
    if solver == "nnls":
        ridge = max(ridge, LEAST_RIDGE)
    penalised = gram + ridge * float(squares.mean()) * np.eye(len(gram))
    if solver == "ols":
        return np.asarray(responses @ np.linalg.pinv(penalised, rcond=1e-10, hermitian=True))
    return nonnegative_batch(penalised, responses)


def nonnegative_batch(gram: FloatArray, responses: FloatArray) -> FloatArray:
    """Minimise w'Gw / 2 - w'b over w >= 0 for every row b of `responses`, all together (ADMM, Boyd et al. 2011, 3.1).

    One inverse and a few matrix products serve every row, where an active-set method factors once per row and atom:
    seconds instead of minutes when hundreds of atoms carry weight. Rows that have not settled after `ADMM_STEPS`
    steps are finished by the exact method, so every row is near the exact one
    (within 4e-4 of the largest weight in every geometry of benchmarks/bootstrap.py).

    Args:
        gram: Positive definite G (m, m).
        responses: b of every problem (B, m).

    Returns:
        Weights (B, m), none below 0.
    """
    scale = np.abs(responses).max(axis=1, keepdims=True, initial=0.0)
    wanted = responses / np.where(scale > TINY**2, scale, 1.0)
    strength = _ADMM_STRENGTH * float(np.diag(gram).mean())
    if strength <= TINY**2:
        return np.zeros_like(responses)
    inverse: FloatArray = np.asarray(np.linalg.inv(gram + strength * np.eye(len(gram))), dtype=np.float64)
    # The mean problem first: its solution and multipliers are close to those of every row.
    nothing = np.zeros((1, len(gram)))
    start = _alternate(inverse, strength, wanted.mean(axis=0, keepdims=True), nothing, nothing)
    weights, _, settled = _alternate(
        inverse, strength, wanted, *(np.tile(part, (len(wanted), 1)) for part in start[:2])
    )
    for index in np.flatnonzero(~settled):
        weights[index], _ = nonnegative_gram(gram, wanted[index], weights[index] > 0.0)
    return np.asarray(weights * scale)


def _alternate(
    inverse: FloatArray, strength: float, wanted: FloatArray, weights: FloatArray, dual: FloatArray
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Steps of the alternating direction method from a start: weights, scaled multipliers, and which rows settled."""
    settled = np.zeros(len(wanted), dtype=bool)
    for _ in range(ADMM_STEPS):
        free = (wanted + strength * (weights - dual)) @ inverse
        relaxed = _ADMM_RELAXATION * free + (1.0 - _ADMM_RELAXATION) * weights
        updated = np.maximum(relaxed + dual, 0.0)
        dual = dual + relaxed - updated
        moved = np.maximum(np.abs(updated - weights).max(axis=1), np.abs(free - updated).max(axis=1))
        weights, settled = updated, moved <= _ADMM_TOLERANCE * np.abs(updated).max(axis=1)
        if settled.all():
            break
    return weights, dual, settled


def nonnegative_gram(
    gram: FloatArray, response: FloatArray, start: NDArray[np.bool_]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Minimise w'Gw / 2 - w'b over w >= 0 with an active-set method.

    Args:
        gram: Positive semi-definite G (m, m).
        response: b (m,).
        start: Guess of the atoms with positive weight (m,), for instance the last problem's.

    Returns:
        Weights (m,) and the atoms that carry weight, to start the next, similar problem from.
    """
    scale = float(np.abs(response).max(initial=0.0))
    passive = start & (np.diag(gram) > TINY**2)
    weights = np.zeros(len(response))
    if scale <= TINY**2:
        return weights, np.zeros_like(passive)
    # A guess is usable once its own free solution is positive.
    while passive.any():
        trial = _free(gram, response, passive)
        if (trial[passive] > 0.0).all():
            weights = trial
            break
        passive = passive & (trial > 0.0)
    tolerance = 1e-10 * scale
    for _ in range(10 * len(response) + 10):
        gradient = response - gram @ weights
        gradient[passive] = -np.inf
        entering = int(np.argmax(gradient))
        if gradient[entering] <= tolerance:
            break
        candidate = passive.copy()
        candidate[entering] = True
        trial = _free(gram, response, candidate)
        if trial[entering] <= 0.0:  # rounding only: the entering atom adds nothing
            break
        passive, weights = _retreat(gram, response, candidate, weights, trial)
    return weights, passive


def _retreat(
    gram: FloatArray, response: FloatArray, passive: NDArray[np.bool_], weights: FloatArray, trial: FloatArray
) -> tuple[NDArray[np.bool_], FloatArray]:
    """Walk from `weights` towards `trial`, dropping atoms as they reach zero."""
    while (trial[passive] <= 0.0).any():
        blocking = passive & (trial <= 0.0)
        steps = weights[blocking] / np.maximum(weights[blocking] - trial[blocking], TINY**2)
        weights = weights + float(steps.min()) * (trial - weights)
        reached = blocking & (weights <= 1e-14 * float(np.abs(weights).max(initial=0.0)))
        if not reached.any():
            reached = blocking
        passive = passive & ~reached
        weights = np.where(passive, weights, 0.0)
        if not passive.any():
            return passive, weights
        trial = _free(gram, response, passive)
    return passive, trial


def _free(gram: FloatArray, response: FloatArray, passive: NDArray[np.bool_]) -> FloatArray:
    """Unconstrained minimiser over the passive atoms, zero elsewhere (m,)."""
    chosen = np.flatnonzero(passive)
    block = gram[np.ix_(chosen, chosen)]
    weights = np.zeros(len(response))
    try:
        weights[chosen] = cho_solve(cho_factor(block, check_finite=False), response[chosen])
    except LinAlgError:  # collinear atoms: take the least-norm solution
        weights[chosen] = np.linalg.lstsq(block, response[chosen], rcond=1e-12)[0]
    return weights
