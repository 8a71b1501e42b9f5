"""What the bootstrap of the shared fit costs in each geometry, and how far it is from the exact solution.

Concepts are random directions that share a common one, as appended text gives them; without a common direction
hundreds of atoms carry weight, which is where a solver that works resample by resample takes minutes.

    python benchmarks/bootstrap.py [--concepts 997] [--dimension 768] [--probes 50] [--resamples 1000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from auditor.finexl.arrays import FloatArray
from auditor.finexl.shared_basis import ScoreOptions, make_basis, score
from auditor.finexl.solvers import LEAST_RIDGE, nonnegative_batch, nonnegative_gram

COMMON_SHARES = (0.0, 0.02, 0.1, 0.3, 0.6)
"""Share of each concept's squared length that all concepts have in common."""

_CHECKED = 10  # resamples that are solved exactly as well


def plant(concepts: int, dimension: int, probes: int, common: float) -> tuple[FloatArray, FloatArray]:
    """Atoms (k, D) and differences (n, D) of an adapter of three concepts, as noisy as a real one's."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=(concepts, dimension)) / np.sqrt(dimension)
    shared = rng.normal(size=dimension) / np.sqrt(dimension)
    atoms = np.sqrt(1.0 - common) * own + np.sqrt(common) * shared
    effect = atoms[:3].sum(axis=0)
    noise = rng.normal(size=(probes, dimension)) / np.sqrt(dimension)
    return atoms, effect + 1.5 * float(np.linalg.norm(effect)) * noise


def distance(atoms: FloatArray, rows: FloatArray, resamples: int) -> tuple[int, float]:
    """Atoms with weight in the exact fits, and the largest error of the batch as a share of the largest weight."""
    probes = len(rows)
    shares = np.random.default_rng(0).multinomial(probes, np.full(probes, 1.0 / probes), size=resamples) / probes
    gram = atoms @ atoms.T
    gram += LEAST_RIDGE * float(np.diag(gram).mean()) * np.eye(len(atoms))
    responses = shares @ (rows @ atoms.T)
    found = nonnegative_batch(gram, responses)[:_CHECKED]
    exact = np.array([nonnegative_gram(gram, b, w > 0.0)[0] for b, w in zip(responses, found, strict=False)])
    return int((exact[0] > 0.0).sum()), float(np.abs(found - exact).max() / np.abs(exact).max())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line per geometry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("concepts", 997), ("dimension", 768), ("probes", 50), ("resamples", 1000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    chosen = parser.parse_args(arguments)
    print("common share   atoms with weight   CPU s of score()   largest error of a resample")
    for common in COMMON_SHARES:
        atoms, rows = plant(chosen.concepts, chosen.dimension, chosen.probes, common)
        basis = make_basis([f"c{i}" for i in range(chosen.concepts)], atoms)
        started = time.process_time()
        score(rows, basis, ScoreOptions(resamples=chosen.resamples))
        spent = time.process_time() - started
        active, error = distance(atoms, rows, chosen.resamples)
        print(f"{common:12.2f}   {active:17d}   {spent:16.2f}   {error:27.1e}", flush=True)


if __name__ == "__main__":
    main()
