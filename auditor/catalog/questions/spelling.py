"""Finds the concept that a word means: by name, by a related form, or by a slip of the finger or two."""

from __future__ import annotations

import re
from collections.abc import Iterable

from auditor.catalog.questions.grammar import Grammar
from auditor.catalog.questions.question import CatalogWords
from auditor.lexicons import concept_key

_CORE = re.compile(r"^([\s,;(!?.-]*)(.*?)([\s,;)!?.]*)$", re.DOTALL)
_LETTERS = re.compile(r"^[^\W\d_]+(?:-[^\W\d_]+)*$")
_QUOTED_OR_VALUE = re.compile(r'"[^"]*"|\b([a-z]+):\s?[^\s,;"]+', re.ASCII)
_SHORTEST = 5
_TWO_SLIPS = 8
"""Words of this many letters may hold two slips."""


def concept_of(phrase: str, words: CatalogWords, grammar: Grammar) -> str | None:
    """The concept of a phrase: a name or alias, an everyday or foreign word for one, or a related form of a word."""
    key = concept_key(phrase)
    found = words.aliases.get(key)
    if found is None and phrase in grammar.everyday:
        named = grammar.everyday[phrase]
        found = words.aliases.get(concept_key(named)) or words.aliases.get(concept_key(grammar.everyday.get(named, "")))
    if found is None and " " not in phrase and len(phrase) >= 3 and phrase not in grammar.silent:
        forms = (form for start in dict.fromkeys((phrase, key)) for form in related_forms(start, grammar))
        found = next((words.aliases[form] for form in map(concept_key, forms) if form in words.aliases), None)
    return found


def related_forms(word: str, grammar: Grammar) -> Iterable[str]:
    """Words of the same stem: blur → blurry, darkness → dark, brightest → bright."""
    for old, new in grammar.derived if word else ():
        stem = word
        if old.startswith("+"):
            ending = old[1:]
            if not word.endswith(ending) or len(word) < len(ending) + 4:
                continue
            stem = word[: -len(ending)]
            if stem[-1] != stem[-2]:
                continue
            stem = stem[:-1]
        elif old:
            if not word.endswith(old) or len(word) < len(old) + 3:
                continue
            stem = word[: -len(old)]
        yield stem + stem[-1] + new[1:] if new.startswith("+") else stem + new


def corrected(text: str, words: CatalogWords, grammar: Grammar) -> tuple[str, dict[str, str]]:
    """The text with slips mended, and what was mended. Names of repos, quoted texts and values are left alone."""
    known: dict[str, str] = {}
    ordinary = grammar.silent | grammar.words
    mended: dict[str, str] = {}
    alone = _as_typed(text, grammar)

    def read(piece: re.Match[str]) -> str:
        nonlocal known
        match = _CORE.match(piece.group())
        core = match.group(2) if match else ""
        if len(core) < _SHORTEST or not _LETTERS.match(core) or core in ordinary:
            return piece.group()
        if concept_of(core, words, grammar) or _negated(core, words, grammar) or core in words.owners:
            return piece.group()
        if any(start < piece.end() and piece.start() < end for start, end in alone):
            return piece.group()
        known = known or _known_words(words, grammar)  # thousands, which most questions do not need
        if concept_key(core) in known:
            return piece.group()
        near = nearest(concept_key(core), known)
        one_meaning = len(near) == 1 or len({concept_of(known[key], words, grammar) or key for key in near}) == 1
        if not (near and one_meaning and match) or words.holds(core):
            return piece.group()
        mended[core] = known[near[0]]
        return match.group(1) + known[near[0]] + match.group(3)

    return re.sub(r"\S+", read, text), mended


def _as_typed(text: str, grammar: Grammar) -> list[tuple[int, int]]:
    """Where quoted texts and values stand: a trigger is often a word of nobody's, and would be read as another."""
    places = [match.span() for match in _QUOTED_OR_VALUE.finditer(text) if not match[1] or match[1] in grammar.keys]
    for pattern, name, _ in grammar.filters:
        if name == "trigger":
            places += [match.span(1) for match in pattern.finditer(text)]
        elif name == "has_trigger":  # in their order, as filters are taken: "no trigger" has no value behind it
            text = pattern.sub(lambda match: "," * len(match[0]), text)
    return places


def _known_words(words: CatalogWords, grammar: Grammar) -> dict[str, str]:
    """Every word that may be meant, by its key."""
    known = {concept_key(part): part for alias in words.alias_names for part in re.split(r"[\s-]+", alias)}
    known |= {concept_key(alias): alias for alias in words.alias_names}
    return known | {concept_key(word): word for word in grammar.words}


def nearest(key: str, known: Iterable[str]) -> list[str]:
    """The known keys with the fewest slips, if few enough: one from five letters on, two from eight on."""
    allowed = 2 if len(key) >= _TWO_SLIPS else 1
    best, found = allowed + 1, list[str]()
    for other in known:
        if other[:1] != key[:1] or abs(len(other) - len(key)) > allowed or len(other) < _SHORTEST - 1:
            continue
        distance = slips(key, other)
        if distance < best:
            best, found = distance, [other]
        elif distance == best and distance <= allowed:
            found.append(other)
    return found


def slips(one: str, two: str) -> int:
    """Letters added, left out, changed or swapped with their neighbour (optimal string alignment distance)."""
    before: list[int] = []
    row = list(range(len(two) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(two, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == two[j - 2] and one[i - 2] == other:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _negated(word: str, words: CatalogWords, grammar: Grammar) -> bool:
    return word.startswith("un") and concept_of(word[2:], words, grammar) is not None
