"""The protocol of a rival: what it is given, within which budget, and what it must answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from auditor.encoding.encoder import Encoder
from auditor.errors import AuditorError
from auditor.lexicons.loader import Lexicon
from auditor.proposing.proposer import Proposer

Pictures = NDArray[np.uint8]


class BudgetSpent(AuditorError):
    """A rival asked the vision-language model more often than all are allowed to."""


@dataclass(frozen=True)
class Budget:
    """What every explainer may spend on one adapter, the project's own included.

    Attributes:
        pairs: Pictures of the base, and as many of the adapter on the same prompts and noise.
        calls: Questions to the vision-language model. Every pair is shown once in all.
    """

    pairs: int
    calls: int


class Asker:
    """The vision-language model for one adapter, its questions counted.

    Question `i` shows the same pairs to every rival, so an answer is fetched once, whoever asks first.
    """

    def __init__(self, proposer: Proposer | None, base: Pictures, shown: Pictures, budget: Budget) -> None:
        self.proposer, self.budget = proposer, budget
        self.base, self.shown = base, shown
        self._said: dict[int, tuple[str, ...]] = {}

    def says(self, question: int) -> tuple[str, ...]:
        """Phrases for what the adapter's pictures have gained, strongest first; none when the reply was unusable.

        Args:
            question: From 0; question i is about the i-th equal share of the pairs.

        Raises:
            BudgetSpent: There is no such question in the budget.
        """
        if not 0 <= question < self.budget.calls:
            raise BudgetSpent(f"question {question + 1} of a budget of {self.budget.calls}")
        if question not in self._said:
            rows = np.array_split(np.arange(self.budget.pairs), self.budget.calls)[question]
            found = None if self.proposer is None else self.proposer.propose(self.base[rows], self.shown[rows])
            replies = () if found is None else found.replies
            self._said[question] = next((reply.concepts for reply in replies if reply.invalid is None), ())
        return self._said[question]


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that an explainer may look at. What the adapter was taught is not in it.

    Attributes:
        prompts: The probes' prompts (n).
        base: The base's pictures (n, height, width, 3).
        shown: The adapter's, same prompts and noise.
        base_features: Of the base's pictures (n, D), rows of length 1.
        shown_features: Of the adapter's.
        encoder: For texts; the same for all.
        lexicon: Its names are the shared vocabulary, its template joins a word to a prompt.
        asker: The vision-language model.
    """

    prompts: tuple[str, ...]
    base: Pictures
    shown: Pictures
    base_features: NDArray[np.float64]
    shown_features: NDArray[np.float64]
    encoder: Encoder
    lexicon: Lexicon
    asker: Asker

    @property
    def budget(self) -> Budget:
        """Of this evidence."""
        return self.asker.budget

    @cached_property
    def phrases(self) -> tuple[str, ...]:
        """Every phrase that the whole budget of questions brings, once, in the order in which it was first said."""
        answers = (self.asker.says(question) for question in range(self.budget.calls))
        return tuple(dict.fromkeys(phrase for answer in answers for phrase in answer))


def gather(
    prompts: Sequence[str],
    base: Pictures,
    shown: Pictures,
    encoder: Encoder,
    lexicon: Lexicon,
    proposer: Proposer | None,
    calls: int,
) -> Evidence:
    """Evidence from pictures: features encoded once, for all rivals."""
    before, after = (np.asarray(encoder.encode_images(images), dtype=np.float64) for images in (base, shown))
    asker = Asker(proposer, base, shown, Budget(len(prompts), calls))
    return Evidence(tuple(prompts), base, shown, before, after, encoder, lexicon, asker)


@dataclass(frozen=True)
class Telling:
    """What a rival answers.

    Attributes:
        text: As a reader gets it, one statement a line, strongest first; empty for a rival without words.
        numbers: Its own numbers by their name, each for every name of the lexicon; 0 for what it does not speak of.
    """

    text: str
    numbers: Mapping[str, Mapping[str, float]]


class Rival(Protocol):
    """One way to explain. A class without arguments, so that `rival_list.py` can make it."""

    name: str
    """As tables call it."""
    replaced: str
    """Which part of the published method was replaced by what; empty when none was."""

    def explain(self, evidence: Evidence) -> Telling:
        """Explain one adapter within the evidence's budget."""
        ...


def by_aspect(lexicon: Lexicon, scored: Mapping[str, float]) -> dict[str, float]:
    """Numbers of phrases as numbers of lexicon concepts: the largest of a concept's phrases, 0 where there is none."""
    found = dict.fromkeys(lexicon.names, 0.0)
    for phrase, number in scored.items():
        concept = lexicon.canonical(phrase)
        if concept is not None:
            found[concept] = max(found[concept], number) if found[concept] else number
    return found


def lines(phrases: Sequence[str], ending: Mapping[str, str] | None = None) -> str:
    """Statements as a list, such as `- vibrant`, each with its ending."""
    return "\n".join(f"- {phrase}{(ending or {}).get(phrase, '')}" for phrase in phrases)
