"""What a question asks for: wishes, filters, an order.

`question_reader` makes it from words, `question_wording` says it back.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

Role = Literal["wanted", "without", "least"]
Order = Literal["best", "popular", "liked", "newest", "oldest", "smallest"]
FilterValue = str | float | bool | tuple[str, ...]


@dataclass(frozen=True)
class Name:
    """One thing to look for, as typed; `concept` is its canonical name, or None for a free phrase."""

    text: str
    concept: str | None


@dataclass(frozen=True)
class Amount:
    """How much: scores from `least` to `most`; None is no bound. `typed` is the word or number that said so."""

    typed: str
    least: float | None
    most: float | None


@dataclass(frozen=True)
class Wish:
    """One thing wanted, left out, or least of all wanted. Several names mean any of them."""

    role: Role
    names: tuple[Name, ...]
    amount: Amount | None = None

    @property
    def moves(self) -> bool:
        """Whether a neighbour is moved along it: "but more vibrant" does, "but vibrant > 0.5" is a condition."""
        return self.role != "wanted" or self.amount is None or self.amount.typed[:1] not in "<>="


@dataclass(frozen=True)
class Question:
    """A question as it was understood.

    Attributes:
        wishes: In the order given, each concept once.
        more_than: Pairs of concepts; the first is to be stronger than the second.
        filters: By name: base, license, owner and name (texts), trigger, has_trigger, exact_base, downloads_min and
            _max, likes_min and _max, size_min and _max (bytes), created_after and _before (dates), strength_max,
            outcome, has_license, adult; not_license, not_base, not_owner and not_trigger leave out.
        order: What comes first among hits that are equally sure.
        like: Repo whose neighbours are asked for, or a part of its name.
        repo: Repo that is asked for itself, or a part of its name.
        limit: Hits wanted, when the question says so.
        corrected: Words as typed → as read.
    """

    wishes: tuple[Wish, ...] = ()
    more_than: tuple[tuple[str, str], ...] = ()
    filters: Mapping[str, FilterValue] = field(default_factory=dict)
    order: Order = "best"
    like: str | None = None
    repo: str | None = None
    limit: int | None = None
    corrected: Mapping[str, str] = field(default_factory=dict)

    def concepts(self, role: Role) -> list[str]:
        """Canonical names of one role."""
        return [name.concept for wish in self.of(role) for name in wish.names if name.concept is not None]

    def of(self, role: Role) -> list[Wish]:
        """Wishes of one role."""
        return [wish for wish in self.wishes if wish.role == role]

    @property
    def replaceable(self) -> list[str]:
        """Wanted concepts that words of their cluster answer for: not those with an amount, none of a neighbour."""
        plain = [wish for wish in self.of("wanted") if wish.amount is None and self.like is None]
        return [name.concept for wish in plain for name in wish.names if name.concept is not None]

    @property
    def asked(self) -> list[str]:
        """Canonical names of all concepts in it, each once."""
        named = [name.concept for wish in self.wishes for name in wish.names if name.concept is not None]
        return list(dict.fromkeys([*named, *(concept for pair in self.more_than for concept in pair)]))

    @property
    def phrases(self) -> tuple[Wish, ...]:
        """Wishes for words that the lexicon does not know; each has one name."""
        return tuple(wish for wish in self.wishes if wish.names[0].concept is None)


@dataclass(frozen=True)
class CatalogWords:
    """What a catalog gives a question to refer to.

    Attributes:
        aliases: `concept_key` of every name and alias → canonical name.
        alias_names: The names and aliases as they are written.
        bases: Names and families of base models.
        licences: Licences that occur.
        owners: Owners of repos.
        holds: Whether a repo has this text in its name.
        today: What "last month" is counted from.
    """

    aliases: Mapping[str, str]
    alias_names: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    owners: Container[str] = frozenset()
    holds: Callable[[str], bool] = lambda text: False
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
