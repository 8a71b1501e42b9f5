"""Takes the filters out of a question: licence, base, trigger, owner, numbers, dates, order."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial

from auditor.catalog.questions.grammar import Grammar, filled
from auditor.catalog.questions.question import CatalogWords, FilterValue
from auditor.catalog.questions.question_dates import following, period_of
from auditor.errors import UserError
from auditor.lexicons import concept_key

_KEY = re.compile(r'\b([a-z]+):\s?("[^"]*"|[^\s,;"]+)', re.ASCII)
_COMPARISON = re.compile(r"^(>=|<=|>|<|≥|≤)?(.*)$", re.ASCII)
NEGATED = re.compile(
    r"(?:(?:^|[\s,;(])(?:not|no|non|without|except(?: for)?|excluding|exclude|isn't|nor|never|other than)"
    r"(?:[\s-]+(?:a|an|the|any|for|on|by|from|under|with|very|too|so|that))*[\s-]*|(?:^|[\s,;(])[-!]\s*)$",
    re.ASCII,
)
"""What before a place in a question turns it round."""
_TURNED = frozenset(("license", "base", "owner", "trigger"))
"""Filters that a "not" before them makes `not_…`."""
_OPPOSITES = {
    f"{name}_{one}": f"{name}_{two}"
    for name in ("downloads", "likes", "size")
    for one, two in (("min", "max"), ("max", "min"))
}
_OPPOSITES |= {"created_after": "created_before", "created_before": "created_after"}
_SIZE = re.compile(r"^([\d.]+)\s*([kmg])i?b$", re.ASCII)
_NUMBER = re.compile(r"^([\d.,]+)([km]?)$", re.ASCII)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


def take_filters(text: str, words: CatalogWords, grammar: Grammar) -> tuple[str, dict[str, FilterValue]]:
    """The question without its filters, and the filters.

    Raises:
        UserError: A filter that was surely meant has a value that does not exist.
    """
    found: dict[str, FilterValue] = {}

    def with_key(match: re.Match[str]) -> str:
        name = grammar.keys.get(match.group(1))
        if name is None:
            return match.group(0)
        sign, value = _COMPARISON.match(match.group(2).strip('"')).groups()  # type: ignore[union-attr]
        if name in ("downloads", "likes", "size"):
            name += "_max" if sign in ("<", "<=", "≤") or (sign is None and name == "size") else "_min"
        _add(found, match, _accepted(name, value, words, grammar, sure=True))
        return " , "

    def with_pattern(match: re.Match[str], name: str, value: str) -> str:
        name, value = filled(name, match), filled(value, match)
        accepted = _accepted(name.rstrip("?"), value, words, grammar, sure=not name.endswith("?"))
        _add(found, match, accepted)
        return " , " if accepted else match.group(0)

    text = _KEY.sub(with_key, text)
    for pattern, name, value in grammar.filters:
        text = pattern.sub(partial(with_pattern, name=name, value=value), text)
    return _take_base(text, words, grammar, found), found


def _add(found: dict[str, FilterValue], match: re.Match[str], accepted: Mapping[str, FilterValue]) -> None:
    """Adds what one place asks for: turned round by a "not" before it; several names are any of them."""
    turned = NEGATED.search(match.string[: match.start()]) is not None
    for name, value in (_turned(accepted, match.group(0)) if turned else accepted).items():
        old = found.get(name)
        if isinstance(old, tuple) and isinstance(value, tuple):
            both = tuple(one for one in old if one in value)
            value = both or tuple(dict.fromkeys((*old, *value)))
        found[name] = value


def _turned(accepted: Mapping[str, FilterValue], typed: str) -> Mapping[str, FilterValue]:
    """The opposite of a filter, where there is one."""
    for name, value in accepted.items():
        if name in _TURNED:
            return {f"not_{name}": value}
        if isinstance(value, bool):
            return {name: not value}
        if len(accepted) == 1 and name in _OPPOSITES:
            return {_OPPOSITES[name]: value}
        raise UserError(f"'not' before {typed.strip(' ,;')!r} cannot be asked for; say what you want instead of it")
    return accepted


def bases_called(text: str, words: CatalogWords, grammar: Grammar) -> tuple[str, ...]:
    """Names and families of the catalog that go by `text`, such as "sd 1.5"; none when there is no such base."""
    key = _plain(text)
    direct = tuple(base for base in words.bases if _plain(base) == key)
    synonym = next((name for name, texts in grammar.bases.items() if key in map(_plain, texts)), None)
    wider = tuple(base for base in words.bases if synonym is not None and _plain(base).startswith(synonym))
    return tuple(dict.fromkeys(direct + wider))


def option_filters(
    base: str | None, license_name: str | None, words: CatalogWords, grammar: Grammar
) -> dict[str, FilterValue]:
    """Filters given beside the question, by the same rules.

    Raises:
        UserError: The catalog has no such base, or nobody knows such a licence; the message lists those that there are.
    """
    given = {"base": base, "license": license_name}
    found: dict[str, FilterValue] = {}
    for name, value in given.items():
        if value is not None:
            found.update(_accepted(name, value.lower(), words, grammar, sure=True))
    return found


def _take_base(text: str, words: CatalogWords, grammar: Grammar, found: dict[str, FilterValue]) -> str:
    spellings = [*words.bases, *(spelling for texts in grammar.bases.values() for spelling in texts)]
    names = "|".join(re.escape(name.lower()) for name in sorted(set(spellings), key=lambda name: (-len(name), name)))
    lead = r"(?:\b(for|on|with|using) )?(?:the )?(?:\bbase |\bfamily )?"
    pattern = lead + rf"(?<![\w./-])({names})(?![\w/-])( base| family| models?| loras?)?"

    def taken(match: re.Match[str]) -> str:
        if concept_key(match.group(2)) in words.aliases and not match.group(3):
            return match.group(0)
        _add(found, match, _accepted("base", match.group(2), words, grammar, sure=True))
        return " , "

    text = re.sub(pattern, taken, text, flags=re.ASCII) if names else text
    unknown = re.search(r"\b(?:for|on) (?:the )?([\w.-]+) (?:base|family)\b", text, re.ASCII)
    if unknown:
        _accepted("base", unknown.group(1), words, grammar, sure=True)
    return text


def _accepted(name: str, value: str, words: CatalogWords, grammar: Grammar, *, sure: bool) -> Mapping[str, FilterValue]:
    """The filter with its value read; empty when this was no filter after all."""
    read: FilterValue | None
    if name.startswith("created"):
        return _created(name, value, words, grammar)
    if name == "license":
        read = _licences(value, words, grammar)
        known = f"licences in this catalog: {_some(words.licences)}"
    elif name == "base":
        read = bases_called(value, words, grammar) or None
        known = f"bases in this catalog: {_some(words.bases)}"
    elif name == "owner":
        plain = value if value in words.owners and (sure or concept_key(value) not in words.aliases) else None
        read, known = (plain,) if plain else None, "an owner is what stands before the / of a repo"
    elif name in ("has_trigger", "has_license", "adult", "exact_base"):
        read, known = value not in ("no", "false"), ""
    elif name == "order":
        read, known = grammar.orders.get(value), f"orders: {_some(grammar.orders)}"
    elif name == "outcome":
        read, known = value if value in grammar.outcomes else None, f"outcomes: {_some(grammar.outcomes)}"
    elif name.endswith("_between"):
        kind = name.removesuffix("_between")
        least, most = map(_number, value.split(" "))
        return {} if least is None or most is None else {f"{kind}_min": least, f"{kind}_max": most}
    elif name == "limit":
        number = grammar.numbers.get(value) or _number(value)
        read = float(number) if number is not None and number >= 1 and number == int(number) else None
        known = "a whole number is needed, such as 5"
    elif name.endswith(("_min", "_max")):
        read, known = _number(value), "a number is needed, such as 100, 2.5k or 50 MB"
    else:
        read, known = value or None, "it is empty"
    if read is None and sure:
        raise UserError(f"{name.replace('_', ' ')} {value!r} is not known here; {known}")
    return {} if read is None else {name: read}


def _created(name: str, value: str, words: CatalogWords, grammar: Grammar) -> Mapping[str, FilterValue]:
    """Since or before a day; of the bounds of "in 2025" the second is the next period."""
    periods: list[str] = []
    for said in value.split("|"):
        period = period_of(said, words.today, grammar.numbers)
        if period is None:
            raise UserError(
                f"{name.replace('_', ' ')} {said!r} is not known here; dates are written 2025, 2025-03, 2025-03-31, "
                "or said: last month, 2 weeks ago"
            )
        periods.append(period)
    first, last = periods[0], periods[-1]
    if name == "created_between":
        return {"created_after": first, "created_before": following(last)}
    if name == "created_in":
        return {"created_after": first, "created_before": following(first)}
    if (
        name == "created_later"
    ):  # after 2024 is 2025 and later; after last week, which is counted from its first day, is not
        return {"created_after": following(first) if value == first else first}
    return {name: first}


def _licences(value: str, words: CatalogWords, grammar: Grammar) -> tuple[str, ...] | None:
    if value in grammar.licences:
        named = grammar.licences[value]
        here = {name.lower() for name in words.licences}
        return tuple(name for name in named if name in here) or tuple(named)
    known = {*words.licences, *(name for names in grammar.licences.values() for name in names)}
    exact = tuple(sorted({name.lower() for name in known if name.lower() == value}))
    # "apache" and "cc by" are any version of theirs.
    versions = (n.lower() for n in known if re.fullmatch(re.escape(_plain(value)) + r"\d*", _plain(n), re.ASCII))
    return exact or (tuple(sorted(set(versions))) if _plain(value) else ()) or None


def _number(value: str) -> float | None:
    size, number = _SIZE.match(value), _NUMBER.match(value)
    try:
        if size:
            read = float(size.group(1)) * _UNITS[size.group(2)]
        else:
            read = float(number.group(1).replace(",", "")) * _UNITS[number.group(2)] if number else math.nan
    except ValueError:
        return None
    return read if math.isfinite(read) else None


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _some(names: object) -> str:
    listed = sorted(map(str, names))  # type: ignore[call-overload]
    return ", ".join(listed[:12]) + (", …" if len(listed) > 12 else "") if listed else "none"
