"""From what people type to what is looked for: "most vibrant watercolor LoRA, not dark".

Names and aliases of the lexicon are found by longest match. Words that say nothing about looks are left out.
Whatever remains is a free phrase, for the text encoder.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from auditor.errors import UserError
from auditor.lexicons import concept_key

Role = Literal["wanted", "without", "least"]

MAX_CHARS = 400
MAX_TERMS = 8
_MAX_ALIAS_WORDS = 6
_NEGATIONS: Mapping[str, Role] = {
    **dict.fromkeys(("not", "no", "without", "never", "nor"), "without"),
    **dict.fromkeys(("least", "less", "fewest"), "least"),
}
_BREAKS = frozenset({"and", "but", "or", "plus", "also", "yet"})
# Inside a free phrase these stay ("house of cards"); at its ends they go.
_JOINTS = frozenset({"of", "in", "on", "at", "by", "with", "the", "a", "an", "to", "for", "like", "from"})
_FILLERS = """
most more very really highly strongly quite extremely some any all best top i me my want need find show give get
search lora loras lycoris adapter adapters model models checkpoint style styles styled look looks looking effect
effects that which is are makes make made images image pictures picture please too
"""
_EMPTY = frozenset(_FILLERS.split())
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*", re.UNICODE)
_SEPARATOR = re.compile(r"[,;/|+&]")


@dataclass(frozen=True)
class Term:
    """One thing that is looked for; `concept` is None for a free phrase."""

    role: Role
    text: str
    concept: str | None


@dataclass(frozen=True)
class Query:
    """A parsed search. Concepts come once, in the order given; contradictions are refused."""

    terms: tuple[Term, ...]

    def concepts(self, role: Role) -> list[str]:
        """Canonical names of one role."""
        return [term.concept for term in self.terms if term.role == role and term.concept is not None]

    @property
    def phrases(self) -> tuple[Term, ...]:
        """Terms that the lexicon does not know."""
        return tuple(term for term in self.terms if term.concept is None)


def parse(text: str, aliases: Mapping[str, str]) -> Query:
    """Read a search.

    Args:
        text: As typed.
        aliases: `concept_key` of every name and alias → canonical name.

    Raises:
        UserError: Nothing is looked for, too much is, or the same thing is wanted and not wanted.
    """
    if len(text) > MAX_CHARS:
        raise UserError(f"a search has at most {MAX_CHARS} characters, this one has {len(text)}")
    # The break word stands for a comma, so that a phrase or a negation ends there.
    words = _WORD.findall(_SEPARATOR.sub(" and ", text))
    terms: list[Term] = []
    role: Role = "wanted"
    loose: list[str] = []

    def end_phrase() -> None:
        nonlocal role
        while loose and loose[-1].casefold() in _JOINTS:
            loose.pop()
        if loose:
            terms.append(Term(role, " ".join(loose), None))
            loose.clear()
            role = "wanted"

    place = 0
    while place < len(words):
        length, concept = _longest_match(words[place:], aliases)
        word = words[place].casefold()
        if concept is not None:
            end_phrase()
            terms.append(Term(role, " ".join(words[place : place + length]), concept))
            role = _next_role(role, words, place + length)
        elif word in _NEGATIONS or word in _BREAKS:
            end_phrase()
            role = _NEGATIONS.get(word, role if word == "or" else "wanted")
        elif word not in _EMPTY and not (word in _JOINTS and not loose):
            loose.append(words[place])
        place += length
    end_phrase()
    return Query(_without_repeats(terms))


def near_names(text: str, aliases: Mapping[str, str], count: int = 3) -> list[str]:
    """Concepts whose names are spelt much like `text`."""
    keys = difflib.get_close_matches(concept_key(text), list(aliases), n=count * 2, cutoff=0.75)
    return list(dict.fromkeys(aliases[key] for key in keys))[:count]


def _longest_match(words: list[str], aliases: Mapping[str, str]) -> tuple[int, str | None]:
    for length in range(min(_MAX_ALIAS_WORDS, len(words)), 0, -1):
        window = words[:length]
        if length == 1 and _is_filler(window[0]):
            continue
        concept = aliases.get(concept_key(" ".join(window)))
        if concept is not None:
            return length, concept
    return 1, None


def _is_filler(word: str) -> bool:
    lower = word.casefold()
    return lower in _EMPTY or lower in _JOINTS or lower in _BREAKS or lower in _NEGATIONS


def _next_role(role: Role, words: list[str], place: int) -> Role:
    """A negation reaches over "or": "not dark or foggy"."""
    follows = words[place].casefold() if place < len(words) else ""
    return role if follows in ("or", "nor") else "wanted"


def _without_repeats(terms: list[Term]) -> tuple[Term, ...]:
    unique: dict[str, Term] = {}
    for term in terms:
        key = term.concept or concept_key(term.text)
        if not key:
            continue
        first = unique.setdefault(key, term)
        if first.role != term.role:
            raise UserError(f"{term.text!r} is both wanted and not wanted; drop one of the two")
    if not unique:
        raise UserError('say what the adapter should do, for example: auditor search "most vibrant watercolor LoRA"')
    if len(unique) > MAX_TERMS:
        raise UserError(f"a search has at most {MAX_TERMS} concepts, this one has {len(unique)}")
    return tuple(unique.values())
