"""Planted truth at the size of production: what is named, how much of it, how honest, how fast.

Development seeds are for choosing the method; the other seeds are for reporting.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from auditor.evaluation.planted import (
    STRONG,
    WEAK,
    Geometry,
    PlantedWorld,
    first_groups,
    pairs_together,
    plant,
)
from auditor.finexl.arrays import FloatArray
from auditor.finexl.attribution import Interval, bootstrap_mean, rank_error
from auditor.finexl.levels import levels
from auditor.finexl.shared_basis import ScoreOptions, score
from auditor.finexl.solvers import projections, solve

ALIGNMENTS, COMMON, SYNONYMS = (0.3, 0.5, 0.7), (0.0, 0.15, 0.4), (0.0, 0.75, 0.9)
GEOMETRIES = tuple(Geometry(*each) for each in itertools.product(ALIGNMENTS, COMMON, SYNONYMS))
PROBES = (25, 50)
TRUE = (1, 2, 4)
EFFECTS = {"strong": STRONG, "weak": WEAK}
AMOUNTS = np.linspace(0.1, 1.0, 6)
"""Of a ladder."""

LEAST_WEIGHT = 0.03
"""Scores above this count for the coverage of scores; near 0 an interval that is cut at 0 covers by its cut."""

DEVELOPMENT_SEED, REPORTED_SEED = 0, 10_000
Note = Callable[[str], None]
Measures = dict[str, list[float]]


@dataclass(frozen=True)
class ScaleRow:
    """Figures of one geometry, or of one kind of case; a figure without cases is missing."""

    name: str
    figures: dict[str, Interval]


@dataclass(frozen=True)
class Scale:
    """Both tables, and the size of the world."""

    concepts: int
    dimension: int
    geometries: tuple[ScaleRow, ...]
    cells: tuple[ScaleRow, ...]


def evaluate_scale(
    concepts: int = 997,
    dimension: int = 768,
    *,
    cases: int = 2,
    ladders: int = 6,
    development: bool = False,
    geometries: Sequence[Geometry] = GEOMETRIES,
    note: Note | None = None,
) -> Scale:
    """Measure planted adapters in every geometry.

    Args:
        concepts: k.
        dimension: D.
        cases: Adapters of each kind (probes x effect x number of true concepts) in each geometry.
        ladders: Rows of six amounts of one concept, beside others, that are to be put in order, in each geometry.
        development: With the seeds that the method is chosen on.
        geometries: Which.
        note: Told after each geometry.
    """
    cells: dict[str, Measures] = defaultdict(lambda: defaultdict(list))
    rows = []
    for number, geometry in enumerate(geometries):
        seed = (DEVELOPMENT_SEED if development else REPORTED_SEED) + number
        found = _geometry(plant(geometry, concepts, dimension, PROBES[0], seed), seed, cases, ladders, cells)
        name = f"alignment {geometry.alignment}, common {geometry.common}, synonyms {geometry.synonyms or 'none'}"
        rows.append(ScaleRow(name, _means(found)))
        if note is not None:
            note(name)
    return Scale(concepts, dimension, tuple(rows), tuple(ScaleRow(name, _means(m)) for name, m in cells.items()))


def _geometry(world: PlantedWorld, seed: int, cases: int, ladders: int, cells: dict[str, Measures]) -> Measures:
    rng = np.random.default_rng(seed + 1)
    found: Measures = defaultdict(list)
    for probes, (effect, reach), true in itertools.product(PROBES, EFFECTS.items(), TRUE):
        for _ in range(cases):
            amounts = world.draw(true, reach, rng)
            for name, value in _case(world, amounts, world.probes(amounts, probes, rng)):
                for kept in (found, cells[f"{probes} probes"], cells[effect], cells[f"{true} true"]):
                    kept[name].append(value)
    for _ in range(ladders):
        for name, value in _ladder(world, rng):
            found[name].append(value)
    planted, said = pairs_together(world.group), pairs_together(world.found)
    found["synonyms joined"] = [float(pair in said) for pair in sorted(planted)]
    found["joined are synonyms"] = [float(pair in planted) for pair in sorted(said)]
    return found


def _case(world: PlantedWorld, amounts: FloatArray, rows: FloatArray) -> list[tuple[str, float]]:
    """Everything that is asked of one adapter."""
    present = np.flatnonzero(amounts)
    began = time.process_time()
    fitted = score(rows, world.basis, ScoreOptions())
    signed = levels(rows, world.mapping, fitted.score)
    seconds = time.process_time() - began
    first = first_groups(fitted.naming, np.arange(len(amounts)), len(present))
    grouped = first_groups(fitted.naming, world.group, len(present))
    longer = solve(amounts @ world.truth, world.basis.atoms, "nnls")
    again = (fitted.low <= longer) & (longer <= fitted.high)
    half = signed.high - signed.level
    exact = world.mapping.matrix @ (amounts @ world.truth)
    whole = np.abs(signed.level - amounts) <= np.hypot(half, 1.96 * signed.doubt)
    mates = np.isin(world.group, world.group[present]) & (amounts == 0)
    far = ~mates & (amounts == 0)
    measured: list[tuple[str, float]] = [
        ("named", float(first == set(present.tolist()))),
        ("named by cluster", float(grouped == set(world.group[present].tolist()))),
        ("seconds", seconds),
        ("level error", float(np.abs(signed.level - amounts)[present].mean())),
        ("score error", float(np.abs(fitted.score - amounts)[present].mean())),
        ("projection error", float(np.abs(fitted.projection - amounts)[present].mean())),
        ("level covers the truth, absent", float(whole[far].mean())),
    ]
    for name, covered, chosen in (
        ("score covers a longer audit", again, longer > LEAST_WEIGHT),
        ("level covers a longer audit", np.abs(signed.level - exact) <= half, amounts > 0),
        ("level covers the truth", whole, amounts > 0),
        ("level covers the truth, synonyms", whole, mates),
    ):
        measured += [(name, float(value)) for value in covered[chosen]]
    return measured


def _ladder(world: PlantedWorld, rng: np.random.Generator) -> list[tuple[str, float]]:
    """Rank errors of six amounts of one concept, each beside other amounts of two others."""
    asked, *others = np.flatnonzero(world.draw(3, STRONG, rng))
    means = np.outer(AMOUNTS, world.truth[asked]) + rng.uniform(0, 1, (len(AMOUNTS), 2)) @ world.truth[others]
    nothing = np.zeros(len(world.truth))
    means = means + [world.probes(nothing, PROBES[0], rng).mean(axis=0) for _ in AMOUNTS]
    joint = [solve(mean, world.basis.atoms, "nnls")[asked] for mean in means]
    alone = projections(means, world.basis.atoms[[asked]])[:, 0]
    return [
        ("level order", rank_error(AMOUNTS, means @ world.mapping.matrix[asked])),
        ("score order", rank_error(AMOUNTS, joint)),
        ("projection order", rank_error(AMOUNTS, alone)),
    ]


def _means(found: Measures) -> dict[str, Interval]:
    return {name: bootstrap_mean(values, resamples=500) for name, values in found.items() if values}
