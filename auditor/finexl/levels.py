"""Signed levels: how much of each concept there is, for ordering and comparing adapters.

The joint non-negative fit says which few concepts a change is made of. It can order amounts badly: where two concepts
are alike it may give one of them nothing, and its zeros are ties. A level is a ridge estimate instead (Hoerl and
Kennard 1970): M = (A A' + penalty s I)^-1 A with atoms A (k, D) and s their mean squared length, each row divided by
its response to its own concept. So a level is linear in V, may be negative ("less dark"), and is 1 for the concept
alone at the length of its words. One matrix per recipe serves every adapter. Which of the two numbers orders better
depends on the geometry (benchmarks/levels.py).

The response to a concept is not that to its atom. Text side and image side are two noisy readings of one direction; if
their errors are independent and as large, their cosine a makes the cosine of their mean with the direction itself
sqrt(2 a / (1 + a)), the reliability of two readings (Spearman 1910). Without it levels would all be too low.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from auditor.finexl.arrays import TINY, FloatArray, as_array, as_rows
from auditor.finexl.basis import Basis

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0)
"""Strengths that `choose_penalty` tries, in units of the mean squared atom length."""

OTHER_CONCEPTS = 2
"""Other concepts that an adapter is taken to have when the penalty is chosen, of amounts spread evenly over 0 to 1."""

_MEAN_SQUARE = 1.0 / 3.0  # of such an amount


LEAST_ALIGNMENT = 0.2
"""Alignments below this count as this: there the sides say too little about each other to correct by."""


@dataclass(frozen=True, eq=False)
class LevelMap:
    """The linear map from V to levels.

    Attributes:
        names: Concepts in lexicon order (k).
        matrix: Rows that make levels of V (k, D).
        penalty: Ridge penalty, in units of the mean squared atom length.
        reliability: Expected cosine of each atom with the concept's true direction (k,), in (0, 1].
        leak: What one unit of each concept (column) adds to the level of every other (row) (k, k); the diagonal is 0.
        doubt: Squared error of each level (row) per squared unit of each concept (column) that comes from not
            knowing the concepts' directions exactly (k, k); zero where one side alone was measured.
    """

    names: tuple[str, ...]
    matrix: FloatArray
    penalty: float
    reliability: FloatArray
    leak: FloatArray
    doubt: FloatArray


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels of one adapter, each (k,).

    Attributes:
        level: The estimate.
        low: Lower end of the interval over probes: what another audit of the same adapter may give.
        high: Upper end.
        doubt: Standard error against the true amount that no number of probes takes away: what other concepts leak
            into the level, and directions that are not known exactly. Adapters of one recipe share its causes.
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
        halves: Half the difference between the two sides of each concept's direction, at the length of its atom
            (k, D). The atom is the mean of the sides, so this is as large as its error is expected to be.

    Raises:
        ValueError: The penalty is not above 0.
    """
    if not penalty > 0.0:
        raise ValueError(f"the penalty of levels must be above 0, got {penalty}")
    count = len(basis.names)
    reliability = np.ones(count)
    if basis.alignment is not None:
        aligned = np.clip(basis.alignment, LEAST_ALIGNMENT, 1.0)
        reliability = np.sqrt(2.0 * aligned / (1.0 + aligned))
    matrix = _rows(basis, _eigen(basis), penalty) / reliability[:, None]
    leak = matrix @ _own_vectors(basis).T
    np.fill_diagonal(leak, 0.0)
    doubt = np.zeros((count, count))
    if halves is not None:
        doubt = (matrix @ as_array(halves, "halves", 2).T) ** 2
    return LevelMap(basis.names, matrix, penalty, reliability, leak, doubt)


def levels(
    differences: ArrayLike, mapping: LevelMap, present: ArrayLike | None = None, *, confidence: float = 0.95
) -> Levels:
    """Levels of one adapter with Student's t intervals over probes, and the doubt about directions.

    Args:
        differences: d_i (n, D). A single probe has no spread; its interval reaches as far as |V| allows.
        mapping: The recipe's map.
        present: Weights of the joint fit (k,), which tell what the change is made of, for the doubt. None: the doubt
            is 0.
        confidence: Level of the intervals.
    """
    rows = as_rows(differences, "differences")
    single = rows @ mapping.matrix.T
    value = single.mean(axis=0)
    n = len(rows)
    doubt = np.zeros_like(value)
    if present is not None:
        amounts = as_array(present, "amounts", 1) / mapping.reliability
        doubt = np.sqrt((mapping.leak @ amounts) ** 2 + mapping.doubt @ amounts**2)
    if n == 1:
        half = np.linalg.norm(rows[0]) * np.linalg.norm(mapping.matrix, axis=1)
    else:
        half = float(stdtrit(n - 1, 0.5 + confidence / 2.0)) * single.std(axis=0, ddof=1) / np.sqrt(n)
    return Levels(value, value - half, value + half, doubt)


