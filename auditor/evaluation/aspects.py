"""Two-aspect test (paper, Table 3 and Fig. 11): which point of the mixture grid is this adapter?

The six adapters of a pair are put in order by each aspect's score. The order is cut where the grid says: three at
level 0, two at level 1, one at level 2. An adapter is right when both its levels are. Nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.variants import Variant, no_effect, told, variants
from auditor.finexl.attribution import average_ranks, bootstrap_mean
from auditor.finexl.solvers import solve
from auditor.pocket.training.lessons import GRID
from auditor.pocket.ways_of_drawing import Way, words_of
from auditor.results.result_file import Result

PairVariant = Callable[[Result, Sequence[str]], Sequence[float]]
_TRUTH = {0.0: 0, 0.5: 1, 1.0: 2}
E_ORTHO = (0.3, 0.5, 0.7)
"""Thresholds of Eq. 9 that the published method is shown with; the paper gives none."""

CHANCE = (1 / 4 + 2 * 1 / 6 + 2 * 1 / 12 + 1 / 9) / 6
"""Share right when both orders are random: the mean over the grid of P(level a) P(level b)."""


@dataclass(frozen=True)
class AspectsRow:
    """Accuracy of one variant over all cases; the interval resamples pairs, whose six cases hang together."""

    variant: str
    accuracy: float
    low: float
    high: float
    per_pair: tuple[float, ...]


@dataclass(frozen=True)
class Aspects:
    """The table with its chance line."""

    pairs: tuple[tuple[str, str], ...]
    cases: int
    adapters: int
    rows: tuple[AspectsRow, ...]
    chance: float


def levels_from_scores(scores: Sequence[float]) -> list[int | None]:
    """Levels 0, 1, 2 of six scores by rank; None for a tie across a cut, which is counted as wrong."""
    ranks = average_ranks(np.asarray(scores, dtype=np.float64))
    cuts = {1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: 2}
    levels: list[int | None] = []
    for rank in ranks:
        tied = int((ranks == rank).sum())
        first = round(rank - (tied - 1) / 2)
        reached = {cuts[r] for r in range(first, first + tied)}
        levels.append(reached.pop() if len(reached) == 1 else None)
    return levels


def evaluate_aspects(
    bank: Bank, pairs: Sequence[tuple[str, str]], note: Note | None = None, way: Way = "renderer"
) -> Aspects:
    """Place every adapter of every pair's grid."""
    grid = {pair: grid_cases(bank, pair, way) for pair in pairs}
    results = bank.results([case for cases in grid.values() for case in cases], note)
    rows = []
    for name, scored in _pair_variants(bank, way).items():
        shares = []
        for pair, cases in grid.items():
            shares.append(share_right([scored(results[c], pair) for c in cases]))
        interval = bootstrap_mean(shares)
        rows.append(AspectsRow(name, interval.mean, interval.low, interval.high, tuple(shares)))
    return Aspects(tuple(pairs), len(pairs) * len(GRID), len(results), tuple(rows), CHANCE)


def grid_cases(bank: Bank, pair: tuple[str, str], way: Way = "renderer") -> list[TrainedAdapter]:
    """The six adapters of a pair, in the order of the grid."""
    # Only lessons of the first edition are drawn in several ways.
    drawn = () if way == "renderer" else (way,)
    lessons = [bank.world.mixture(*pair, point, *drawn) for point in GRID]
    return [TrainedAdapter(lesson, lesson.steps) for lesson in lessons]


def levels_of_grid() -> list[tuple[int, int]]:
    """Both levels of the six adapters, in the order of the grid."""
    return [(_TRUTH[first], _TRUTH[second]) for first, second in GRID]


def share_right(scores: Sequence[Sequence[float]]) -> float:
    """Share of a pair's six adapters whose two levels are right, from their scores (6, 2) in the order of the grid."""
    found = [levels_from_scores(column) for column in np.asarray(scores, dtype=np.float64).T.tolist()]
    right = [pair == truth for pair, truth in zip(zip(*found, strict=True), levels_of_grid(), strict=True)]
    return sum(right) / len(GRID)


def _pair_variants(bank: Bank, way: Way) -> dict[str, PairVariant]:
    """Ways to score both asked styles of one result: each by itself, and the two fitted together and nothing else.

    A hand's score is the mean of its words' scores, and its direction the mean of theirs.
    """
    scorer = bank.opened.scorer

    def alone(scored: Variant) -> PairVariant:
        return lambda result, pair: [
            float(np.mean([scored(result, word) for word in words_of(way, aspect)])) for aspect in pair
        ]

    def pair_fit(result: Result, pair: Sequence[str]) -> Sequence[float]:
        mean = result.arrays["divergence"].astype(np.float64)
        vectors = np.stack([scorer.vectors(words_of(way, aspect)).mean(axis=0) for aspect in pair])
        return [float(w) for w in solve(mean, vectors, "ols")]

    def published(e_ortho: float) -> PairVariant:
        def weighed(result: Result, pair: Sequence[str]) -> Sequence[float]:
            words = [words_of(way, aspect) for aspect in pair]
            weights = iter(told(scorer, result, [word for both in words for word in both], e_ortho))
            return [float(np.mean([next(weights) for _ in both])) for both in words]

        return weighed

    together: dict[str, PairVariant] = {"the two alone": pair_fit}
    for e_ortho in E_ORTHO:
        together[f"paper, perfect proposals, e_ortho {e_ortho}"] = published(e_ortho)
    chosen = {name: alone(scored) for name, scored in variants(bank).items() if name != "paper, perfect proposals"}
    return chosen | {name: _where_there_is_an_effect(scored) for name, scored in together.items()}


def _where_there_is_an_effect(scored: PairVariant) -> PairVariant:
    return lambda result, pair: [0.0] * len(pair) if no_effect(result) else scored(result, pair)
