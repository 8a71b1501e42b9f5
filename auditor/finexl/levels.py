"""Signed levels: how much of each concept there is, for ordering and comparing adapters.

The joint non-negative fit says which few concepts a change is made of. It can order amounts badly: where two concepts
are alike it may give one of them nothing, and its zeros are ties. A level is a ridge estimate instead (Hoerl and
Kennard 1970): M = (A A' + penalty s I)^-1 A with atoms A (k, D) and s their mean squared length, each row divided by
its response to the concept. So a level is linear in V, may be negative ("less dark"), and is 1 for the concept
alone at the length of its words. One matrix per recipe serves every adapter. Which of the two numbers orders better
depends on the geometry (`auditor evaluate scale`).

The response to a concept is not that to its atom a, which is the mean of two noisy readings, text side and image side,
of one direction t. A row is m = P a / a'P a, where P, made of the other atoms alone, knows nothing of the errors in a.
Half the difference of the sides, h, is as large as the error of their mean and independent of it. So a'P a - h'P h
estimates the part of a'P a that is the direction's own, whatever all concepts have in common, and
m . t = (1 - h'P h / a'P a) / r, with r the cosine between a and t: sqrt(2 c / (1 + c)) for sides of cosine c, the
reliability of two readings (Spearman 1910).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from auditor.finexl.arrays import TINY, FloatArray, as_array, as_rows
from auditor.finexl.basis import Basis

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Strengths that `choose_penalty` tries, in units of the mean squared atom length."""

OTHER_CONCEPTS = 2
"""Other concepts that an adapter is taken to have when the penalty is chosen, of amounts spread evenly over 0 to 1."""

_MEAN_SQUARE = 1.0 / 3.0  # of such an amount
_ONE_SIGMA = 0.6827  # share of a normal distribution within one standard deviation

LEAST_ALIGNMENT = 0.2
"""Alignments below this count as this: there the sides say too little about each other to correct by."""

NEIGHBOUR = 0.3
"""Leaks of either sign from one concept into another are reckoned from this size on; smaller ones even out."""

LEAST_OWN_SHARE = 0.1
"""The same for the share of a'P a that is the direction's own: below it a level would be noise times ten."""


@dataclass(frozen=True, eq=False)
class LevelMap:
    """The linear map from V to levels.

    Attributes:
        names: Concepts in lexicon order (k).
        matrix: Rows that make levels of V (k, D).
        penalty: Ridge penalty, in units of the mean squared atom length.
        reliability: Expected cosine of each atom with the concept's true direction (k,), in (0, 1].
        own_error: Expected squared error of a level of 1 from not knowing the concept's direction exactly (k,); zero
            where one side alone was measured.
        leak: What one unit of each near neighbour (column) changes a level (row) by (k, k); 0 below `NEIGHBOUR`.
        length: Of each concept's direction (k,), which is what a level of 1 adds to V.
    """

    names: tuple[str, ...]
    matrix: FloatArray
    penalty: float
    reliability: FloatArray
    own_error: FloatArray
    leak: FloatArray
    length: FloatArray


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels of one adapter, each (k,).

    Attributes:
        level: The estimate.
        low: Lower end of the interval over probes: what another audit of the same adapter may give.
        high: Upper end.
        doubt: Standard error against the true amount that no number of probes takes away: what the rest of the change
            leaks into the level, and the concept's direction, which is not known exactly. Adapters of one recipe
            share its causes.
    """

    level: FloatArray
    low: FloatArray
    high: FloatArray
    doubt: FloatArray


def level_map(basis: Basis, penalty: float, halves: ArrayLike | None = None) -> LevelMap:
    """Build the map of one basis.

    Args:
        basis: Shared basis; both atoms of the "either" mode count for their concept.
        penalty: Ridge penalty above 0, in units of the mean squared atom length.
        halves: Half the difference between the two sides of each concept's unit direction, times the length of its
            atom (k, D).

    Raises:
        ValueError: The penalty is not above 0.
    """
    if not penalty > 0.0:
        raise ValueError(f"the penalty of levels must be above 0, got {penalty}")
    trust = reliability(basis)
    errors = None if halves is None else _errors(basis, halves)
    rows, share = _Ridge(basis, errors).rows(penalty)
    matrix = rows * trust[:, None]
    own = _own_vectors(basis)
    leak = matrix @ own.T
    leak[np.abs(leak) < NEIGHBOUR] = 0.0
    np.fill_diagonal(leak, 0.0)
    error = _own_error(matrix, errors) / trust**2 + (0.0 if errors is None else _share_error(share, basis.dimension))
    return LevelMap(basis.names, matrix, penalty, trust, error, leak, np.linalg.norm(own, axis=1))


def reliability(basis: Basis) -> FloatArray:
    """Expected cosine of each atom, the mean of two sides, with the concept's true direction (k,); 1 where unknown."""
    if basis.alignment is None:
        return np.ones(len(basis.names))
    aligned = np.clip(basis.alignment, LEAST_ALIGNMENT, 1.0)
    return np.asarray(np.sqrt(2.0 * aligned / (1.0 + aligned)))


