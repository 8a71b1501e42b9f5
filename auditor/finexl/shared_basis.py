"""Scores on a basis that every model shares, so that "which LoRA is the most vibrant" has an answer.

The basis is one lexicon, measured once per base model and recipe. Every adapter's V is fitted by the same
atoms with the same solver, which gives one score per concept, comparable between adapters. Beside the joint
score stands the single projection, which credits each concept alone: look at it where near-synonyms share a
joint score between them.

Intervals come from resampling probes. Where text side and image side of a concept disagree (low alignment),
its direction itself is in doubt, which resampling cannot see; the interval is therefore stretched about its
score by 1 / alignment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from auditor.finexl.arrays import TINY, FloatArray, as_array, as_rows, as_vectors, canonical_rows, unit
from auditor.finexl.basis import Basis, make_basis
from auditor.finexl.solvers import Solver, projections, solve, solve_batch

__all__ = ["Basis", "PhraseScore", "ScoreOptions", "SharedScores", "make_basis", "score", "score_phrase"]

SCREEN_ABOVE = 96
"""Bases with more atoms than this are screened before the bootstrap."""

RIVALS = 32
"""Atoms without weight that a screened bootstrap may still turn to."""


@dataclass(frozen=True)
class ScoreOptions:
    """Choices of the shared scoring; all of them belong in the recipe.

    Attributes:
        solver: "nnls" (default), "ols" or "projection".
        ridge: Penalty in units of the mean squared atom length; spreads a score over near-synonyms.
        resamples: Bootstrap draws over probes.
        confidence: Level of the intervals.
        seed: Seed of the bootstrap.
        alignment_floor: Alignments below this stretch an interval no further (1 / 0.2 = five times).
        unknown_alignment: Stands in where only one side of a concept was measured.
    """

    solver: Solver = "nnls"
    ridge: float = 0.0
    resamples: int = 200
    confidence: float = 0.95
    seed: int = 0
    alignment_floor: float = 0.2
    unknown_alignment: float = 0.5


@dataclass(frozen=True, eq=False)
class SharedScores:
    """Scores of one adapter, all arrays in the order of `names` (k,).

    Attributes:
        names: Concepts in lexicon order.
        score: Weight of the joint fit. 1 means as far as the concept's own vector reaches.
        low: Lower end of its interval.
        high: Upper end of its interval.
        projection: Weight of the concept alone, <V, f> / |f|².
        projection_low: Lower end of its interval.
        projection_high: Upper end of its interval.
        explained_share: 1 - residual² / |V|² of the joint fit, in [0, 1]; 0 for V = 0.
        common_share: Share of |V|² inside the basis's common directions, which no concept can explain.
        norm: |V|.
        probes: n.
    """

    names: tuple[str, ...]
    score: FloatArray
    low: FloatArray
    high: FloatArray
    projection: FloatArray
    projection_low: FloatArray
    projection_high: FloatArray
    explained_share: float
    common_share: float
    norm: float
    probes: int


@dataclass(frozen=True)
class PhraseScore:
    """Projection of V on one phrase outside the lexicon, its interval, and its cosine with V."""

    score: float
    low: float
    high: float
    cosine: float


def score(differences: ArrayLike, basis: Basis, options: ScoreOptions | None = None) -> SharedScores:
    """Score one adapter on every concept of the basis.

    Scores and interval ends are proportional to V and independent of the order of the probes.

    Args:
        differences: d_i (n, D); a single V may be passed as (1, D), at the price of wide intervals.
        basis: Shared basis with the same dimension.
        options: Solver and interval choices.
    """
    chosen = options or ScoreOptions()
    rows = canonical_rows(as_rows(differences, "differences"))
    if rows.shape[1] != basis.dimension:
        raise ValueError(f"differences have {rows.shape[1]} dimensions, the basis has {basis.dimension}")
    norm = float(np.linalg.norm(rows.mean(axis=0)))
    largest = float(np.abs(rows).max())
    if largest <= TINY:
        zeros = np.zeros(len(basis.names))
        return SharedScores(basis.names, zeros, zeros, zeros, zeros, zeros, zeros, 0.0, 0.0, norm, len(rows))
    # Solve at unit scale, so that tolerances mean the same for weak and strong adapters.
    scaled = np.tile(rows / largest, (1, basis.views)) / np.sqrt(basis.views)
    target = scaled.mean(axis=0)
    weights = solve(target, basis.atoms, chosen.solver, chosen.ridge)
    left = float(((target - weights @ basis.atoms) ** 2).sum())
    square = float((target**2).sum())
    stretch = 1.0 / np.maximum(_alignment(basis, chosen), chosen.alignment_floor)

    joint = _per_concept(weights[None, :], basis)[0]
    low, high = _joint_interval(scaled, weights, joint, basis, chosen)
    single = _single_projections(scaled, basis)
    alone = single.mean(axis=0)
    half = _projection_error(single, scaled, basis, chosen.confidence) * stretch
    below, above = joint - (joint - low) * stretch, joint + (high - joint) * stretch
    if chosen.solver == "nnls":
        below = np.maximum(below, 0.0)
    inside = (rows.mean(axis=0) / largest) @ basis.common.T
    return SharedScores(
        basis.names,
        joint * largest,
        below * largest,
        above * largest,
        alone * largest,
        (alone - half) * largest,
        (alone + half) * largest,
        float(np.clip(1.0 - left / square, 0.0, 1.0)) if square > TINY**2 else 0.0,
        float(min(1.0, (inside**2).sum() / square)) if square > TINY**2 else 0.0,
        norm,
        len(rows),
    )


def score_phrase(
    differences: ArrayLike,
    phrase: ArrayLike,
    *,
    common: ArrayLike | None = None,
    alignment: float | None = None,
    options: ScoreOptions | None = None,
) -> PhraseScore:
    """Project V on the f(C) of a phrase that is not in the lexicon.

    Args:
        differences: d_i (n, D), or V alone (D,), which tells nothing about spread and so gets the interval
            of a single probe.
        phrase: f(C) of the phrase (D,), usually from the text side.
        common: Directions to project off the phrase (r, D), as for the basis.
        alignment: Expected cosine of text side and image side; `unknown_alignment` by default.
        options: Confidence and stretch.
    """
    chosen = options or ScoreOptions()
    given = np.asarray(differences, dtype=np.float64)
    rows = canonical_rows(as_rows(given[None, :] if given.ndim == 1 else given, "differences"))
    vector = as_array(phrase, "phrase vector", 1)
    span = as_vectors([] if common is None else common, "common directions", rows.shape[1])
    basis = make_basis(("phrase",), vector[None, :], common=span)
    if basis.dimension != rows.shape[1]:
        raise ValueError(f"phrase vector has {basis.dimension} dimensions, expected {rows.shape[1]}")
    single = projections(rows, basis.atoms)
    value = float(single.mean())
    known = chosen.unknown_alignment if alignment is None else alignment
    half = float(_projection_error(single, rows, basis, chosen.confidence)[0])
    half /= max(known, chosen.alignment_floor)
    cosine = float(unit(rows.mean(axis=0)) @ unit(basis.atoms[0]))
    return PhraseScore(value, value - half, value + half, max(-1.0, min(1.0, cosine)))


def _per_concept(weights: FloatArray, basis: Basis) -> FloatArray:
    """Add up atom weights (B, m) by direction and hand them to every name of it (B, k)."""
    directions = int(basis.owner.max(initial=-1)) + 1
    belongs = (basis.owner[:, None] == np.arange(directions)).astype(np.float64)
    return np.asarray((weights @ belongs)[:, basis.group])


def _single_projections(rows: FloatArray, basis: Basis) -> FloatArray:
    """Projection of each difference on each concept alone (n, k), averaged over a concept's atoms."""
    atoms_each = np.bincount(basis.owner) if len(basis.owner) else np.ones(0)
    return _per_concept(projections(rows, basis.atoms) / atoms_each[basis.owner], basis)


