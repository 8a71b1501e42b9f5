"""Single-aspect test (paper, Tables 1 and 2): ten training lengths of one style, to be put in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auditor.evaluation.bank import Bank, Note
from auditor.evaluation.variants import variants
from auditor.finexl.attribution import bootstrap_mean, chance_random, chance_tied, rank_error
from auditor.pocket.styles import STYLES
from auditor.pocket.training.lessons import LEVELS
from auditor.pocket.ways_of_drawing import Way, words_of


@dataclass(frozen=True)
class LevelsRow:
    """Rank error of one variant. `per_style` is in the order of `TrainingLengths.styles`."""

    variant: str
    error: float
    low: float
    high: float
    per_style: tuple[float, ...]


@dataclass(frozen=True)
class TrainingLengths:
    """The table with its chance lines."""

    styles: tuple[str, ...]
    levels: int
    cases: int
    rows: tuple[LevelsRow, ...]
    chance_random: float
    chance_tied: float


def style_names(held_out: bool) -> tuple[str, ...]:
    """Held-out or development styles."""
    return tuple(name for name, style in STYLES.items() if style.held_out == held_out)


def evaluate_levels(
    bank: Bank,
    styles: Sequence[str],
    levels: Sequence[int] = LEVELS,
    *,
    ablations: bool = False,
    way: Way = "renderer",
    note: Note | None = None,
) -> TrainingLengths:
    """Rank the training lengths of each style by the style's own score and compare with the truth.

    A hand's score is the mean of its words' scores.
    """
    ladders = {style: bank.ladder(style, levels, way) for style in styles}
    cases = [case for ladder in ladders.values() for case in ladder]
    results = bank.results(cases, note)
    truth = np.arange(len(levels), dtype=np.float64)
    rows = []
    for name, scored in variants(bank, ablations=ablations).items():
        errors = []
        for style, ladder in ladders.items():
            words = words_of(way, style)
            values = [np.mean([scored(results[case], word) for word in words]) for case in ladder]
            errors.append(rank_error(truth, np.asarray(values)))
        interval = bootstrap_mean(errors)
        rows.append(LevelsRow(name, interval.mean, interval.low, interval.high, tuple(errors)))
    count = len(levels)
    return TrainingLengths(tuple(styles), count, len(cases), tuple(rows), chance_random(count), chance_tied(count))