def levels(
    differences: ArrayLike, mapping: LevelMap, present: ArrayLike | None = None, *, confidence: float = 0.95
) -> Levels:
    """Levels of one adapter with Student's t intervals over probes, and the doubt about the true amount.

    What leaks into a level is read off the levels themselves: an adapter does few of the lexicon's things, so most
    levels would be 0 if nothing leaked, and the length that two thirds of them stay below, per length of their rows,
    is a standard error that holds for whatever the change is made of, known to the lexicon or not (an empirical
    null, Efron 2004). Scatter over probes, which the interval has already, is taken off. Nothing leaks into a concept
    from itself, so of its own share of V the error of its direction is taken instead. What the near neighbours in
    `present` leak is more than that, and added.

    Args:
        differences: d_i (n, D). A single probe has no spread; its interval reaches as far as |V| allows.
        mapping: The recipe's map.
        present: Weights of the joint fit (k,): what the change is made of. None: neighbours are not reckoned.
        confidence: Level of the intervals.
    """
    rows = as_rows(differences, "differences")
    single = rows @ mapping.matrix.T
    value = single.mean(axis=0)
    n = len(rows)
    lengths = np.linalg.norm(mapping.matrix, axis=1)
    scatter = np.zeros_like(value)
    if n > 1:
        scatter = single.std(axis=0, ddof=1) / np.sqrt(n)
        half = float(stdtrit(n - 1, 0.5 + confidence / 2.0)) * scatter
    else:
        half = np.linalg.norm(rows[0]) * lengths
    near = np.zeros_like(value)
    if present is not None:
        # The joint fit says which neighbours there are, and their levels how much of them.
        near = mapping.leak @ np.where(
            as_array(present, "weights", 1) > 0.0, np.maximum(value, 0.0) / mapping.reliability, 0.0
        )
    square = max(float((rows.mean(axis=0) ** 2).sum()), TINY**2)
    rest = np.maximum(0.0, 1.0 - (value * mapping.length) ** 2 / square)
    leaked = (_leak(value, scatter, lengths) * lengths) ** 2 * rest
    doubt = np.sqrt(leaked + mapping.own_error * value**2 + near**2)
    return Levels(value, value - half, value + half, doubt)


def _leak(value: FloatArray, scatter: FloatArray, lengths: FloatArray) -> float:
    """Standard error of a level per length of its row, from the levels (k,) of all concepts with a row."""
    used = lengths > TINY
    if not used.any():
        return 0.0
    reach = float(np.quantile(np.abs(value[used] / lengths[used]), _ONE_SIGMA))
    known = float(((scatter[used] / lengths[used]) ** 2).mean())
    return float(np.sqrt(max(0.0, reach**2 - known)))


def choose_penalty(basis: Basis, halves: ArrayLike | None, noise: ArrayLike, probes: int) -> float:
    """The penalty with the least expected error of a level; it looks at no adapter.

    A level is wrong by what other concepts leak into it, by noise, and by how the change of an adapter differs from the
    direction of its words. For a concept c in an adapter with `OTHER_CONCEPTS` more, drawn from the lexicon, all of
    amounts whose mean square is 1/3, the expected squared error is

        OTHER_CONCEPTS / 3 * mean over j != c of (m_c . t_j)² + m_c' S m_c / n + own_error_c / 3

    with t_j either side of concept j (its atom plus or minus `halves`), S the scatter of pictures redrawn with other
    seeds, n the probes, and own_error as in `LevelMap`. The penalty that minimises the median over concepts is taken:
    in a mean a few badly read words, whose levels are noise whatever the penalty, would decide for all.

    Args:
        basis: Shared basis.
        halves: As in `level_map`; None where one side alone was measured.
        noise: Base against base with other seeds (m, D).
        probes: n.
    """
    count = len(basis.names)
    if count < 2:
        return PENALTIES[-1]
    own = _own_vectors(basis)
    shift = np.zeros_like(own) if halves is None else as_array(halves, "halves", 2)
    wrong = None if halves is None else _errors(basis, halves)
    ridge = _Ridge(basis, wrong)
    scatter = as_rows(noise, "noise differences")
    errors = []
    for penalty in PENALTIES:
        matrix = ridge.rows(penalty)[0]
        leaks = [(matrix @ (own + sign * shift).T) ** 2 for sign in (1.0, -1.0)]
        leak = np.mean([(square.sum(axis=1) - np.diag(square)) / (count - 1) for square in leaks], axis=0)
        shaken = ((matrix @ scatter.T) ** 2).mean(axis=1) / max(1, probes)
        expected = _MEAN_SQUARE * (OTHER_CONCEPTS * leak + _own_error(matrix, wrong)) + shaken
        errors.append(float(np.median(expected)))
    return PENALTIES[int(np.argmin(errors))]


