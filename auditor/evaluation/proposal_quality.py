"""Does the VLM name what an adapter changed? Pairs of scenes that neither it nor the adapter was trained on.

Counted reply by reply, before replies of one adapter are joined. The VLM has seen every style on rendered
pictures, as a production VLM has seen paintings; it has seen no picture of a held-out style's adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from auditor.errors import PrerequisiteMissing
from auditor.evaluation.bank import Bank, Note
from auditor.finexl.attribution import bootstrap_mean
from auditor.pocket.training.adapters import trained_path
from auditor.pocket.training.lessons import stacked_lesson, style_lesson
from auditor.pocket.training.lora import Lesson
from auditor.pocket.vlm.generated import draw_scenes, with_adapter

SCENE_SEED = 97
"""Of scenes and noise that no training has seen."""
GROUP = 3
"""Pairs of a production question."""
Said = tuple[str | None, ...]
"""Lexicon concepts of one reply, in its order; None for what is in no lexicon."""
Replies = dict[frozenset[str], list[Said]]
"""By what the adapter was taught."""
Verdict = Callable[[frozenset[str], Said], bool]


@dataclass(frozen=True)
class ProposalsRow:
    """A share of replies; the interval resamples adapters, whose replies hang together."""

    question: str
    share: float
    low: float
    high: float
    cases: int
    adapters: int
    chance: float


@dataclass(frozen=True)
class ProposalQuality:
    """The table, and the styles that are named least often."""

    rows: tuple[ProposalsRow, ...]
    weakest: tuple[tuple[str, float], ...]


def evaluate_proposals(
    bank: Bank, styles: Sequence[str], pairs: Sequence[tuple[str, str]], *, groups: int = 18, note: Note | None = None
) -> ProposalQuality:
    """Ask about adapters of one style and of two.

    Args:
        bank: Trains and keeps the adapters.
        styles: Of the single-style adapters.
        pairs: Of the two-style adapters, each asked about two thirds as often.
        groups: Questions of three pairs for each single-style adapter, and as many of one pair.
        note: Told about each adapter.
    """
    asked = _Asker(bank, groups)
    alone = {frozenset([style]): style_lesson(style) for style in styles}
    both = {frozenset(pair): stacked_lesson(*pair) for pair in pairs}
    bank.ensure([*alone.values(), *both.values()])
    single: Replies = {}
    grouped: Replies = {}
    joined: Replies = {}
    for taught, lesson in (alone | both).items():
        if taught in alone:
            single[taught] = asked.about(lesson, groups, 1)
            grouped[taught] = asked.about(lesson, groups, GROUP)
        else:
            joined[taught] = asked.about(lesson, max(1, 2 * groups // 3), GROUP)
        if note is not None:
            note(lesson.name)
    words = len(bank.opened.lexicon.names)
    requests = bank.settings.recipe.proposer.requests
    audits = {taught: together(said, requests) for taught, said in joined.items()}
    rows = (
        _row("one style, one pair: first concept right", single, _first, 1 / words),
        _row("one style, three pairs: first concept right", grouped, _first, 1 / words),
        _row("one style, three pairs: nothing else named", grouped, _nothing_else, 1 / words),
        _row("two styles: first concept is one of them", joined, _first, 2 / words),
        _row("two styles: both named", joined, _all, both_by_chance(joined, words)),
        _row(
            f"two styles, the {requests} replies of an audit together: both named",
            audits,
            _all,
            both_by_chance(audits, words),
        ),
    )
    named = sorted((_share(taught, said, _first), next(iter(taught))) for taught, said in grouped.items())
    return ProposalQuality(rows, tuple((style, share) for share, style in named[:3]))


def _first(taught: frozenset[str], said: Said) -> bool:
    return bool(said) and said[0] in taught


def _nothing_else(taught: frozenset[str], said: Said) -> bool:
    return set(said) == taught


def _all(taught: frozenset[str], said: Said) -> bool:
    return taught <= set(said)


def together(said: Sequence[Said], requests: int) -> list[Said]:
    """What an audit makes of so many replies in a row: all their concepts once. Replies left over are left out."""
    whole = range(0, len(said) - requests + 1, requests)
    return [tuple(dict.fromkeys(chain.from_iterable(said[i : i + requests]))) for i in whole]


def both_by_chance(replies: Replies, words: int) -> float:
    """How often two given words would be among as many as were said, drawn at random from `words`."""
    counts = [len(set(one)) for said in replies.values() for one in said]
    return float(np.mean([n * (n - 1) / (words * (words - 1)) for n in counts]))


class _Asker:
    """Base pictures drawn once, each adapter's when it is asked about."""

    def __init__(self, bank: Bank, groups: int) -> None:
        if bank.opened.proposer is None:
            raise PrerequisiteMissing("these settings have no VLM: set recipe.proposer.kind")
        self.bank, self.opened, self.proposer = bank, bank.opened, bank.opened.proposer
        self.scenes = draw_scenes(self.opened.generator, groups * GROUP, SCENE_SEED)

    def about(self, lesson: Lesson, questions: int, pairs: int) -> list[Said]:
        """The replies to questions of so many pairs; a question without a usable reply said nothing."""
        count, scenes = questions * pairs, self.scenes
        with with_adapter(self.opened.generator, trained_path(self.bank.folder, lesson)):
            shown = self.opened.generator.generate(scenes.prompts[:count], scenes.seeds[:count])
        return [self._said(scenes.images[a : a + pairs], shown[a : a + pairs]) for a in range(0, count, pairs)]

    def _said(self, base: NDArray[np.uint8], shown: NDArray[np.uint8]) -> Said:
        replies = self.proposer.propose(base, shown).replies
        used = next((reply.concepts for reply in replies if reply.invalid is None), ())
        return tuple(dict.fromkeys(self.opened.lexicon.canonical(concept) for concept in used))


def _row(question: str, replies: Replies, right: Verdict, chance: float) -> ProposalsRow:
    interval = bootstrap_mean([_share(taught, said, right) for taught, said in replies.items()])
    return ProposalsRow(
        question, interval.mean, interval.low, interval.high, sum(map(len, replies.values())), len(replies), chance
    )


def _share(taught: frozenset[str], said: Sequence[Said], right: Verdict) -> float:
    return float(np.mean([right(taught, one) for one in said]))
