"""One judge for all rivals: how strongly does a text say that an aspect is there, from 1 to 10?

The paper lets GPT-4o read the texts. Here a matcher does it, which knows the lexicon's names and their spellings, and,
when an endpoint is set, a language model behind it (`llm_judge.py`), in the same place and with the same answers.

The matcher's rule, which was fixed before any table was made with it:

1. A statement is a line of the text, or what stands between "and", a comma or a semicolon in it. The first that holds a
   name or other name of the aspect counts; none: level 1.
2. Where it ends with a number s between 0 and 1 after a colon, as the naive method's do, the level is 1 + 9 s.
3. Else it is 7, less 1 for every statement before it, but not below 2: what is said first is meant most.
4. "very", "strongly", "extremely", "much", "highly" add 2; "slightly", "somewhat", "faintly", "subtly" take 2 away.

Levels stay between 1 and 10.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from auditor.lexicons.loader import Lexicon

LEAST, MOST = 1.0, 10.0
_FIRST, _LOWEST, _DEGREE = 7.0, 2.0, 2.0
_STRONG = frozenset({"very", "strongly", "extremely", "much", "highly"})
_WEAK = frozenset({"slightly", "somewhat", "faintly", "subtly"})
_NUMBER = re.compile(r":\s*(0(?:\.\d+)?|1(?:\.0+)?)\s*$")
_SEPARATOR = re.compile(r"[\n,;]|\band\b")
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_LONGEST = 3
"""Words of the longest name that is looked for."""
_MOST_CHARS = 20_000


class Judge(Protocol):
    """Turns text into a level."""

    name: str

    def level(self, text: str, aspect: str) -> float:
        """How strongly the text says that the lexicon's concept `aspect` was gained, from 1 (not at all) to 10."""
        ...

    def best(self, phrases: Sequence[str], alternatives: Sequence[str]) -> list[str]:
        """Which of the alternatives (lexicon names) a list of phrases, strongest first, describes best.

        Several when they are equal; none when nothing fits.
        """
        ...


class Matcher:
    """The rule of this module's head."""

    name = "matcher"

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon

    def level(self, text: str, aspect: str) -> float:
        """See `Judge.level`."""
        statements = [part for part in _SEPARATOR.split(text[:_MOST_CHARS]) if part.strip(" -")]
        for place, statement in enumerate(statements):
            if aspect in self._named(statement):
                return self._strength(statement, place)
        return LEAST

    def best(self, phrases: Sequence[str], alternatives: Sequence[str]) -> list[str]:
        """See `Judge.best`: the alternative that is named first."""
        for phrase in phrases:
            named = self._named(phrase)
            if fitting := [name for name in alternatives if name in named]:
                return fitting
        return []

    def _named(self, statement: str) -> set[str]:
        """Lexicon concepts that the statement holds a name of."""
        words = _WORD.findall(statement)
        windows = (words[i : i + size] for size in range(1, _LONGEST + 1) for i in range(len(words) - size + 1))
        found = (self.lexicon.canonical(" ".join(window)) for window in windows)
        return {name for name in found if name is not None}

    def _strength(self, statement: str, place: int) -> float:
        number = _NUMBER.search(statement)
        if number is not None:
            return LEAST + (MOST - LEAST) * float(number.group(1))
        words = {word.casefold() for word in _WORD.findall(statement)}
        level = max(_LOWEST, _FIRST - place) + _DEGREE * (bool(words & _STRONG) - bool(words & _WEAK))
        return min(MOST, max(LEAST, level))
