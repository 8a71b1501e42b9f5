"""Is an adapter of a style that no concept names called unexplained?

In the first edition of the pocket world each style's concept, with its synonyms, is left out of the lexicon in turn;
the second has adapters of styles that nothing names. The concept that names an adapter first explains a share of V
alone; that is set against a limit, below which a twentieth of the development styles lie, though each has a concept.
The share that the whole lexicon explains is no measure: with more concepts than dimensions it explains nearly anything.
Shares are of what of |V|² is not scatter of few probes, which no concept can explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.long_audits import KnownAdapter, long_audit, single_style_adapters
from auditor.evaluation.top_concept import Share, share
from auditor.evaluation.trainings import AnyLesson
from auditor.finexl.arrays import FloatArray
from auditor.finexl.concepts import ConceptDirections
from auditor.measuring.scoring import Scorer, make_scorer

FALSE_ALARMS = 0.05
"""Share of development styles with a concept that the limit lets be called unexplained."""


@dataclass(frozen=True)
class UnseenStyle:
    """One adapter: shares explained with its style's concept in the lexicon and without, and the name it then gets."""

    style: str
    known: float | None
    """None where no lexicon names it."""
    unseen: float
    taken_for: str


@dataclass(frozen=True)
class Unseen:
    """What a limit does.

    Attributes:
        limit: Of the share that the first concept explains alone.
        unexplained: Adapters below the limit when no concept names their style.
        false_alarms: Adapters below it although a concept does.
        styles: Each adapter.
    """

    limit: float
    unexplained: Share
    false_alarms: Share
    styles: tuple[UnseenStyle, ...]


def evaluate_unseen(bank: Bank, held_out: bool = True, note: Note | None = None) -> Unseen:
    """Leave each style out of the lexicon and see whether its adapter is explained all the same.

    Args:
        bank: Where the pictures' embeddings are kept.
        held_out: Judge held-out styles; else the development styles that the limit comes from.
        note: Told after each adapter that had to be drawn.
    """
    if bank.world.unnamed:
        return _unnamed(bank, held_out, note)
    development, judged_styles = bank.world.style_names(False), bank.world.style_names(held_out)
    limit = _limit([known for known, _ in _styles(bank, single_style_adapters(bank, development), note)])
    judged = _styles(bank, single_style_adapters(bank, judged_styles), note)
    return Unseen(
        limit,
        share(sum(style.unseen < limit for _, style in judged), len(judged)),
        share(sum(known < limit for known, _ in judged), len(judged)),
        tuple(style for _, style in judged),
    )


def explained(scorer: Scorer, differences: FloatArray) -> tuple[float, str]:
    """Share of V's square, less what scatter adds to it, that the first concept explains alone; and its name."""
    found = scorer.shared(differences)
    return found.first_share, found.names[int(found.naming[0])]


def _limit(shares: Sequence[float]) -> float:
    """What `FALSE_ALARMS` of the shares lie below."""
    return float(np.quantile(shares, FALSE_ALARMS))


def without(scorer: Scorer, style: str) -> Scorer:
    """The scorer of a lexicon that lacks one concept."""
    keep = [i for i, name in enumerate(scorer.lexicon.names) if name != style]
    lexicon = replace(scorer.lexicon, concepts=tuple(scorer.lexicon.concepts[i] for i in keep))
    text, image = (
        ConceptDirections(known.vectors[keep], known.noise[keep])
        for known in (scorer.reference.text, scorer.reference.image)
    )
    reference = replace(scorer.reference, text=text, image=image)
    return make_scorer(scorer.solver, lexicon, scorer.prompts, reference, scorer.encoder)


def _unnamed(bank: Bank, held_out: bool, note: Note | None) -> Unseen:
    """Adapters of unnamed styles, and of one independent training of each named one."""
    world, scorer = bank.world, bank.opened.scorer

    def shares(lessons: Sequence[AnyLesson]) -> list[tuple[str, float, str]]:
        results = bank.results([TrainedAdapter(lesson, lesson.steps) for lesson in lessons], note)
        found = {
            c.lesson.name: explained(scorer, r.arrays["differences"].astype(np.float64)) for c, r in results.items()
        }
        return [(lesson.styles[0], *found[lesson.name]) for lesson in lessons]

    limit = _limit([known for _, known, _ in shares([world.styled(style, 0) for style in world.style_names(False)])])
    named = shares([world.styled(style, 0) for style in world.style_names(held_out)])
    unnamed = shares(world.unnamed)
    return Unseen(
        limit,
        share(sum(known < limit for _, known, _ in unnamed), len(unnamed)),
        share(sum(known < limit for _, known, _ in named), len(named)),
        tuple(UnseenStyle(style, None, known, top) for style, known, top in unnamed),
    )


def _styles(bank: Bank, adapters: Sequence[KnownAdapter], note: Note | None) -> list[tuple[float, UnseenStyle]]:
    """Each adapter with the share that the first concept of the whole lexicon explains of it."""
    scorer, size = bank.opened.scorer, len(bank.opened.probes)
    judged = []
    for adapter in adapters:
        (style,) = adapter.styles
        differences = long_audit(bank, adapter, 1, note)[0][:size]
        known, _ = explained(scorer, differences)
        unseen, taken_for = explained(without(scorer, style), differences)
        judged.append((known, UnseenStyle(style, known, unseen, taken_for)))
    return judged
