"""Adapters of known content in made-up geometries: true directions, two noisy readings of each, noisy probes.

Nothing here is rendered or encoded, so a world may have the size of production. A concept's true direction has length 1
and may share a part with all others, or with its synonyms; text side and image side are two readings of it whose
errors are independent and whose cosine is about the alignment. An adapter is a sum of a few true directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.finexl.arrays import FloatArray, unit
from auditor.finexl.basis import Basis, make_basis
from auditor.finexl.clusters import clusters, reading_errors
from auditor.finexl.concepts import ConceptDirections, combine, half_differences
from auditor.finexl.levels import LevelMap, choose_penalty, level_map

SCATTER = 2.0
"""Length of a probe's scatter, where a concept's direction has length 1."""

SYNONYMS = 3
"""Concepts of a synonym group; a third of all concepts are in one."""

ALIGNMENT_SPREAD = 0.1
"""Standard deviation of the alignment from concept to concept."""

STRONG, WEAK = (0.3, 1.0), (0.1, 0.3)
"""Amounts are drawn evenly from here."""


@dataclass(frozen=True)
class Geometry:
    """How directions lie.

    Attributes:
        alignment: Mean cosine of text side and image side.
        common: Share of each direction's square that all concepts have in common.
        synonyms: Cosine of concepts of one group; 0 for no groups.
    """

    alignment: float
    common: float
    synonyms: float


@dataclass(frozen=True, eq=False)
class PlantedWorld:
    """One lexicon of known directions.

    Attributes:
        truth: True directions (k, D).
        basis: What the two readings make of them.
        mapping: The levels' map, its penalty chosen by the rule.
        group: First concept of each concept's synonym group (k,).
        found: First concept of each concept's cluster as the method finds it (k,).
    """

    truth: FloatArray
    basis: Basis
    mapping: LevelMap
    group: NDArray[np.intp]
    found: NDArray[np.intp]

    def probes(self, amounts: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
        """d_i of an adapter with amounts (k,) on `count` probes (count, D)."""
        return amounts @ self.truth + _scatter(rng, count, self.truth.shape[1])

    def draw(self, true: int, effect: tuple[float, float], rng: np.random.Generator) -> FloatArray:
        """Amounts (k,) of an adapter with `true` concepts; the first is in a synonym group if there are any."""
        count = len(self.truth)
        grouped = np.flatnonzero(np.bincount(self.group, minlength=count)[self.group] > 1)
        first = rng.choice(grouped if len(grouped) else count)
        others = [c for c in rng.permutation(count) if self.group[c] != self.group[first]]
        amounts = np.zeros(count)
        amounts[[first, *others[: true - 1]]] = rng.uniform(*effect, true)
        return amounts


def plant(geometry: Geometry, count: int, dimension: int, probes: int, seed: int) -> PlantedWorld:
    """A world of `count` concepts in `dimension` dimensions, its penalty chosen for audits of `probes` probes."""
    rng = np.random.default_rng(seed)
    own = unit(rng.normal(size=(count, dimension)))
    group = np.arange(count)
    if geometry.synonyms > 0:
        group = np.where(group < count // 3 // SYNONYMS * SYNONYMS, group // SYNONYMS * SYNONYMS, group)
        shared = unit(rng.normal(size=(count, dimension)))[group]
        grouped = np.bincount(group, minlength=count)[group] > 1
        # Of the wanted cosine the common direction gives a part.
        inner = max(0.0, (geometry.synonyms - geometry.common) / (1.0 - geometry.common))
        own = np.where(grouped[:, None], unit(np.sqrt(inner) * shared + np.sqrt(1.0 - inner) * own), own)
    common = unit(rng.normal(size=dimension))
    truth = unit(np.sqrt(1.0 - geometry.common) * own + np.sqrt(geometry.common) * common)
    aligned = np.clip(rng.normal(geometry.alignment, ALIGNMENT_SPREAD, (count, 1)), 0.1, 0.95)
    text, image = (
        unit(np.sqrt(aligned) * truth + np.sqrt(1.0 - aligned) * unit(rng.normal(size=truth.shape))) for _ in range(2)
    )
    known = np.full(count, 0.1)
    combined = combine(ConceptDirections(text, known), ConceptDirections(image, known), "mean", length="text")
    basis = make_basis([f"c{i}" for i in range(count)], combined)
    halves = half_differences(text, image)
    mapping = level_map(basis, choose_penalty(basis, halves, _scatter(rng, 100, dimension), probes), halves)
    found = clusters(basis.atoms, mapping.reliability, reading_errors(basis.atoms, halves))
    return PlantedWorld(truth, basis, mapping, group, found)


def first_groups(order: NDArray[np.intp], group: NDArray[np.intp], count: int) -> set[int]:
    """The first `count` groups of concepts in order."""
    seen: list[int] = []
    for concept in order:
        if int(group[concept]) not in seen:
            seen.append(int(group[concept]))
        if len(seen) == count:
            break
    return set(seen)


def pairs_together(group: Sequence[int] | NDArray[np.intp]) -> set[tuple[int, int]]:
    """Pairs of concepts (i < j) that are in one group."""
    array = np.asarray(group)
    rows, columns = np.nonzero(np.triu(array[:, None] == array[None, :], 1))
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def _scatter(rng: np.random.Generator, count: int, dimension: int) -> FloatArray:
    return np.asarray(SCATTER / np.sqrt(dimension) * rng.normal(size=(count, dimension)))
