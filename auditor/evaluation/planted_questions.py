"""Questions whose right answers follow from what the adapters were taught, in the words people type.

The right answers come from the recipe of each adapter and from the card and counts of its repo, never from a score.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ONE = ("most {a} LoRA", "{a}", "which one makes pictures {a}")
TWO = ("most {a} {b} LoRA", "{b} and {a}", "both {a} and {b}", "not only {a} but also {b}")
ANY = ("{a} {b} or {c}", "{a} and either {c} or {b}")
NOT = ("{a} but not {b}", "{a} without {b}", "{a} -{b}", "{a} that isn't {b}")
MUCH = ("very {a}", "something really {a}")
"""Spellings of each kind; every question takes one of them in turn, those of one concept all."""

_COMMERCIAL = frozenset({"apache-2.0", "mit", "openrail", "openrail++", "creativeml-openrail-m"})
"""Licences of the planted repos that allow selling what is made."""


@dataclass(frozen=True)
class Planted:
    """One adapter and what is known of it.

    Attributes:
        repo_id: Its repo.
        concepts: What it was taught, each at full strength.
        license: As on its card.
        downloads: As the Hub counts them.
    """

    repo_id: str
    concepts: frozenset[str]
    license: str
    downloads: int

    @property
    def owner(self) -> str:
        """Of the repo."""
        return self.repo_id.partition("/")[0]


@dataclass(frozen=True)
class PlantedQuestion:
    """A question, its right answers, and among which repos they are to be found.

    Attributes:
        kind: As the table of results names it.
        text: As it is asked.
        concepts: All that it names.
        words: What is wanted, for rivals that only know words to look for.
        right: Repos that answer it.
        among: Repos that pass its filters; without a filter all.
    """

    kind: str
    text: str
    concepts: tuple[str, ...]
    words: str
    right: frozenset[str]
    among: frozenset[str]

    @property
    def chance(self) -> float:
        """Probability that a draw from what passes the filters is right."""
        return len(self.right) / len(self.among)


def planted_questions(adapters: Sequence[Planted], seed: int = 0) -> tuple[PlantedQuestion, ...]:
    """Every question of every kind that the adapters allow. A question without a right answer is not asked.

    Args:
        adapters: All that answers are drawn from.
        seed: Of the second and third concepts and of the filters that are drawn.
    """
    rng = random.Random(seed)
    asked = _Asked(tuple(adapters))
    pairs = sorted({tuple(sorted(adapter.concepts)) for adapter in adapters if len(adapter.concepts) == 2})
    taught = sorted(frozenset().union(*(adapter.concepts for adapter in adapters)))
    found = [
        *asked.of_one(taught),
        *asked.of_two(pairs),
        *asked.of_any(pairs, taught, rng),
        *asked.of_negations(pairs),
        *asked.of_amounts(taught),
        *asked.of_filters(taught, rng),
        *asked.like_another(pairs),
    ]
    return tuple(question for question in found if question.right)


class _Asked:
    """Makes the questions of each kind over one set of adapters."""

    def __init__(self, adapters: tuple[Planted, ...]) -> None:
        self.adapters = adapters
        self.everyone = frozenset(adapter.repo_id for adapter in adapters)

    def having(self, *wanted: str, any_of: Sequence[str] = (), without: Sequence[str] = ()) -> frozenset[str]:
        """Repos that were taught all of some concepts, any of others, none of the last."""
        return frozenset(
            adapter.repo_id
            for adapter in self.adapters
            if adapter.concepts.issuperset(wanted)
            and (not any_of or adapter.concepts.intersection(any_of))
            and not adapter.concepts.intersection(without)
        )

    def of_one(self, taught: Sequence[str]) -> Iterator[PlantedQuestion]:
        for a in taught:
            right = self.having(a)
            for spelling in ONE:
                yield PlantedQuestion("one concept", spelling.format(a=a), (a,), a, right, self.everyone)

    def of_two(self, pairs: Sequence[Sequence[str]]) -> Iterator[PlantedQuestion]:
        for a, b in pairs:
            right = self.having(a, b)
            for spelling in TWO:
                text = spelling.format(a=a, b=b)
                yield PlantedQuestion("two concepts", text, (a, b), f"{a} {b}", right, self.everyone)

    def of_any(
        self, pairs: Sequence[Sequence[str]], taught: Sequence[str], rng: random.Random
    ) -> Iterator[PlantedQuestion]:
        """Three concepts: one of a pair, and either the other or a third one that no adapter has beside it."""
        for a, b in (ordered for pair in pairs for ordered in (pair, pair[::-1])):
            c = rng.choice([c for c in taught if c not in (a, b)])
            right = self.having(a, any_of=(b, c))
            text = rng.choice(ANY).format(a=a, b=b, c=c)
            yield PlantedQuestion("three concepts", text, (a, b, c), f"{a} {b} {c}", right, self.everyone)

    def of_negations(self, pairs: Sequence[Sequence[str]]) -> Iterator[PlantedQuestion]:
        spellings = [spelling for spelling in NOT for _ in range(2)]
        for number, (a, b) in enumerate(ordered for pair in pairs for ordered in (pair, pair[::-1])):
            right = self.having(a, without=(b,))
            for step in (0, 3):
                text = spellings[(number + step) % len(spellings)].format(a=a, b=b)
                yield PlantedQuestion("negation", text, (a, b), a, right, self.everyone)

    def of_amounts(self, taught: Sequence[str]) -> Iterator[PlantedQuestion]:
        """Much of a concept: every planted concept was taught at full strength."""
        for a in taught:
            right = self.having(a)
            for spelling in MUCH:
                yield PlantedQuestion("amounts", spelling.format(a=a), (a,), a, right, self.everyone)

    def of_filters(self, taught: Sequence[str], rng: random.Random) -> Iterator[PlantedQuestion]:
        """A concept and one filter that some adapter with the concept passes, and not every adapter does."""
        for a in taught:
            one = rng.choice([adapter for adapter in self.adapters if a in adapter.concepts])
            floor = one.downloads // 100 * 100
            filters = {
                f"{a}, {one.license} licence": [x for x in self.adapters if x.license == one.license],
                f"{a}, commercial use ok": [x for x in self.adapters if x.license in _COMMERCIAL],
                f"{a} by {one.owner}": [x for x in self.adapters if x.owner == one.owner],
                f"{a} with more than {floor} downloads": [x for x in self.adapters if x.downloads > floor],
            }
            for text, passing in filters.items():
                among = frozenset(adapter.repo_id for adapter in passing)
                yield PlantedQuestion("filters", text, (a,), a, self.having(a) & among, among)

    def like_another(self, pairs: Sequence[Sequence[str]]) -> Iterator[PlantedQuestion]:
        for a, b in (ordered for pair in pairs for ordered in (pair, pair[::-1])):
            right = self.having(a, b)
            for one in self.adapters:
                if one.concepts == {a}:
                    text, among = f"like {one.repo_id} but more {b}", self.everyone - {one.repo_id}
                    yield PlantedQuestion("like X but more Y", text, (a, b), f"{a} {b}", right, among)
