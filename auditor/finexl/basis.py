"""The concept atoms that all adapters of one base and recipe are scored on.

Concepts whose atoms point the same way (cosine above `MERGE_COSINE`) are one direction with several names.
Only the first of them in lexicon order becomes an atom and all of them get its score, so listing a concept
twice changes nothing. Opposites (cosine near -1) stay apart: they are different things to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditor.finexl.arrays import FloatArray, as_array, as_vectors, remove_span, unit
from auditor.finexl.concepts import MERGE_COSINE, CombinedDirections


@dataclass(frozen=True, eq=False)
class Basis:
    """Concept atoms shared by all adapters of one base and recipe. Build it with `make_basis`.

    Attributes:
        names: Concepts in lexicon order (k).
        group: Direction that each concept belongs to (k,), counted from 0 in order of first mention.
        atoms: One or two atoms per direction (m, views * D).
        owner: Direction of each atom (m,).
        alignment: Cosine of text side and image side (k,), or None when unknown.
        common: Orthonormal directions that were projected off the atoms (r, D).
        views: How often V is repeated to be fitted by an atom (2 in the "stacked" mode).
    """

    names: tuple[str, ...]
    group: NDArray[np.intp]
    atoms: FloatArray
    owner: NDArray[np.intp]
    alignment: FloatArray | None
    common: FloatArray
    views: int

    @property
    def dimension(self) -> int:
        """Dimension D of the encoder space."""
        return int(self.common.shape[1])


def make_basis(
    names: Sequence[str], directions: CombinedDirections | ArrayLike, *, common: ArrayLike | None = None
) -> Basis:
    """Group concepts by direction and fix the atoms.

    Args:
        names: Concepts (k), all different, in lexicon order.
        directions: Result of `concepts.combine`, or plain vectors (k, D).
        common: Directions that were (or, for plain vectors, are to be) projected off the atoms (r, D).
    """
    if len(set(names)) != len(names):
        raise ValueError("concept names of a basis must be unique")
    if not isinstance(directions, CombinedDirections):
        vectors = as_array(directions, "concept vectors", 2)
        span = as_vectors([] if common is None else common, "common directions", vectors.shape[1])
        directions = CombinedDirections(remove_span(vectors, span), np.arange(len(vectors)), 1, None)
    dimension = directions.atoms.shape[1] // directions.views
    span = as_vectors([] if common is None else common, "common directions", dimension)
    count = len(names)
    sizes = np.bincount(directions.owner, minlength=count)
    if len(sizes) != count or (count and (sizes != sizes[0]).any()) or (count and sizes[0] == 0):
        raise ValueError(f"{count} names need equally many atoms each, got owners {sizes.tolist()}")
    # (k, atoms per concept): stable sorting keeps a concept's text atom before its image atom.
    per_concept = np.argsort(directions.owner, kind="stable").reshape(count, -1) if count else np.zeros((0, 1), int)
    group, leaders = _merge(unit(directions.atoms), per_concept)
    chosen = per_concept[leaders]
    return Basis(
        tuple(names),
        group,
        directions.atoms[chosen.ravel()],
        np.repeat(np.arange(len(leaders)), chosen.shape[1]),
        directions.alignment,
        span,
        directions.views,
    )


def _merge(atoms: FloatArray, per_concept: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give every concept the direction of the first one that points the same way in all its atoms.

    Returns:
        Direction of each concept (k,), and the concept that leads each direction.
    """
    count = len(per_concept)
    same = np.ones((count, count), dtype=bool)
    for rows in per_concept.T:
        same &= atoms[rows] @ atoms[rows].T > MERGE_COSINE
    group = np.full(count, -1, dtype=np.intp)
    leaders: list[int] = []
    for index in range(count):
        if group[index] < 0:
            members = same[index] & (group < 0)
            members[index] = True
            group[members] = len(leaders)
            leaders.append(index)
    return group, np.asarray(leaders, dtype=np.intp)
