"""From what people type to what is looked for. docs/questions.md is the same for people.

The site reads questions with templates/question.js, from the same table (grammar.json); both answer the cases in
tests/catalog/question_cases.json.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, field

from auditor.catalog.questions.grammar import Grammar, load_grammar
from auditor.catalog.questions.question import Amount, CatalogWords, FilterValue, Name, Order, Question, Role, Wish
from auditor.catalog.questions.question_filters import take_filters
from auditor.catalog.questions.question_names import neighbour_of, repo_asked_for
from auditor.catalog.questions.spelling import concept_of, corrected
from auditor.errors import UserError
from auditor.lexicons import concept_key

MAX_CHARS = 400
MAX_WISHES = 8
_LONGEST_NAME = 6
_COUNT = re.compile(r"^[0-9]{1,3}$")
_DECIMAL = re.compile(r"^[01]\.[0-9]+$")
_ABOUT = 0.1
"""How far from a number is still about it."""
_SIGNED = re.compile(r"(?:^|(?<=[,;]))(?:(?: ?more| ?most) )?([^\d<>=,;]+)([<>])([^\d<>=,;]+)(?=$|[,;])", re.ASCII)
_COMPARED = re.compile(r"\b(more|less) ((?:(?!\bthan\b)[^,;])+?) than ([^,;]+?)(?=$|[,;]| but | and )", re.ASCII)
_TOKEN = re.compile(r"~\w+|[<>=][0-9]+(?:\.[0-9]+)?|[^\W_]+(?:['’.+&][^\W_]+)*|[,;/|+&()]", re.UNICODE)
_SEPARATORS = frozenset(",;/|+&()")


def read_question(text: str, words: CatalogWords) -> Question:
    """Read a question.

    Raises:
        UserError: It asks for nothing, too much, or a thing and its opposite, or a filter has an unknown value.
    """
    if len(text) > MAX_CHARS:
        raise UserError(f"a question has at most {MAX_CHARS} characters, this one has {len(text)}")
    grammar = load_grammar()
    line = _tidied(text, grammar)
    repo = repo_asked_for(line, words, grammar)
    if repo is not None:
        return Question(repo=repo)
    line, mended = corrected(line, words, grammar)
    line, like, named = neighbour_of(line, words, grammar)
    line, filters = take_filters(line, words, grammar)
    line, compared = _comparisons(line, words, grammar)
    for pattern, put in grammar.rewrites:
        line = pattern.sub(put, line)
    walk = _Walk(words, grammar)
    walk.over(_TOKEN.findall(line))
    if named is not None:  # an id amid other words: the adapter itself, unless it is to be more or less of something
        if not any(name.concept for wish in walk.wishes for name in wish.names):
            return Question(repo=named, corrected=mended)
        like = named
    if walk.limit is not None:
        filters.setdefault("limit", float(walk.limit))
    return _made(walk.wishes, compared, filters, like, mended, words)


def _tidied(text: str, grammar: Grammar) -> str:
    """Small letters, one form of each letter, one spelling of numbers."""
    line = re.sub("[\0~\ufeff]", " ", unicodedata.normalize("NFKC", text).lower().replace("’", "'"))
    line = " ".join(line.split())
    for pattern, put in grammar.tidy:
        line = pattern.sub(put, line)
    return line


def concept_names(words: CatalogWords, text: str, count: int = 3) -> list[str]:
    """Concepts whose names are spelt much like `text`, nearest first."""
    import difflib

    keys = difflib.get_close_matches(concept_key(text), list(words.aliases), n=count * 3, cutoff=0.6)
    return list(dict.fromkeys(words.aliases[key] for key in keys))[:count]


@dataclass
class _Walk:
    """Collects wishes word by word."""

    words: CatalogWords
    grammar: Grammar
    wishes: list[Wish] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    role: Role = "wanted"
    amount: Amount | None = None
    either: bool = False
    """An "or" came last."""
    fresh: bool = False
    """A concept came last: a number now is its amount."""
    limit: int | None = None

    def over(self, tokens: list[str]) -> None:
        place = 0
        while place < len(tokens):
            length, concept = self._longest(tokens[place:])
            if concept is not None:
                self._end_phrase()
                self._add(Name(" ".join(tokens[place : place + length]), concept))
                self._settle(tokens[place + length] if place + length < len(tokens) else "")
            elif number := self._count(tokens[place:]):
                self.limit = number
            else:
                self._plain(tokens[place])
            place += length
        self._end_phrase()
        self._bound_before()

    def _longest(self, tokens: list[str]) -> tuple[int, str | None]:
        for length in range(min(_LONGEST_NAME, len(tokens)), 0, -1):
            window = tokens[:length]
            if window[0][0] in "~<>=" or (length == 1 and window[0] in self.grammar.silent):
                continue
            if _SEPARATORS.isdisjoint(window) and window[-1][0] not in "~<>=":
                concept = concept_of(" ".join(window), self.words, self.grammar)
                if concept is not None:
                    return length, concept
        return 1, None

    def _count(self, tokens: list[str]) -> int | None:
        """How many hits a bare number asks for; None when it belongs to words that name something."""
        number = int(tokens[0]) if _COUNT.match(tokens[0]) else self.grammar.numbers.get(tokens[0])
        if not number or tokens[0] in self.grammar.silent or self.loose or self.limit or self.role != "wanted":
            return None
        after = tokens[1] if len(tokens) > 1 else ","
        ends = after in _SEPARATORS or after[0] in "~<>=" or after in self.grammar.silent
        return number if ends or self._longest(tokens[1:])[1] is not None else None

    def _plain(self, token: str) -> None:
        grammar = self.grammar
        if token in grammar.negations or token in grammar.least:
            self._end_phrase()
            if self.either and self.wishes and self.wishes[-1].role == "wanted":
                raise UserError("one thing or the absence of another cannot be asked for; ask for the two in turn")
            self.role, self.either = "without" if token in grammar.negations else "least", False
        elif token in _SEPARATORS or token in grammar.breaks:
            role = self.role
            self._end_phrase()
            self._bound_before()
            self.either = token == "or"
            self.role, self.amount = (role, self.amount) if self.either else ("wanted", None)
        elif token[0] == "~" or token in grammar.degrees:
            self._end_phrase()
            degree = grammar.degrees.get(token, token[1:])
            self.amount = Amount(degree, *grammar.amounts[degree])
        elif token[0] in "<>=":
            self._bound(token[0], float(token[1:]))
        elif _DECIMAL.match(token) and not self.loose:
            self._bound("=", float(token))
        elif token.startswith("un") and concept_of(token[2:], self.words, grammar) is not None:
            self._end_phrase()
            self.role = "least" if self.role == "wanted" else "wanted"
            self._add(Name(token, concept_of(token[2:], self.words, grammar)))
            self._settle("")
        elif token not in grammar.fillers and not (token in grammar.joints and not self.loose):
            self.loose.append(token)

    def _bound(self, sign: str, number: float) -> None:
        """ "> 0.5" after a concept is its amount, before one that of the next."""
        if not math.isfinite(number):
            raise UserError("that is too large a number for an amount; amounts are scores, such as 0.5")
        self._end_phrase()
        last = self.wishes[-1] if self.wishes and self.fresh else None
        if sign == "=" and last is not None and last.amount is not None:
            last = None  # 50 % of one, 50 % of the next
        old = (last.amount if last is not None else self.amount) or Amount("", None, None)
        typed = f"{old.typed} {sign} {number:g}".strip()
        least = round(max(number - _ABOUT, 0.0), 6) if sign == "=" else number if sign == ">" else old.least
        most = round(number + _ABOUT, 6) if sign == "=" else number if sign == "<" else old.most
        if last is not None:
            self.wishes[-1] = Wish(last.role, last.names, Amount(typed, least, most))
        else:
            self.amount = Amount(typed, least, most)

    def _bound_before(self) -> None:
        """A number that no concept followed belongs to the one before."""
        last = self.wishes[-1] if self.wishes else None
        if self.amount is not None and self.amount.typed[:1] in "<>=" and last is not None and last.amount is None:
            self.wishes[-1] = Wish(last.role, last.names, self.amount)
            self.amount = None
        self.fresh = False

    def _add(self, name: Name) -> None:
        last = self.wishes[-1] if self.wishes else None
        if self.either and self.role == "wanted" and last is not None and last.role == "wanted":
            self.wishes[-1] = Wish("wanted", (*last.names, name), last.amount or self.amount)
        else:
            self.wishes.append(Wish(self.role, (name,), self.amount))
        self.amount, self.either, self.fresh = None, False, name.concept is not None

    def _settle(self, following: str) -> None:
        """A negation reaches over "or": not dark or foggy."""
        self.role = self.role if following == "or" else "wanted"

    def _end_phrase(self) -> None:
        while self.loose and self.loose[-1] in self.grammar.joints:
            self.loose.pop()
        if self.loose:
            self._add(Name(" ".join(self.loose), None))
            self.loose.clear()
            self.role = "wanted"


def _comparisons(line: str, words: CatalogWords, grammar: Grammar) -> tuple[str, list[tuple[str, str]]]:
    """ "more A than B", both concepts: the pairs, and the line with A and B left to be read as wishes.

    Only scores can be set against each other: where one is no concept, the line asks for A and little of B.
    """
    pairs: list[tuple[str, str]] = []

    def taken(match: re.Match[str]) -> str:
        first, second = (concept_of(match.group(place).strip(), words, grammar) for place in (2, 3))
        if first is None or second is None:
            return f" {match.group(2)} , less {match.group(3)} , " if match.group(1) == "more" else match.group(0)
        if first == second:
            return match.group(0)
        pairs.append((first, second) if match.group(1) == "more" else (second, first))
        return f" {match.group(2)} , {match.group(3)} , "

    def signed(match: re.Match[str]) -> str:
        one, two = (match.group(place).strip() for place in (1, 3))
        if concept_of(one, words, grammar) is None or concept_of(two, words, grammar) is None:
            return match.group(0)
        return f"more {one} than {two}" if match.group(2) == ">" else f"more {two} than {one}"

    line = _SIGNED.sub(signed, line)
    return _COMPARED.sub(taken, line), pairs


def _made(
    wishes: list[Wish],
    compared: list[tuple[str, str]],
    filters: dict[str, FilterValue],
    like: str | None,
    mended: dict[str, str],
    words: CatalogWords,
) -> Question:
    order, limit = filters.pop("order", "best"), filters.pop("limit", None)
    kept = _without_repeats(wishes)
    only = kept[0] if len(kept) == 1 and kept[0].role == "wanted" else None
    lone = only.names[0].text if only is not None and only.names[0].concept is None else None
    if lone is not None and not filters and like is None and words.holds(lone):
        return Question(repo=lone)
    if not kept and not filters and like is None and order == "best":
        raise UserError('say what the adapter should do, for example: auditor search "most vibrant watercolor LoRA"')
    if sum(len(wish.names) for wish in kept) > MAX_WISHES:
        raise UserError(f"a question has at most {MAX_WISHES} concepts, this one has more")
    outcome = filters.get("outcome", "scored")
    if outcome not in ("scored", "scored_partial") and (kept or like is not None):
        raise UserError(f"adapters of outcome {outcome!r} have no scores; ask for them without concepts")
    rank: Order = order  # type: ignore[assignment]
    asked = int(limit) if isinstance(limit, float) else None
    return Question(kept, tuple(compared), filters, rank, like, None, asked, mended)


def _without_repeats(wishes: list[Wish]) -> tuple[Wish, ...]:
    roles: dict[str, Role] = {}
    kept: list[Wish] = []
    for wish in wishes:
        names = []
        for name in wish.names:
            key = name.concept or concept_key(name.text)
            if not key:
                continue
            first = roles.setdefault(key, wish.role)
            if first != wish.role:
                raise UserError(f"{name.text!r} is both wanted and not wanted; drop one of the two")
            if key not in [n.concept or concept_key(n.text) for w in kept for n in w.names]:
                names.append(name)
        if names:
            kept.append(Wish(wish.role, tuple(names), wish.amount))
    return tuple(kept)
