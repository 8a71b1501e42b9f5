"""Says back how a question was understood."""

from __future__ import annotations

from auditor.catalog.questions.question import FilterValue, Question, Wish

_ROLES = {"wanted": "", "without": "without ", "least": "least "}
_AMOUNTS = {"low": "slightly", "mid": "moderately", "high": "very"}
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


def _wish(wish: Wish, *, moved: bool) -> str:
    names = " or ".join(name.concept or f'"{name.text}"' for name in wish.names)
    if wish.amount is None:
        return f"{'more ' if moved and wish.role == 'wanted' else _ROLES[wish.role]}{names}"
    bounds = [f"{wish.amount.least:g}"] if wish.amount.least is not None else ["0"]
    bounds += [f"to {wish.amount.most:g}"] if wish.amount.most is not None else ["or more"]
    word = _AMOUNTS.get(wish.amount.typed)
    return f"{_ROLES[wish.role]}{word + ' ' if word else ''}{names} ({' '.join(bounds)})"


def _filter(name: str, value: FilterValue) -> str:
    if isinstance(value, bool):
        wording = {"has_trigger": ("without trigger", "with trigger"), "exact_base": ("", "exact base only")}
        return wording[name][value]
    if isinstance(value, tuple):
        value = " or ".join(value)
    return f"{_FILTERS[name]} {value:.12g}" if isinstance(value, float) else f"{_FILTERS[name]} {value}"
