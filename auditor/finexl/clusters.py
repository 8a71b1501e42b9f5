"""Concepts that cannot be told apart: readings of their directions err by as much as the directions differ.

An atom is a reading a of a true direction t, with expected cosine r (`levels.LevelMap.reliability`). Errors are
independent, so the cosine of two atoms is r_i r_j times that of the directions, which is thereby known. An adapter
that does exactly concept i answers to its own atom by r_i, and to the atom j by r_j times the cosine of the directions,
with the error e_j of that atom. Where the answers differ by less than twice the error, which of the two words is named
is chance. Which is the adapter's concept is not known, so the root mean square of e_i and e_j is taken.

Bad readings also make a cosine uncertain, and words that only may be alike are not put together: it must be large by
more than its own standard error, sqrt((e_i / r_i)^2 + (e_j / r_j)^2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditor.finexl.arrays import FloatArray, as_array, unit

LEAST_COSINE = 0.8
"""Below this cosine of their directions two concepts count as different however badly they are measured: half of a
change would be shared."""

_ERRORS_APART = 2.0


def reading_errors(vectors: ArrayLike, halves: ArrayLike) -> FloatArray:
    """Expected length of each atom's error along the directions of the other concepts (k,), at atoms of length 1.

    Errors of real encoders have few directions, so they are not spread evenly over all dimensions; and one word may be
    read far worse than another.

    Args:
        vectors: Direction of each concept (k, D).
        halves: Half the difference of its two sides' unit directions (k, D): as large as the error of their mean.
    """
    directions, errors = unit(as_array(vectors, "concept vectors", 2)), as_array(halves, "halves", 2)
    count = len(directions)
    if count < 2:
        return np.zeros(count)
    # The mean of unit vectors u + h and u - h has length sqrt(1 - |h|²).
    lengths = np.sqrt(np.maximum(1.0 - (errors**2).sum(axis=1), 0.1))
    squares = ((errors / lengths[:, None]) @ directions.T) ** 2
    return np.asarray(np.sqrt((squares.sum(axis=1) - np.diag(squares)) / (count - 1)))


def clusters(vectors: ArrayLike, reliability: ArrayLike, errors: ArrayLike) -> NDArray[np.intp]:
    """The leader of each concept (k,): the first one that it cannot be told apart from, itself where it stands alone.

    A concept joins by its agreement with the leader, so that a chain of neighbours does not become one cluster.

    Args:
        vectors: Direction of each concept in lexicon order (k, D); a zero vector stands alone.
        reliability: Expected cosine of each direction with the true one (k,), in (0, 1].
        errors: From `reading_errors` (k,).
    """
    directions = unit(as_array(vectors, "concept vectors", 2))
    alike = _alike(directions, as_array(reliability, "reliability", 1), as_array(errors, "errors", 1))
    leaders = np.arange(len(alike))
    for index in range(len(alike)):
        earlier = np.flatnonzero(alike[index, :index] & (leaders[:index] == np.arange(index)))
        if len(earlier):
            leaders[index] = earlier[0]
    return leaders


def _alike(directions: FloatArray, trust: FloatArray, errors: FloatArray) -> NDArray[np.bool_]:
    both = np.sqrt(np.outer(trust, trust))
    cosine = np.minimum(1.0, directions @ directions.T / both**2)
    doubt = np.hypot.outer(errors / trust, errors / trust)
    apart = both * (1.0 - cosine)
    error = np.hypot.outer(errors, errors) / np.sqrt(2.0)
    return np.asarray((cosine - doubt >= LEAST_COSINE) & (apart <= _ERRORS_APART * error + 1e-9))
