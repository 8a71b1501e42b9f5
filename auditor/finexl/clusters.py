"""Concepts that cannot be told apart: readings of their directions err by as much as the directions differ.

An atom is a reading a of a true direction t, with expected cosine r (`levels.LevelMap.reliability`). Errors are
independent, so the cosine of two atoms is r_i r_j times that of the directions, which is thereby known. An adapter
that does exactly concept i answers to the atoms i and j by r_i and r_j times that cosine, with an error e each. Where
the answers differ by less than twice the error of a difference, which of the two words is named is chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditor.finexl.arrays import FloatArray, as_array, unit

LEAST_COSINE = 0.8
"""Below this cosine of their directions two concepts count as different however badly they are measured: half of a
change would be shared."""

_ERRORS_APART = 2.0


def reading_error(vectors: ArrayLike, halves: ArrayLike) -> float:
    """Expected length of an atom's error along the direction of another concept, at atoms of length 1.

    Errors of real encoders have few directions, so they are not spread evenly over all dimensions.

    Args:
        vectors: Direction of each concept (k, D).
        halves: Half the difference of its two sides' unit directions (k, D): as large as the error of their mean.
    """
    directions, errors = unit(as_array(vectors, "concept vectors", 2)), as_array(halves, "halves", 2)
    count = len(directions)
    if count < 2:
        return 0.0
    # The mean of unit vectors u + h and u - h has length sqrt(1 - |h|²).
    lengths = np.sqrt(np.maximum(1.0 - (errors**2).sum(axis=1), 0.1))
    squares = ((errors / lengths[:, None]) @ directions.T) ** 2
    return float(np.sqrt((squares.sum() - np.trace(squares)) / (count * (count - 1))))


def clusters(vectors: ArrayLike, reliability: ArrayLike, error: float) -> NDArray[np.intp]:
    """The leader of each concept (k,): the first one that it cannot be told apart from, itself where it stands alone.

    A concept joins by its agreement with the leader, so that a chain of neighbours does not become one cluster.

    Args:
        vectors: Direction of each concept in lexicon order (k, D); a zero vector stands alone.
        reliability: Expected cosine of each direction with the true one (k,), in (0, 1].
        error: From `reading_error`.
    """
    alike = _alike(unit(as_array(vectors, "concept vectors", 2)), as_array(reliability, "reliability", 1), error)
    leaders = np.arange(len(alike))
    for index in range(len(alike)):
        earlier = np.flatnonzero(alike[index, :index] & (leaders[:index] == np.arange(index)))
        if len(earlier):
            leaders[index] = earlier[0]
    return leaders


def _alike(directions: FloatArray, trust: FloatArray, error: float) -> NDArray[np.bool_]:
    both = np.sqrt(np.outer(trust, trust))
    cosine = np.minimum(1.0, directions @ directions.T / both**2)
    apart = both * (1.0 - cosine)
    return np.asarray((cosine >= LEAST_COSINE) & (apart <= _ERRORS_APART * np.sqrt(2.0) * error + 1e-9))
