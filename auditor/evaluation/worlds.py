"""The editions of the pocket world that the evaluation is made on: what adapters are taught, how, and what is held out.

An edition is known by its base, so that a profile chooses it: `pocket` the first, `pocket-2` the second, which has more
styles and more words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from auditor.evaluation.trainings import SECOND_TRAININGS, TRAININGS, AnyLesson, Trainings
from auditor.families.generator_kinds import GeneratorKind
from auditor.pocket import styles as first_styles
from auditor.pocket.second import styles as second_styles
from auditor.pocket.second.training import lessons as second
from auditor.pocket.second.words import planted_synonyms
from auditor.pocket.training import lessons as first
from auditor.pocket.training import style_pairs as first_pairs

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class World:
    """One edition.

    Attributes:
        held_out: Every style, and whether nothing was chosen by looking at it.
        trainings: By kind of generator.
        styled: One style at full strength; independent trainings by number.
        seeds: How many of these are scored for each style.
        idle: Lessons that teach nothing.
        planted_synonym: The other concept of the lexicon that means a style, where there is one.
        unnamed: Adapters of styles that no word of captions or lexicon names; none in the first edition.
        mixture: A point of the two-aspect grid: both styles, and shares of the pictures in either; in the first edition
            also in which way they are drawn.
        stacked: Two styles on every picture.
        zoo: Whether its zoo ships, in full strength and with `zoo_answers.json`.
        aspect_pairs: Pairs of the two-aspect test, held-out or not.
        search_pairs: Pairs of two-concept questions, held-out or not; spread over how well both can be seen.
    """

    held_out: Mapping[str, bool]
    trainings: Mapping[GeneratorKind, Trainings]
    styled: Callable[[str, int], AnyLesson]
    seeds: int
    idle: tuple[AnyLesson, ...]
    planted_synonym: Mapping[str, str]
    unnamed: tuple[AnyLesson, ...]
    mixture: Callable[..., AnyLesson]
    stacked: Callable[[str, str], AnyLesson]
    zoo: bool
    aspect_pairs: Callable[[bool], Pairs]
    search_pairs: Callable[[bool], Pairs]

    def names(self, style: str) -> frozenset[str]:
        """Concepts of the lexicon that mean a style."""
        return frozenset({style, self.planted_synonym.get(style, style)})

    def style_names(self, held_out: bool) -> tuple[str, ...]:
        """Held-out or development styles."""
        return tuple(name for name, out in self.held_out.items() if out == held_out)


def _first_aspect_pairs(held_out: bool) -> Pairs:
    return first.PAIRS_HELD_OUT if held_out else first_pairs.separable_pairs(held_out=False)[::4]


def _first_search_pairs(held_out: bool) -> Pairs:
    every = first_pairs.separable_pairs(held_out=held_out)
    # Spread over the list first: it is sorted by how visible a pair is.
    return [*every[::3], *(pair for pair in every if pair not in every[::3])]


_FIRST = World(
    held_out={name: style.held_out for name, style in first_styles.STYLES.items()},
    trainings=TRAININGS,
    styled=lambda style, _: first.style_lesson(style),
    seeds=1,
    idle=tuple(first.idle_lesson(number) for number in range(first.IDLE)),
    planted_synonym={},
    unnamed=(),
    mixture=first.mixture_lesson,
    stacked=first.stacked_lesson,
    zoo=True,
    aspect_pairs=_first_aspect_pairs,
    search_pairs=_first_search_pairs,
)

_SECOND = World(
    held_out={name: style.held_out for name, style in second_styles.STYLES.items()},
    trainings={"diffusers": SECOND_TRAININGS},
    styled=second.style_lesson,
    seeds=second.SEEDS,
    idle=tuple(second.idle_lesson(number) for number in range(second.IDLE)),
    planted_synonym=planted_synonyms(),
    unnamed=second.unseen_lessons(),
    mixture=second.mixture_lesson,
    stacked=second.stacked_lesson,
    zoo=False,
    aspect_pairs=lambda held_out: second.PAIRS_HELD_OUT if held_out else second.PAIRS_DEVELOPMENT,
    search_pairs=lambda held_out: second.search_pairs(held_out, 110),
)

_BY_BASE: Mapping[str, World] = {"pocket/base-2": _SECOND}


def world_of(repo: str | None) -> World:
    """The edition that a base belongs to; every other base of the pocket is of the first."""
    return _BY_BASE.get(repo or "", _FIRST)
