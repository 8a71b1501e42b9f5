"""Names of adapters in a question: the one that is asked for, and the one that others shall be like."""

from __future__ import annotations

import re

from auditor.catalog.questions.grammar import Grammar
from auditor.catalog.questions.question import CatalogWords
from auditor.catalog.questions.question_filters import NEGATED
from auditor.catalog.questions.spelling import concept_of
from auditor.errors import UserError
from auditor.lexicons import concept_key

ADDRESS = re.compile(r"^https?://[^\s/]+/([\w.-]+/[\w.-]+)(?:/\S*)?$", re.ASCII)
"""Address of a repo on any Hub; the group is `owner/name`."""
_REPO = re.compile(r"^[\w.-]+/[\w.-]+$", re.ASCII)
_REPO_WITHIN = re.compile(r"(?<![\w./-])[\w.-]*\w/[\w.-]*\w(?![\w/-])", re.ASCII)


def repo_asked_for(line: str, words: CatalogWords, grammar: Grammar) -> str | None:
    """The repo, when the question is nothing but an address, an id, or a part of a name that is no concept."""
    address = ADDRESS.match(line)
    if address:
        return address.group(1)
    if _REPO.match(line) and not all(concept_key(half) in words.aliases for half in line.split("/")):
        return line
    single = re.match(r"^[\w.-]+$", line, re.ASCII) and len(line) >= 3
    parts = line.split()
    if len(parts) == 2 and parts[0] in words.owners and _REPO.match("/".join(parts)) and words.holds("/".join(parts)):
        return "/".join(parts)
    if single and line not in grammar.silent and concept_of(line, words, grammar) is None and words.holds(line):
        return line
    return None


def neighbour_of(line: str, words: CatalogWords, grammar: Grammar) -> tuple[str, str | None, str | None]:
    """The line without names of adapters, the one that others shall be like, and one that is merely named.

    Raises:
        UserError: Two adapters are named, or one that others shall not be like.
    """
    like = grammar.like.search(line)
    if like is not None:
        _refuse_unlike(line[: like.start()], like.group(1))
        return grammar.like.sub(" , ", line), like.group(1), None
    for match in grammar.like_name.finditer(line):
        name = match.group(1)
        if name not in grammar.silent and concept_of(name, words, grammar) is None and words.holds(name):
            _refuse_unlike(line[: match.start()], name)
            return line[: match.start()] + " , " + line[match.end() :], name, None
    named = list(dict.fromkeys(name for name in _REPO_WITHIN.findall(line) if words.holds(name)))
    if len(named) > 1:
        raise UserError(f"two adapters are named; see them beside each other: auditor compare {named[0]} {named[1]}")
    if not named:
        return line, None, None
    _refuse_unlike(line[: line.index(named[0])], named[0])
    return line.replace(named[0], " , "), None, named[0]


def _refuse_unlike(before: str, name: str) -> None:
    if NEGATED.search(before):
        raise UserError(f"adapters that are not like {name} cannot be asked for; say what they should do, or not do")
