"""What one run of the paper's tables is made on: adapters, sizes, and everything that is opened once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.data_sets import DataSet, other_sets, small_sets
from auditor.evaluation.encoder_geometry import POCKET_ENCODERS
from auditor.evaluation.paper_table import LEAST_CASES
from auditor.evaluation.rivals.on_bank import RivalBank
from auditor.evaluation.training_lengths import style_names
from auditor.finexl.attribution import Interval, bootstrap_mean, rank_error
from auditor.pocket.drawn_subjects import EDITS
from auditor.pocket.training.later_bases import STEPS
from auditor.pocket.training.lessons import EDIT_SCALES, LEVELS, PAIRS_HELD_OUT
from auditor.pocket.training.style_pairs import separable_pairs
from auditor.pocket.ways_of_drawing import Way

QUICK_PROBES, QUICK_IMAGE_PROBES = 8, 3


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
        others: The data sets beside the renderer's styles.
        edits: Subject edits, each at every scale.
        edit_scales: How far an edit is drawn, increasing.
        long_audits: Adapters of each other data set with long audits.
        probes: Of every other audit at most; as many as the recipe has where None.
        image_probes: Of the image side of concepts at most, likewise.
        ladders_of_kinds: Of each data set at most, on a GAN and on an autoregressive generator; all where None.
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
    others: tuple[DataSet, ...] = ()
    edits: tuple[str, ...] = ()
    edit_scales: tuple[float, ...] = EDIT_SCALES
    long_audits: int = 3
    probes: int | None = None
    image_probes: int | None = None
    ladders_of_kinds: int | None = None

    def of_kinds(self) -> PaperOptions:
        """The same for generators of other kinds, whose tables are about ladders alone: the first of each data set."""
        few = slice(self.ladders_of_kinds)
        others = tuple(replace(data, aspects=data.aspects[few]) for data in self.others)
        return replace(self, styles=self.styles[few], others=others)

    @property
    def sets(self) -> tuple[DataSet, ...]:
        """The renderer's styles, and the other data sets."""
        return DataSet("renderer", self.styles, self.pairs), *self.others


def whole_options() -> PaperOptions:
    """All held-out styles and pairs; of them `LEAST_CASES` ladders of each data set for generators of other kinds."""
    return PaperOptions(
        True,
        style_names(held_out=True),
        PAIRS_HELD_OUT,
        others=other_sets(),
        edits=tuple(EDITS),
        ladders_of_kinds=LEAST_CASES,
    )


def quick_options() -> PaperOptions:
    """Some development styles: minutes on two cores."""
    pairs = separable_pairs(held_out=False)[:1]
    return PaperOptions(
        False,
        pairs[0][:1],
        pairs,
        scenes=12,
        zoo=1,
        passes=2,
        draws=5,
        later_steps=30,
        others=small_sets(),
        edits=("moustache",),
        edit_scales=EDIT_SCALES[1::4],
        long_audits=1,
        probes=QUICK_PROBES,
        image_probes=QUICK_IMAGE_PROBES,
    )


@dataclass(frozen=True)
class PaperWork:
    """One run."""

    options: PaperOptions
    bank: Bank
    rivals: RivalBank
    note: Note | None = None

    def ladder(self, style: str, way: Way = "renderer") -> list[TrainedAdapter]:
        """One style's training lengths, or a hand's."""
        return self.bank.ladder(style, self.options.steps, way)

    def longest(self, style: str) -> TrainedAdapter:
        """The end of a style's ladder."""
        return self.ladder(style)[-1]

    def spread(self, levels: int) -> tuple[int, ...]:
        """So many of the training lengths, evenly spread; none where there are fewer."""
        steps = self.options.steps
        if len(steps) < levels:
            return ()
        return tuple(steps[round(i * (len(steps) - 1) / (levels - 1))] for i in range(levels))

    def rank_errors(
        self, score: Callable[[TrainedAdapter, str], float], steps: Sequence[int], data: DataSet | None = None
    ) -> Interval:
        """Rank error of a score over training lengths; the interval resamples styles, or hands."""
        chosen = data or self.options.sets[0]
        errors = []
        for style in chosen.aspects:
            scores = [score(case, style) for case in self.bank.ladder(style, steps, chosen.way)]
            errors.append(rank_error(np.arange(len(steps)), scores))
        return bootstrap_mean(errors)
