"""Levels against planted truth in made-up geometries: order beside the joint fit, and what the intervals cover.

Each concept has a true direction with a part that all share; text side and image side are two noisy readings of it
whose cosine is about the alignment. An adapter has the asked concept and one other, and is measured on noisy probes.
Nothing is fitted on the cases: the penalty is the one that the rule chooses for the made-up lexicon.

    python benchmarks/levels.py [--concepts 120] [--dimension 80] [--ladders 60]
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence

import numpy as np

from auditor.finexl.arrays import FloatArray, unit
from auditor.finexl.attribution import bootstrap_mean, chance_random, rank_error
from auditor.finexl.basis import Basis, make_basis
from auditor.finexl.concepts import ConceptDirections, combine, half_differences
from auditor.finexl.levels import choose_penalty, level_map, levels
from auditor.finexl.solvers import solve

ALIGNMENTS = (0.4, 0.6, 0.8)
COMMON_SHARES = (0.0, 0.15, 0.4)
AMOUNTS = np.linspace(0.1, 1.0, 6)
PROBES = 24
NOISES = (1.0, 4.0)  # length of a probe's scatter, where a concept's direction has length 1


def plant(count: int, dimension: int, alignment: float, common: float) -> tuple[FloatArray, Basis, FloatArray]:
    """True directions (k, D), the basis of two noisy sides, and half the difference of the sides (k, D)."""
    rng = np.random.default_rng(0)
    shared = unit(rng.normal(size=dimension))
    truth = np.sqrt(1 - common) * unit(rng.normal(size=(count, dimension))) + np.sqrt(common) * shared
    text, image = (
        unit(np.sqrt(alignment) * truth + np.sqrt(1 - alignment) * unit(rng.normal(size=truth.shape))) for _ in range(2)
    )
    known = np.full(count, 0.1)
    combined = combine(ConceptDirections(text, known), ConceptDirections(image, known), "mean", length="text")
    return truth, make_basis([f"c{i}" for i in range(count)], combined), half_differences(text, image)


def measure(count: int, dimension: int, ladders: int, alignment: float, common: float, noise: float) -> str:
    """One line of the table."""
    truth, basis, halves = plant(count, dimension, alignment, common)
    rng = np.random.default_rng(1)
    scale = noise / np.sqrt(dimension)
    penalty = choose_penalty(basis, halves, scale * rng.normal(size=(100, dimension)), PROBES)
    mapping = level_map(basis, penalty, halves)
    signed, joint, again, whole = [], [], [], []
    for _ in range(ladders):
        asked, other = rng.choice(count, 2, replace=False)
        means = np.outer(AMOUNTS, truth[asked]) + np.outer(rng.uniform(0, 1, len(AMOUNTS)), truth[other])
        found, fitted = [], []
        for mean, amount in zip(means, AMOUNTS, strict=True):
            rows = mean + scale * rng.normal(size=(PROBES, dimension))
            weights = solve(rows.mean(axis=0), basis.atoms, "nnls")
            level = levels(rows, mapping, weights)
            value, half = level.level[asked], level.high[asked] - level.level[asked]
            again.append(abs(value - mapping.matrix[asked] @ mean) <= half)
            whole.append(abs(value - amount) <= np.hypot(half, 1.96 * level.doubt[asked]))
            found.append(value)
            fitted.append(weights[asked])
        signed.append(rank_error(AMOUNTS, found))
        joint.append(rank_error(AMOUNTS, fitted))
    cells = [f"{m.mean:.2f} ({m.low:.2f}-{m.high:.2f})" for m in map(bootstrap_mean, (signed, joint))]
    return (
        f"| {noise} | {common} | {alignment} | {penalty} | {cells[0]} | {cells[1]} | "
        f"{100 * np.mean(again):.0f} % | {100 * np.mean(whole):.0f} % |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("concepts", 120), ("dimension", 80), ("ladders", 60)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args(arguments)
    print(f"rank error of {len(AMOUNTS)} amounts, {chosen.ladders} ladders; chance {chance_random(len(AMOUNTS)):.2f}")
    print(
        "| noise | common share | alignment | penalty | level | joint fit | covers a longer audit | covers the truth |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for noise, common, alignment in itertools.product(NOISES, COMMON_SHARES, ALIGNMENTS):
        print(measure(chosen.concepts, chosen.dimension, chosen.ladders, alignment, common, noise), flush=True)


if __name__ == "__main__":
    main()
