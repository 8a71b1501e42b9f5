"""What one run of the paper's tables is made on: adapters, sizes, and everything that is opened once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.encoder_geometry import POCKET_ENCODERS
from auditor.evaluation.rivals.on_bank import RivalBank
from auditor.evaluation.training_lengths import style_names
from auditor.finexl.attribution import Interval, bootstrap_mean, rank_error
from auditor.pocket.training.later_bases import STEPS
from auditor.pocket.training.lessons import LEVELS, PAIRS_HELD_OUT
from auditor.pocket.training.style_pairs import separable_pairs

QUICK_STYLES = 3


@dataclass(frozen=True)
class PaperOptions:
    """Size of a run.

    Attributes:
        held_out: Whether the styles are held out from all tuning.
        styles: One ladder of training lengths each.
        pairs: One mixture grid each.
        steps: Training lengths, increasing.
        encoders: As `encoder_settings` reads them.
        scenes: Of the encoders' table.
        zoo: Adapters with long audits.
        passes: Seeds for each prompt of a long audit.
        draws: Random choices (of probes, of alternatives) behind one case.
        later_steps: Of the trainings that go on from the base.
    """

    held_out: bool
    styles: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    steps: tuple[int, ...] = LEVELS
    encoders: tuple[str, ...] = POCKET_ENCODERS
    scenes: int = 48
    zoo: int = 12
    passes: int = 8
    draws: int = 20
    later_steps: int = STEPS


def whole_options() -> PaperOptions:
    """All held-out styles and pairs."""
    return PaperOptions(True, style_names(held_out=True), PAIRS_HELD_OUT)


def quick_options() -> PaperOptions:
    """Some development styles: minutes on two cores."""
    styles, pairs = style_names(held_out=False)[:QUICK_STYLES], separable_pairs(held_out=False)[:1]
    return PaperOptions(False, styles, pairs, scenes=12, zoo=2, passes=2, draws=5, later_steps=60)


@dataclass(frozen=True)
class PaperWork:
    """One run."""

    options: PaperOptions
    bank: Bank
    rivals: RivalBank
    note: Note | None = None

    def ladder(self, style: str) -> list[TrainedAdapter]:
        """One style's training lengths."""
        return self.bank.ladder(style, self.options.steps)

    def longest(self, style: str) -> TrainedAdapter:
        """The end of a style's ladder."""
        return self.ladder(style)[-1]

    def spread(self, levels: int) -> tuple[int, ...]:
        """So many of the training lengths, evenly spread; none where there are fewer."""
        steps = self.options.steps
        if len(steps) < levels:
            return ()
        return tuple(steps[round(i * (len(steps) - 1) / (levels - 1))] for i in range(levels))

    def rank_errors(self, score: Callable[[TrainedAdapter, str], float], steps: Sequence[int]) -> Interval:
        """Rank error of a score over training lengths; the interval resamples styles."""
        errors = []
        for style in self.options.styles:
            scores = [score(case, style) for case in self.bank.ladder(style, steps)]
            errors.append(rank_error(np.arange(len(steps)), scores))
        return bootstrap_mean(errors)