def choose_penalty(basis: Basis, halves: ArrayLike | None, noise: ArrayLike, probes: int) -> float:
    """The penalty with the least expected error of a level; it looks at no adapter.

    A level is wrong by what other concepts leak into it and by noise. For a concept c in an adapter with
    `OTHER_CONCEPTS` more, drawn from the lexicon, of amounts whose mean square is 1/3, the expected squared error is

        OTHER_CONCEPTS / 3 * mean over j != c of (m_c . t_j)² + m_c' S m_c / n

    with t_j either side of concept j (its atom plus or minus `halves`), S the scatter of pictures redrawn with other
    seeds, and n the probes. The response to c itself is left out: it is the same for every adapter. The penalty that
    minimises the mean over concepts is taken.

    Args:
        basis: Shared basis.
        halves: As in `level_map`; None where one side alone was measured.
        noise: Base against base with other seeds (m, D).
        probes: n.
    """
    eigen = _eigen(basis)
    count = len(basis.names)
    if count < 2:
        return PENALTIES[-1]
    own = _own_vectors(basis)
    shift = np.zeros_like(own) if halves is None else as_array(halves, "halves", 2)
    scatter = as_rows(noise, "noise differences")
    errors = []
    for penalty in PENALTIES:
        matrix = _rows(basis, eigen, penalty)
        leaks = [(matrix @ (own + sign * shift).T) ** 2 for sign in (1.0, -1.0)]
        leak = np.mean([(square.sum(axis=1) - np.diag(square)) / (count - 1) for square in leaks], axis=0)
        shaken = ((matrix @ scatter.T) ** 2).mean(axis=1) / max(1, probes)
        errors.append(float((OTHER_CONCEPTS * _MEAN_SQUARE * leak + shaken).mean()))
    return PENALTIES[int(np.argmin(errors))]


def _eigen(basis: Basis) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (m,) and eigenvectors (m, m) of the atoms' inner products."""
    values, vectors = np.linalg.eigh(basis.atoms @ basis.atoms.T)
    return np.asarray(values, dtype=np.float64), np.asarray(vectors, dtype=np.float64)


def _rows(basis: Basis, eigen: tuple[FloatArray, FloatArray], penalty: float) -> FloatArray:
    """Rows (k, D) that make levels of V."""
    values, vectors = eigen
    atoms = basis.atoms
    count = len(basis.names)
    if len(atoms) == 0:
        return np.zeros((count, basis.dimension))
    strength = penalty * float((atoms**2).sum(axis=1).mean())
    if strength <= TINY**2:
        return np.zeros((count, basis.dimension))
    raw = (vectors / (np.maximum(values, 0.0) + strength)) @ (vectors.T @ atoms)
    directions = int(basis.owner.max()) + 1
    belongs = (np.arange(directions)[:, None] == basis.owner).astype(np.float64)
    folded = (belongs @ raw).reshape(directions, basis.views, basis.dimension).sum(axis=1) / np.sqrt(basis.views)
    rows = folded[basis.group]
    response = (rows * _own_vectors(basis)).sum(axis=1, keepdims=True)
    return np.asarray(np.where(response > TINY, rows / np.where(response > TINY, response, 1.0), 0.0))


def _own_vectors(basis: Basis) -> FloatArray:
    """The direction of each concept as one vector of the encoder's space (k, D): the mean of its atoms and views."""
    if len(basis.atoms) == 0:
        return np.zeros((len(basis.names), basis.dimension))
    views = basis.atoms.reshape(-1, basis.views, basis.dimension).mean(axis=1) * np.sqrt(basis.views)
    directions = int(basis.owner.max()) + 1
    belongs = (np.arange(directions)[:, None] == basis.owner).astype(np.float64)
    return np.asarray(((belongs @ views) / belongs.sum(axis=1, keepdims=True))[basis.group])
