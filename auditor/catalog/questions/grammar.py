"""The words and patterns of the question language: one table, read by the command line and by the exported site."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_REPO = r"[\w.-]+/[\w.-]+"
_FILE = Path(__file__).with_name("grammar.json")


@dataclass(frozen=True)
class Grammar:
    """The table, compiled. Patterns use what Python and JavaScript read alike."""

    tidy: tuple[tuple[re.Pattern[str], str], ...]
    """One spelling for numbers, months and quotation marks, before anything is read."""
    rewrites: tuple[tuple[re.Pattern[str], str], ...]
    filters: tuple[tuple[re.Pattern[str], str, str], ...]
    like: re.Pattern[str]
    """Before an `owner/name`, its group, or its address: others like it are meant."""
    like_name: re.Pattern[str]
    """The same before a part of a name."""
    keys: dict[str, str]
    orders: dict[str, str]
    outcomes: tuple[str, ...]
    amounts: dict[str, tuple[float, float | None]]
    steps: dict[str, float]
    """How far `like` is moved by a word for an amount; 1 without one."""
    degrees: dict[str, str]
    """Words before another that say how much, unless they are part of its name."""
    negations: frozenset[str]
    least: frozenset[str]
    breaks: frozenset[str]
    joints: frozenset[str]
    fillers: frozenset[str]
    words: frozenset[str]
    derived: tuple[tuple[str, str], ...]
    everyday: dict[str, str]
    numbers: dict[str, int]
    """Numbers in words; of them those of one word count hits."""
    bases: dict[str, list[str]]
    licences: dict[str, list[str]]

    @property
    def silent(self) -> frozenset[str]:
        """Words that name nothing."""
        return self.fillers | self.joints | self.breaks | self.negations | self.least


def grammar_text() -> str:
    """The table as JSON, for the site."""
    return _FILE.read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def load_grammar() -> Grammar:
    """The table that ships with the package."""
    raw: dict[str, Any] = json.loads(grammar_text())
    parts = raw["parts"]
    return Grammar(
        tidy=_compiled(raw["tidy"]),
        rewrites=_compiled(raw["rewrites"]),
        filters=tuple((re.compile(_whole(find, parts), re.ASCII), name, put) for find, name, put in raw["filters"]),
        numbers=raw["numbers"],
        keys=raw["keys"],
        orders=raw["orders"],
        outcomes=tuple(raw["outcomes"]),
        amounts={name: (low, high) for name, (low, high) in raw["amounts"].items()},
        **{name: frozenset(raw[name]) for name in ("negations", "least", "breaks", "joints", "fillers", "words")},
        steps=raw["steps"],
        degrees=raw["degrees"],
        like=re.compile(rf"\b{_whole(parts['like'], parts)}\s+(?:https?://[^\s/]+/)?({_REPO})(?:/\S*)?", re.ASCII),
        like_name=re.compile(rf"\b{_whole(parts['like'], parts)}\s+([\w-][\w.-]{{2,}})(?![\w/])", re.ASCII),
        derived=tuple((old, new) for old, new in raw["derived"]),
        everyday=raw["everyday"],
        bases=raw["bases"],
        licences=raw["licences"],
    )


def filled(template: str, match: re.Match[str]) -> str:
    """`$1`, `$2` of a template replaced by the groups of a match."""
    return re.sub(r"\$(\d)", lambda place: match.group(int(place.group(1))) or "", template)


def _whole(pattern: str, parts: dict[str, str]) -> str:
    """The pattern with what stands for `{name}`, parts of parts included."""
    return re.sub(r"\{([a-z]+)\}", lambda part: _whole(parts[part.group(1)], parts), pattern)


def _compiled(table: list[list[str]]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(find, re.ASCII), _python_groups(put)) for find, put in table)


def _python_groups(template: str) -> str:
    return re.sub(r"\$(\d)", r"\\g<\1>", template)
