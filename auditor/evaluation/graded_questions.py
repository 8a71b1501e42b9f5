"""Does "slightly vibrant" find the adapter that is slightly vibrant? Asked where each style has several strengths.

The zoo has every style at full strength only. Here a slow training of each style is stopped half way and at its end,
and a fast one goes to full strength; all are put into one catalog. Which one has little, some or much of the style is
known from that alone. The lengths were chosen on a development style, `vibrant`, so that they fall into what the words
mean (docs/questions.md): levels of about 0.3, 0.55 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auditor.catalog.search import search
from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.search_quality import trained_catalog
from auditor.finexl.attribution import bootstrap_mean

STRENGTHS = ("weak", "middle", "strong")
AMOUNTS: Mapping[str, tuple[str, ...]] = {
    "slightly": ("slightly {a}", "a bit of {a}", "somewhat {a} lora"),
    "quite": ("quite {a}", "moderately {a}", "fairly {a} lora"),
    "very": ("very {a}", "something really {a}", "extremely {a} lora"),
}
"""Spellings by the word of the table; its place is the place of the right strength."""
PLAIN = "most {a} LoRA"

Ranked = Sequence[tuple[str, str]]
"""Style and strength of what was found, the best first; adapters without an effect are in no catalog."""


@dataclass(frozen=True)
class GradedRow:
    """Questions with one kind of amount.

    Attributes:
        amount: The kind.
        questions: How many were asked.
        first: Share with the right style at the right strength first; `low` and `high` from resampling styles.
        style: Share with the right style first, at any strength.
        among_three: Share with the right one among the first three.
        without: What share is right first when the same is asked without the word.
    """

    amount: str
    questions: int
    first: float
    low: float
    high: float
    style: float
    among_three: float
    without: float


@dataclass(frozen=True)
class GradedQuality:
    """The table, the chance of a draw among all adapters, and every question whose first answer was wrong."""

    rows: tuple[GradedRow, ...]
    adapters: int
    chance: float
    missed: tuple[tuple[str, str], ...]


def evaluate_graded(bank: Bank, styles: Sequence[str], note: Note | None = None) -> GradedQuality:
    """Train and audit each style at three strengths, build a catalog of them, and ask for each amount of each style."""
    strength_of = {case: strength for style in styles for case, strength in _rungs(bank, style)}
    results = bank.results(list(strength_of), note)
    database = trained_catalog(bank, results, "graded")
    known = {result.record.item.path: (case.lesson.styles[0], strength_of[case]) for case, result in results.items()}

    def ranked(text: str) -> Ranked:
        hits = search(database, text, len(known)).hits
        return [known[hit.path] for hit in hits if hit.path is not None]

    asked = {text: ranked(text) for style in styles for text in _spellings(style)}
    return judged(styles, asked)


def judged(styles: Sequence[str], answers: Mapping[str, Ranked]) -> GradedQuality:
    """The table from what was found for each question."""
    rows, missed = [], list[tuple[str, str]]()
    for (amount, spellings), strength in zip(AMOUNTS.items(), STRENGTHS, strict=True):
        first, style_first, among, without = [], [], [], []
        for style in styles:
            right = (style, strength)
            texts = [spelling.format(a=style) for spelling in spellings]
            tops = [answers[text][0] if answers[text] else ("nothing", "") for text in texts]
            first.append(float(np.mean([top == right for top in tops])))
            style_first.append(float(np.mean([top[0] == style for top in tops])))
            among.append(float(np.mean([right in answers[text][:3] for text in texts])))
            without.append(float(answers[PLAIN.format(a=style)][:1] == [right]))
            missed += [
                (text, f"{top[1]} {top[0]}".strip()) for text, top in zip(texts, tops, strict=True) if top != right
            ]
        interval = bootstrap_mean(first)
        means = (float(np.mean(values)) for values in (style_first, among, without))
        rows.append(GradedRow(amount, len(styles) * len(spellings), interval.mean, interval.low, interval.high, *means))
    adapters = len(styles) * len(STRENGTHS)
    return GradedQuality(tuple(rows), adapters, 1 / adapters, tuple(missed))


def _rungs(bank: Bank, style: str) -> list[tuple[TrainedAdapter, str]]:
    """The adapters of a style, the weakest first."""
    lesson = bank.trainings.ladder(style)
    full = bank.world.styled(style, 0)
    steps = ((lesson, lesson.steps // 2), (lesson, lesson.steps), (full, full.steps))
    return [(TrainedAdapter(*one), strength) for one, strength in zip(steps, STRENGTHS, strict=True)]


def _spellings(style: str) -> list[str]:
    return [text.format(a=style) for text in (PLAIN, *(one for some in AMOUNTS.values() for one in some))]