class _Ridge:
    """Rows of the map for any penalty, by one eigendecomposition of the atoms' inner products.

    Args:
        basis: Its atoms (m, views * D).
        errors: For each concept a vector with errors of the size that its direction's has (k, D); None: no direction
            has any.
    """

    def __init__(self, basis: Basis, errors: FloatArray | None) -> None:
        self.basis, self.errors = basis, errors
        values, vectors = np.linalg.eigh(basis.atoms @ basis.atoms.T)
        self.values, self.vectors = np.maximum(values, 0.0), np.asarray(vectors, dtype=np.float64)
        # Of modes with several atoms or views per concept the alignment is all that is known about errors.
        self.exact = errors is not None and basis.views == 1 and len(set(basis.owner)) == len(basis.owner)
        if errors is not None and self.exact:
            self.inside = errors @ basis.atoms.T @ self.vectors

    def rows(self, penalty: float) -> tuple[FloatArray, FloatArray]:
        """Rows (k, D), each divided by its response to the direction that its concept's atom is a reading of.

        Returns:
            Rows, and the direction's own share of what the row sees of the atom (k,).
        """
        basis, atoms = self.basis, self.basis.atoms
        strength = penalty * float((atoms**2).sum(axis=1).mean()) if len(atoms) else 0.0
        if strength <= TINY**2:
            return np.zeros((len(basis.names), basis.dimension)), np.ones(len(basis.names))
        raw = (self.vectors / (self.values + strength)) @ (self.vectors.T @ atoms)
        directions = int(basis.owner.max()) + 1
        belongs = (np.arange(directions)[:, None] == basis.owner).astype(np.float64)
        folded = (belongs @ raw).reshape(directions, basis.views, basis.dimension).sum(axis=1) / np.sqrt(basis.views)
        rows = folded[basis.group]
        response = (rows * _own_vectors(basis)).sum(axis=1)
        share = self._own_share(rows, response, strength)
        scaled = np.where(response[:, None] > TINY, rows / np.maximum(response * share, TINY)[:, None], 0.0)
        return np.asarray(scaled), share

    def _own_share(self, rows: FloatArray, response: FloatArray, strength: float) -> FloatArray:
        """1 - h'P h / a'P a of each concept (k,), at least `LEAST_OWN_SHARE`.

        With Q = (strength I + A'A)^-1 and g = a'Q a, P is Q + Q a a'Q / (1 - g) (Sherman and Morrison 1950).
        """
        if self.errors is None or not self.exact:
            return np.asarray(reliability(self.basis) ** 2)
        rest = np.maximum(1.0 - response, TINY)
        spread = ((self.errors**2).sum(axis=1) - (self.inside**2 / (self.values + strength)).sum(axis=1)) / strength
        mine = response / rest
        errors = spread + (rows * self.errors).sum(axis=1) ** 2 / rest
        return np.asarray(np.clip(1.0 - errors / np.maximum(mine, TINY), LEAST_OWN_SHARE, 1.0))


def _errors(basis: Basis, halves: ArrayLike) -> FloatArray:
    """Halves at the atoms' scale (k, D): the mean of two unit vectors of cosine c is as long as sqrt((1 + c) / 2)."""
    given = as_array(halves, "halves", 2)
    if basis.alignment is None:
        return given
    return np.asarray(given / np.sqrt((1.0 + np.clip(basis.alignment, LEAST_ALIGNMENT, 1.0)) / 2.0)[:, None])


def _own_error(matrix: FloatArray, errors: FloatArray | None) -> FloatArray:
    """Squared error of a level of 1 (k,): the row's reach into where directions are wrong, pooled over the lexicon."""
    if errors is None or not (errors**2).sum():
        return np.zeros(len(matrix))
    squares = (errors**2).sum(axis=1)
    return np.asarray(((matrix @ errors.T) ** 2).sum(axis=1) / squares.sum() * squares)


def _share_error(share: FloatArray, dimension: int) -> FloatArray:
    """Squared relative error of the response (k,), from that of a cosine c measured in D dimensions, (1 - c²) / D.

    The share is 2 c / (1 + c) for sides whose own parts have the cosine c, and the response goes with its root.
    """
    cosine = share / (2.0 - share)
    return np.asarray((1.0 - cosine**2) / dimension / (2.0 * cosine * (1.0 + cosine)) ** 2)


def _own_vectors(basis: Basis) -> FloatArray:
    """The direction of each concept as one vector of the encoder's space (k, D): the mean of its atoms and views."""
    if len(basis.atoms) == 0:
        return np.zeros((len(basis.names), basis.dimension))
    views = basis.atoms.reshape(-1, basis.views, basis.dimension).mean(axis=1) * np.sqrt(basis.views)
    directions = int(basis.owner.max()) + 1
    belongs = (np.arange(directions)[:, None] == basis.owner).astype(np.float64)
    return np.asarray(((belongs @ views) / belongs.sum(axis=1, keepdims=True))[basis.group])
