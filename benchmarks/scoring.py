"""Scores with intervals of one adapter at production size, CPU seconds, over geometries of the concepts' directions.

    python benchmarks/scoring.py

997 concepts in 768 dimensions, 50 probes. Seconds are those of `score`, all threads. The error says how far the weights
are from the exact non-negative least squares: the largest violation of its conditions (the gradient is 0 where a weight
is above 0, and not below 0 where it is 0), in units of the largest product of V and a direction.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from auditor.finexl.basis import make_basis
from auditor.finexl.shared_basis import ScoreOptions, score
from auditor.finexl.solvers import LEAST_RIDGE, solve

CONCEPTS, DIMENSIONS, PROBES = 997, 768, 50
Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Floats]


def _common(rng: np.random.Generator) -> Floats:
    return _independent(rng) + 3 * rng.normal(size=DIMENSIONS)


def _independent(rng: np.random.Generator) -> Floats:
    return rng.normal(size=(CONCEPTS, DIMENSIONS))


def _low_rank(rng: np.random.Generator) -> Floats:
    return rng.normal(size=(CONCEPTS, 40)) @ rng.normal(size=(40, DIMENSIONS)) + 0.1 * _independent(rng)


def _clustered(rng: np.random.Generator) -> Floats:
    return rng.normal(size=(50, DIMENSIONS))[rng.integers(50, size=CONCEPTS)] + 0.1 * _independent(rng)


def _uneven(rng: np.random.Generator) -> Floats:
    return _independent(rng) * np.linspace(1, 0.01, DIMENSIONS)


GEOMETRIES: Mapping[str, Draw] = {
    "independent": _independent,
    "one common direction": _common,
    "40 dimensions and a little more": _low_rank,
    "50 clusters of words alike": _clustered,
    "dimensions of uneven weight": _uneven,
}
CHANGES: Mapping[str, Callable[[Floats], Floats]] = {
    "three concepts": lambda vectors: vectors[:3].sum(0),
    "nothing": lambda vectors: np.zeros(DIMENSIONS),
    "a little of each": lambda vectors: 30 * vectors.mean(0),
}


def violation(target: Floats, atoms: Floats, weights: Floats) -> float:
    """How far weights are from the conditions of the exact solution."""
    gram = atoms @ atoms.T
    gram += LEAST_RIDGE * float(np.diag(gram).mean()) * np.eye(len(gram))
    gradient = gram @ weights - atoms @ target
    broken = np.where(weights > 0, np.abs(gradient), np.maximum(-gradient, 0))
    return float(broken.max() / max(np.abs(atoms @ target).max(), 1e-300))


def main() -> int:
    """Measure; print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="of each combination; the longest counts")
    chosen = parser.parse_args()
    print("| directions | V | CPU s, longest | weights above 0 | largest error |\n|---|---|---|---|---|")
    for geometry, draw in GEOMETRIES.items():
        for change, mean_of in CHANGES.items():
            seconds, counts, errors = [], [], []
            for seed in range(chosen.seeds):
                rng = np.random.default_rng(seed)
                basis = make_basis(tuple(map(str, range(CONCEPTS))), 0.02 * draw(rng))
                rows = mean_of(basis.atoms) + 0.05 * rng.normal(size=(PROBES, DIMENSIONS))
                began = time.process_time()
                found = score(rows, basis, ScoreOptions())
                seconds.append(time.process_time() - began)
                counts.append(int((found.score > 0).sum()))
                weights = solve(rows.mean(0), basis.atoms, "nnls")
                errors.append(violation(rows.mean(0), basis.atoms, weights))
            shown = f"{min(counts)} to {max(counts)}"
            print(f"| {geometry} | {change} | {max(seconds):.2f} | {shown} | {max(errors):.0e} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
