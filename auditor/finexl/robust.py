"""The default explanation of one adapter: ordered candidates, absolute redundancy, non-negative weights.

Where Algorithm 1 takes candidates as they come, this takes the best first, so the proposer's reply order
is irrelevant. Redundancy is judged by absolute cosine or by the share of a candidate inside the span of the
kept ones, so that opposites cannot cancel. Weights are non-negative: "much less gloomy" is to be said by a
concept of its own. And it may abstain: a change that the candidates do not explain is called unexplained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from auditor.finexl.arrays import TINY, FloatArray, as_array, as_vectors, cosines, remove_span, unit
from auditor.finexl.solvers import Solver, solve

Status = Literal["explained", "unexplained", "no_effect"]
Order = Literal["cosine", "support", "pursuit", "given"]
Redundancy = Literal["max_cosine", "span_share"]
Fate = Literal["kept", "redundant", "opposed", "no_gain", "zero_vector", "dropped"]


@dataclass(frozen=True)
class RobustOptions:
    """Choices of the default variant; all of them belong in the recipe.

    Attributes:
        order: "cosine" best cosine with V first, "support" most often proposed first, "pursuit" whichever
            explains most of what is left, "given" as proposed.
        redundancy: Measure compared with `max_redundancy`.
        max_redundancy: Largest |cos| with a kept concept, or largest share of f(C) inside the kept span.
        solver: "nnls" or "ols".
        ridge: Penalty in units of the mean squared concept length (see `solvers.solve`).
        max_concepts: Most concepts to keep.
        stop_residual: Stop when the relative residual is below this (Eq. 11).
        minimum_gain: A concept must raise the explained share by at least this much to stay.
        minimum_share: Below this explained share the status is "unexplained".
    """

    order: Order = "pursuit"
    redundancy: Redundancy = "max_cosine"
    max_redundancy: float = 0.7
    solver: Solver = "nnls"
    ridge: float = 0.0
    max_concepts: int = 12
    stop_residual: float = 0.2
    minimum_gain: float = 0.002
    minimum_share: float = 0.1


@dataclass(frozen=True)
class WeightedConcept:
    """One concept of an explanation: weight, cosine with V, support, and its own share.

    Attributes:
        name: The concept.
        weight: w_i of the final fit.
        cosine: Cosine of f(C) with V.
        support: How often it was proposed.
        share: Drop of the explained share when this concept alone is left out of the final fit.
    """

    name: str
    weight: float
    cosine: float
    support: int
    share: float


@dataclass(frozen=True)
class Considered:
    """What became of a candidate, and the redundancy it was judged by."""

    name: str
    fate: Fate
    redundancy: float


@dataclass(frozen=True)
class RobustExplanation:
    """Explanation of one V.

    Attributes:
        status: "no_effect" for V = 0, "unexplained" when the share is too low, else "explained".
        concepts: Kept concepts, largest contribution |w| |f(C)| first.
        explained_share: 1 - residual² / |V|², in [0, 1].
        relative_residual: residual / |V|; 0 for V = 0.
        trace: Every candidate looked at, in order.
    """

    status: Status
    concepts: tuple[WeightedConcept, ...]
    explained_share: float
    relative_residual: float
    trace: tuple[Considered, ...]


@dataclass
class _Fit:
    """The kept candidates and their current weights."""

    kept: list[int] = field(default_factory=list)
    weights: FloatArray = field(default_factory=lambda: np.zeros(0))
    residual: float = 1.0  # squared, as a share of |V|²


def explain(
    target: ArrayLike,
    names: Sequence[str],
    vectors: ArrayLike,
    *,
    support: Sequence[int] | None = None,
    common: FloatArray | None = None,
    options: RobustOptions | None = None,
) -> RobustExplanation:
    """Explain V by few, distinct, non-negative concepts.

    Args:
        target: V (D,).
        names: Candidate concepts (k).
        vectors: Their f(C) (k, D).
        support: How many replies proposed each candidate (k); 1 each by default.
        common: Orthonormal directions to project off every f(C) (r, D), from `concepts.common_span`.
        options: Variant choices.
    """
    chosen = options or RobustOptions()
    v = as_array(target, "V", 1)
    atoms = as_vectors(vectors, "concept vectors", len(v))
    counts = np.ones(len(atoms), dtype=np.intp) if support is None else np.asarray(support, dtype=np.intp)
    if not len(names) == len(atoms) == len(counts):
        raise ValueError(f"{len(names)} names, {len(atoms)} vectors and {len(counts)} supports must match")
    length = float(np.linalg.norm(v))
    if length <= TINY:
        return RobustExplanation("no_effect", (), 0.0, 0.0, ())
    if common is not None:
        atoms = remove_span(atoms, common)
    trace: list[Considered] = []
    fit = _select(v / length, atoms, list(_ranking(v, atoms, names, counts, chosen.order)), names, chosen, trace)
    if chosen.solver == "nnls":
        trace += [Considered(names[i], "dropped", 0.0) for i, w in zip(fit.kept, fit.weights, strict=True) if w <= 0]
        positive = fit.weights > 0.0
        fit.kept = [i for i, keep in zip(fit.kept, positive, strict=True) if keep]
        fit.weights = fit.weights[positive]
    concepts = _describe(v / length, atoms, fit, names, counts, chosen, length)
    share = float(np.clip(1.0 - fit.residual, 0.0, 1.0))
    status: Status = "explained" if concepts and share >= chosen.minimum_share else "unexplained"
    return RobustExplanation(status, concepts, share, float(np.sqrt(1.0 - share)), tuple(trace))


def _ranking(
    v: FloatArray,
    atoms: FloatArray,
    names: Sequence[str],
    support: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    order: Order,
) -> list[int]:
    """Candidates best first; ties fall to support, then cosine, then name, never to the reply order."""
    if order == "given":
        return list(range(len(names)))
    closeness = np.round(cosines(atoms, v), 12)
    if order == "support":
        return sorted(range(len(names)), key=lambda i: (-support[i], -closeness[i], names[i]))
    return sorted(range(len(names)), key=lambda i: (-closeness[i], -support[i], names[i]))


def _select(
    v: FloatArray,
    atoms: FloatArray,
    waiting: list[int],
    names: Sequence[str],
    options: RobustOptions,
    trace: list[Considered],
) -> _Fit:
    """Take candidates one by one until the residual, the cap or the list ends. `v` has length one."""
    fit = _Fit()
    while waiting and len(fit.kept) < options.max_concepts:
        index = waiting.pop(_best(v, atoms, waiting, fit) if options.order == "pursuit" else 0)
        redundancy = _redundancy(atoms[index], atoms[fit.kept], options.redundancy)
        fate: Fate = "kept"
        if np.linalg.norm(atoms[index]) <= TINY:
            fate = "zero_vector"
        elif options.solver == "nnls" and not fit.kept and float(atoms[index] @ v) <= 0.0:
            fate = "opposed"
        elif fit.kept and redundancy > options.max_redundancy:
            fate = "redundant"
        else:
            trial = _refit(v, atoms, [*fit.kept, index], options)
            if fit.residual - trial.residual < options.minimum_gain:
                fate = "no_gain"
            else:
                fit = trial
        trace.append(Considered(names[index], fate, redundancy))
        if fit.residual < options.stop_residual**2:
            break
    return fit


def _refit(v: FloatArray, atoms: FloatArray, kept: list[int], options: RobustOptions) -> _Fit:
    weights = solve(v, atoms[kept], options.solver, options.ridge)
    return _Fit(kept, weights, float(((v - weights @ atoms[kept]) ** 2).sum()))


def _best(v: FloatArray, atoms: FloatArray, waiting: list[int], fit: _Fit) -> int:
    """Position in `waiting` of the candidate closest to what is left; the first of equals."""
    left = v - fit.weights @ atoms[fit.kept]
    return int(np.argmax(np.round(unit(atoms[waiting]) @ left, 12)))


def _redundancy(candidate: FloatArray, kept: FloatArray, measure: Redundancy) -> float:
    if len(kept) == 0:
        return 0.0
    if measure == "max_cosine":
        return float(np.abs(cosines(candidate, kept)).max())
    _, singular, rows = np.linalg.svd(unit(kept), full_matrices=False)
    inside = rows[singular > 1e-10] @ unit(candidate)
    return float(min(1.0, (inside**2).sum()))


def _describe(
    v: FloatArray,
    atoms: FloatArray,
    fit: _Fit,
    names: Sequence[str],
    support: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    options: RobustOptions,
    length: float,
) -> tuple[WeightedConcept, ...]:
    size = np.abs(fit.weights) * np.linalg.norm(atoms[fit.kept], axis=1)
    concepts = []
    for position in sorted(range(len(fit.kept)), key=lambda p: (-round(float(size[p]), 12), names[fit.kept[p]])):
        index = fit.kept[position]
        without = _refit(v, atoms, [i for i in fit.kept if i != index], options)
        concepts.append(
            WeightedConcept(
                names[index],
                float(fit.weights[position]) * length,
                float(cosines(atoms[index], v)),
                int(support[index]),
                max(0.0, without.residual - fit.residual),
            )
        )
    return tuple(concepts)
