"""Concepts that cannot be told apart: their directions agree as much as two measurements of one direction would.

A concept's atom has an expected cosine r with its true direction (`levels.LevelMap.reliability`). Had two concepts
one true direction, their atoms would have an expected cosine of r_i r_j. Where the measured cosine reaches that,
nothing in the measurement speaks for two directions, and naming one of them rather than the other is chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditor.finexl.arrays import as_array, unit

LEAST_COSINE = 0.8
"""Below this two concepts count as different however badly they are measured: half of a change would be shared."""


def clusters(vectors: ArrayLike, reliability: ArrayLike) -> NDArray[np.intp]:
    """The leader of each concept (k,): the first one that it cannot be told apart from, itself where it stands alone.

    A concept joins by its agreement with the leader, so that a chain of neighbours does not become one cluster.

    Args:
        vectors: Direction of each concept in lexicon order (k, D); a zero vector stands alone.
        reliability: Expected cosine of each direction with the true one (k,), in (0, 1].
    """
    directions = unit(as_array(vectors, "concept vectors", 2))
    trust = as_array(reliability, "reliability", 1)
    leaders = np.arange(len(directions))
    needed = np.maximum(LEAST_COSINE, np.outer(trust, trust) - 1e-9)
    alike = directions @ directions.T >= needed
    for index in range(len(directions)):
        earlier = np.flatnonzero(alike[index, :index] & (leaders[:index] == np.arange(index)))
        if len(earlier):
            leaders[index] = earlier[0]
    return leaders
