"""Scores on a basis that every model shares, so that "which LoRA is the most vibrant" has an answer.

The basis is one lexicon, measured once per base model and recipe. Every adapter's V is fitted by the same
atoms with the same solver, which gives one score per concept, comparable between adapters. Beside the joint
score stands the single projection, which credits each concept alone: look at it where near-synonyms share a
joint score between them.

The interval of a score says what another audit of the same adapter would give: Student's t over probes of the linear
estimate that the fit is, once it is known which atoms carry weight. A concept without weight gets the interval of what
it would get beside them. Noise gives small weights to atoms that do not belong, at the cost of those that do, so that
scores are a little low. How much is not known: the lower end takes all weights for real, and the upper end none of
those that are no larger than their own interval, where that reaches further. Percentiles of fits to resampled probes
would lie lower still, as each resample adds noise of its own.

How far a concept's direction itself is known is another matter: see levels.py.

Which concept names the adapter first is a third question. Of atoms that lie close together the fit gives most to
whichever makes up best for what the others leave, which need not be the one that V points to. So the concepts of the
fit are put in order by orthogonal matching pursuit (Pati et al. 1993): the one that V is nearest to, then the one that
is nearest to what is left when those before are fitted again, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditor.finexl.arrays import TINY, FloatArray, as_array, as_rows, as_vectors, canonical_rows, unit
from auditor.finexl.basis import Basis, make_basis
from auditor.finexl.solvers import LEAST_RIDGE, Solver, projections, solve

__all__ = ["NAMED", "Basis", "PhraseScore", "ScoreOptions", "SharedScores", "make_basis", "score", "score_phrase"]


NAMED = 8
"""So many concepts have a place in the order of naming."""


@dataclass(frozen=True)
class ScoreOptions:
    """Choices of the shared scoring; all of them belong in the recipe.

    Attributes:
        solver: "nnls" (default), "ols" or "projection".
        ridge: Penalty in units of the mean squared atom length; spreads a score over near-synonyms.
        confidence: Level of the intervals.
        alignment_floor: Alignments below this stretch a phrase's interval no further (1 / 0.2 = five times).
        unknown_alignment: Alignment of a phrase of which only the text side is known.
    """

    solver: Solver = "nnls"
    ridge: float = 0.0
    confidence: float = 0.95
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
        place: In the order of naming: 1 for the concept that says most of the change, up to `NAMED`; 0 for all others.
        first_share: Share of |V|² that the first concept of that order explains alone, in [0, 1]; of |V|² less what the
            scatter of the probes adds to it, which no concept explains. 0 without a place.
        explained_share: 1 - residual² / |V|² of the joint fit, in [0, 1]; 0 for V = 0.
        norm: |V|.
        probes: n.
    """

    names: tuple[str, ...]
    score: FloatArray
    low: FloatArray
    high: FloatArray
    projection: FloatArray
    place: NDArray[np.intp]
    first_share: float
    explained_share: float
    norm: float
    probes: int

    @property
    def naming(self) -> NDArray[np.intp]:
        """Concepts in the order of naming (k,): those with a place, then by score; as places in `names`."""
        last = NAMED + 1
        return np.lexsort((-self.score, np.where(self.place > 0, self.place, last)))


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
        nowhere = np.zeros(len(basis.names), dtype=np.intp)
        return SharedScores(basis.names, zeros, zeros, zeros, zeros, nowhere, 0.0, 0.0, norm, len(rows))
    # Solve at unit scale, so that tolerances mean the same for weak and strong adapters.
    scaled = np.tile(rows / largest, (1, basis.views)) / np.sqrt(basis.views)
    target = scaled.mean(axis=0)
    weights = solve(target, basis.atoms, chosen.solver, chosen.ridge)
    left = float(((target - weights @ basis.atoms) ** 2).sum())
    square = float((target**2).sum())
    joint = _per_concept(weights[None, :], basis)[0]
    below, above = _joint_interval(scaled, weights, joint, basis, chosen)
    alone = _single_projections(scaled, basis).mean(axis=0)
    place = _places(target, weights, basis)
    return SharedScores(
        basis.names,
        joint * largest,
        below * largest,
        above * largest,
        alone * largest,
        place,
        _first_share(scaled, basis.atoms[(weights > 0.0) & np.isin(basis.owner, basis.group[place == 1])]),
        float(np.clip(1.0 - left / square, 0.0, 1.0)) if square > TINY**2 else 0.0,
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
    half = float(_t_error(single, rows, basis, chosen.confidence)[0])
    half /= max(known, chosen.alignment_floor)
    cosine = float(unit(rows.mean(axis=0)) @ unit(basis.atoms[0]))
    return PhraseScore(value, value - half, value + half, max(-1.0, min(1.0, cosine)))


def _per_concept(weights: FloatArray, basis: Basis) -> FloatArray:
    """Add up atom weights (B, m) by direction and hand them to every name of it (B, k)."""
    directions = int(basis.owner.max(initial=-1)) + 1
    belongs = (basis.owner[:, None] == np.arange(directions)).astype(np.float64)
    return np.asarray((weights @ belongs)[:, basis.group])


def _places(target: FloatArray, weights: FloatArray, basis: Basis) -> NDArray[np.intp]:
    """Place in the order of naming (k,), from 1; 0 for concepts without a positive weight and those after `NAMED`."""
    used = np.flatnonzero(weights > 0.0)
    atoms, owners = basis.atoms[used], basis.owner[used]
    lengths = np.linalg.norm(atoms, axis=1)
    taken = np.zeros(len(used), dtype=bool)
    left = target
    order: list[int] = []
    while len(order) < NAMED and not taken.all():
        along = np.where(taken, -np.inf, atoms @ left / lengths)
        nearest = int(np.argmax(along))
        if along[nearest] <= 0.0:
            break
        order.append(int(owners[nearest]))
        taken |= owners == owners[nearest]
        left = target - solve(target, atoms[taken], "nnls") @ atoms[taken]
    found = np.zeros(int(basis.owner.max(initial=-1)) + 1, dtype=np.intp)
    found[order] = np.arange(1, len(order) + 1)
    return np.asarray(found[basis.group], dtype=np.intp)


def _first_share(rows: FloatArray, atoms: FloatArray) -> float:
    """Share of the square of the mean of `rows` (n, D), scatter set aside, that some atoms (m, D) explain."""
    if len(atoms) == 0:
        return 0.0
    target = rows.mean(axis=0)
    square = float(target @ target)
    scatter = float(rows.var(axis=0, ddof=1).sum()) / len(rows) if len(rows) > 1 else 0.0
    left = target - solve(target, atoms, "nnls") @ atoms
    return float(np.clip((square - left @ left) / max(square - scatter, TINY**2), 0.0, 1.0))


def _single_projections(rows: FloatArray, basis: Basis) -> FloatArray:
    """Projection of each difference on each concept alone (n, k), averaged over a concept's atoms."""
    atoms_each = np.bincount(basis.owner) if len(basis.owner) else np.ones(0)
    return _per_concept(projections(rows, basis.atoms) / atoms_each[basis.owner], basis)


def _t_error(single: FloatArray, rows: FloatArray, basis: Basis, confidence: float) -> FloatArray:
    """Half-width of the interval of the mean of `single` (n, k): Student's t over probes.

    One probe has no spread; then all of V might be noise, and the half-width is |V| / |f|.
    """
    n = len(rows)
    if n > 1:
        from scipy.special import stdtrit  # as nnls in solvers.py: not for a search that needs no interval

        quantile = float(stdtrit(n - 1, 0.5 + confidence / 2.0))
        return np.asarray(quantile * single.std(axis=0, ddof=1) / np.sqrt(n))
    lengths = np.linalg.norm(basis.atoms, axis=1)
    reach = np.where(lengths > TINY, np.linalg.norm(rows[0]) / np.where(lengths > TINY, lengths, 1.0), 0.0)
    atoms_each = np.bincount(basis.owner) if len(basis.owner) else np.ones(0)
    return np.asarray(_per_concept((reach / atoms_each[basis.owner])[None, :], basis)[0])


def _joint_interval(
    scaled: FloatArray, weights: FloatArray, joint: FloatArray, basis: Basis, options: ScoreOptions
) -> tuple[FloatArray, FloatArray]:
    """Interval of the joint scores for another audit (k,), always around the score."""
    nonnegative = options.solver == "nnls"
    used = weights > 0.0 if nonnegative else np.ones(len(weights), dtype=bool)
    low, high = _ends(scaled, used, basis, options)
    if nonnegative:
        leaders = np.unique(basis.group, return_index=True)[1]
        sure = used & (low[leaders] > 0.0)[basis.owner]
        high = np.maximum(high, _ends(scaled, sure, basis, options)[1])
        low = np.maximum(low, 0.0)
    return np.minimum(low, joint), np.maximum(high, joint)


def _ends(
    scaled: FloatArray, used: NDArray[np.bool_], basis: Basis, options: ScoreOptions
) -> tuple[FloatArray, FloatArray]:
    single = _refitted(scaled, used, basis, options)
    centre, half = single.mean(axis=0), _t_error(single, scaled, basis, options.confidence)
    return centre - half, centre + half


def _refitted(rows: FloatArray, used: NDArray[np.bool_], basis: Basis, options: ScoreOptions) -> FloatArray:
    """Weight of each concept by each difference alone (n, k) in a free fit of the used atoms (m,).

    A concept without a used atom is added to them by itself. With the atoms that carry weight in a non-negative fit,
    the mean over probes is the score.
    """
    if options.solver == "projection" or len(basis.atoms) == 0:
        return _per_concept(projections(rows, basis.atoms), basis)
    gram, responses = basis.atoms @ basis.atoms.T, rows @ basis.atoms.T
    penalty = max(options.ridge, LEAST_RIDGE) if options.solver == "nnls" else options.ridge
    gram += penalty * float(np.diag(gram).mean()) * np.eye(len(gram))
    inside = np.linalg.pinv(gram[np.ix_(used, used)], rcond=1e-10, hermitian=True)
    single = np.zeros_like(responses)
    single[:, used] = responses[:, used] @ inside
    cross = gram[np.ix_(used, ~used)]
    left = np.diag(gram)[~used] - ((inside @ cross) * cross).sum(axis=0)
    known = left > TINY
    alone = (responses[:, ~used] - single[:, used] @ cross) / np.where(known, left, 1.0)
    single[:, ~used] = np.where(known, alone, 0.0)
    # Atoms of a concept share its weight; where none has any, each was added by itself.
    count = int(basis.owner.max()) + 1
    belongs = (basis.owner[:, None] == np.arange(count)).astype(np.float64)
    carries = (used.astype(np.float64) @ belongs > 0.0)[basis.owner]
    shares = np.where(carries, used, 1.0 / belongs.sum(axis=0)[basis.owner])
    return _per_concept(single * shares, basis)