def _projection_error(single: FloatArray, rows: FloatArray, basis: Basis, confidence: float) -> FloatArray:
    """Half-width of the interval of a mean projection (k,): Student's t over probes.

    One probe has no spread; then all of V might be noise, and the half-width is |V| / |f|.
    """
    n = len(rows)
    if n > 1:
        quantile = float(stdtrit(n - 1, 0.5 + confidence / 2.0))
        return np.asarray(quantile * single.std(axis=0, ddof=1) / np.sqrt(n))
    lengths = np.linalg.norm(basis.atoms, axis=1)
    reach = np.where(lengths > TINY, np.linalg.norm(rows[0]) / np.where(lengths > TINY, lengths, 1.0), 0.0)
    atoms_each = np.bincount(basis.owner) if len(basis.owner) else np.ones(0)
    return np.asarray(_per_concept((reach / atoms_each[basis.owner])[None, :], basis)[0])


def _joint_interval(
    scaled: FloatArray, weights: FloatArray, joint: FloatArray, basis: Basis, options: ScoreOptions
) -> tuple[FloatArray, FloatArray]:
    """Percentile interval of the joint scores over resampled probes (k,), always around the score."""
    n = len(scaled)
    if n == 1:
        half = _projection_error(joint[None, :], scaled, basis, options.confidence)
        return joint - half, joint + half
    drawn = np.random.default_rng(options.seed).multinomial(n, np.full(n, 1.0 / n), size=options.resamples)
    # Resampling n of n shrinks the variance by (n - 1) / n, which matters for few probes.
    widen = np.sqrt(n / (n - 1.0))
    shares = (1.0 - widen) / n + widen * drawn / n
    chosen = _screened(scaled.mean(axis=0), weights, basis, options.solver)
    atoms = basis.atoms[chosen]
    refitted = np.zeros((options.resamples, len(basis.atoms)))
    # The penalty is in units of the mean squared length, which must stay that of the whole basis.
    ridge = options.ridge * _mean_square(basis.atoms) / max(_mean_square(atoms), TINY**2)
    refitted[:, chosen] = solve_batch(shares @ (scaled @ atoms.T), atoms @ atoms.T, options.solver, ridge)
    tail = (1.0 - options.confidence) / 2.0
    low, high = np.quantile(_per_concept(refitted, basis), [tail, 1.0 - tail], axis=0)
    return np.minimum(low, joint), np.maximum(high, joint)


def _screened(target: FloatArray, weights: FloatArray, basis: Basis, solver: Solver) -> NDArray[np.intp]:
    """Atoms that resampled fits may use.

    All of a small basis. Of a large one, those with weight and the `RIVALS` that came closest to getting
    some: a resample rarely reaches beyond them, and refitting a thousand atoms 200 times takes minutes.
    """
    if solver != "nnls" or len(weights) <= SCREEN_ABOVE:
        return np.arange(len(weights))
    gradient = np.where(weights > 0.0, -np.inf, basis.atoms @ (target - weights @ basis.atoms))
    rivals = np.argsort(-gradient, kind="stable")[:RIVALS]
    return np.union1d(np.flatnonzero(weights > 0.0), rivals)


def _mean_square(atoms: FloatArray) -> float:
    return float((atoms**2).sum(axis=1).mean()) if len(atoms) else 0.0


def _alignment(basis: Basis, options: ScoreOptions) -> FloatArray:
    if basis.alignment is None:
        return np.full(len(basis.names), options.unknown_alignment)
    return basis.alignment
