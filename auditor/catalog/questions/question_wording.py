"""Says back how a question was understood."""

from __future__ import annotations

from auditor.catalog.questions.grammar import load_grammar
from auditor.catalog.questions.question import FilterValue, Question, Wish

_ROLES = {"wanted": "", "without": "without ", "least": "least "}
_AMOUNTS = {"low": "slightly", "mid": "moderately", "high": "very"}
_STEPS = {"low": "a little more ", "mid": "more ", "high": "much more "}
_ORDERS = {
    "best": "", "popular": "most downloaded first", "liked": "most liked first", "newest": "newest first",
    "oldest": "oldest first", "smallest": "smallest first",
}  # fmt: skip
_FILTERS = {
    "base": "base", "license": "licence", "trigger": "trigger", "owner": "owner", "name": "name",
    "downloads_min": "downloads from", "downloads_max": "downloads to", "likes_min": "likes from",
    "likes_max": "likes to", "size_min": "bytes from", "size_max": "bytes to", "created_after": "created since",
    "created_before": "created before", "strength_max": "acts at strength", "outcome": "outcome",
}  # fmt: skip

_KINDS = {
    "public": "public domain, by the card", "commercial": "commercial use ok, by the card",
    "noncommercial": "no commercial use, by the card",
}  # fmt: skip


def understood(question: Question) -> str:
    """One line, such as "vibrant; watercolor; without dark; licence mit; most downloaded first"."""
    if question.repo is not None:
        return f"adapters called {question.repo}"
    parts = [f"like {question.like}"] if question.like else []
    parts += [_wish(wish, moved=question.like is not None) for wish in question.wishes]
    parts += [f"more {first} than {second}" for first, second in question.more_than]
    parts += [_filter(name, value) for name, value in question.filters.items()]
    parts += [_ORDERS[question.order]] if question.order != "best" else []
    slips = ", ".join(f"{typed} read as {read}" for typed, read in question.corrected.items())
    return "; ".join(parts) + (f" ({slips})" if slips else "")


def remarks(question: Question) -> tuple[str, ...]:
    """What whoever asks this should know."""
    if question.filters.get("has_license") is False:
        return ("a card without a licence allows nothing: ask its owner, or ask for `commercial use ok`",)
    return ()


def _wish(wish: Wish, *, moved: bool) -> str:
    names = " or ".join(name.concept or f'"{name.text}"' for name in wish.names)
    if moved and wish.role == "wanted" and wish.moves and wish.amount is not None:
        return f"{_STEPS[wish.amount.typed]}{names}"
    if wish.amount is None:
        return f"{'more ' if moved and wish.role == 'wanted' else _ROLES[wish.role]}{names}"
    bounds = [f"{wish.amount.least:.12g}"] if wish.amount.least is not None else ["0"]
    bounds += [f"to {wish.amount.most:.12g}"] if wish.amount.most is not None else ["or more"]
    word = _AMOUNTS.get(wish.amount.typed)
    return f"{_ROLES[wish.role]}{word + ' ' if word else ''}{names} ({' '.join(bounds)})"


def _filter(name: str, value: FilterValue) -> str:
    if isinstance(value, bool):
        wording = {
            "has_trigger": ("without trigger", "with trigger"), "exact_base": ("any base", "exact base only"),
            "adult": ("for all audiences, by the card", "not for all audiences, by the card"),
            "has_license": ("no licence stated", "a licence stated"),
        }  # fmt: skip
        return wording[name][value]
    said = _FILTERS[name.removeprefix("not_")] + (" not" if name.startswith("not_") else "")
    if isinstance(value, tuple):
        kind = licence_kind(*value) if name == "license" and len(value) > 1 else None
        return f"{said} {' or '.join(value)}{f' ({kind})' if kind else ''}"
    return f"{said} {value:.12g}" if isinstance(value, float) else f"{said} {value}"


def licence_kind(*licences: str) -> str | None:
    """What licences, as named on the Hub, have in common, such as "commercial use ok, by the card"."""
    named, asked = load_grammar().licences, {name.lower() for name in licences}
    return next((said for kind, said in _KINDS.items() if asked <= set(named[kind])), None)
