"""Values and filters as SQL text."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.catalog.questions.question import FilterValue

PRESENT = 0.1
"""A tenth of asking for it in words: from here on an adapter has a concept."""


def literal(value: object) -> str:
    """A value as SQL text. Text is quoted; nothing in it can end the quotation."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("\0", "").replace("'", "''") + "'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(literal, value)) + "]"
    raise TypeError(f"no SQL literal for {type(value).__name__}")


def condition(name: str, value: FilterValue) -> str:
    """One filter on a row `a` of adapters; `not_` before its name turns it round."""
    if name.startswith("not_"):
        return f"NOT coalesce({condition(name.removeprefix('not_'), value)}, false)"
    texts = ", ".join(map(literal, value)) if isinstance(value, tuple) else literal(value)
    audit = (
        "EXISTS (FROM audits x LEFT JOIN recipes r ON r.recipe_id = x.recipe_id WHERE x.audit_id = a.audit_id AND {})"
    )
    templates = {
        "base": f"(lower(a.base_name) IN ({texts}) OR "
        + audit.format(f"(lower(x.base_name) IN ({texts}) OR lower(r.family) IN ({texts}))")
        + ")",
        "license": f"lower(a.license) IN ({texts})",
        "trigger": f"contains(lower(a.trigger), {texts})",
        "has_trigger": f"(coalesce(a.trigger, '') <> '') = {texts}",
        "adult": f"(a.nsfw OR coalesce(a.audit_id IN (SELECT audit_id FROM adapters WHERE nsfw), false)) = {texts}",
        "has_license": f"(coalesce(a.license, '') <> '') = {texts}",
        "owner": f"lower(split_part(a.repo_id, '/', 1)) IN ({texts})",
        "name": f"contains(lower(a.repo_id), {texts})",
        "exact_base": audit.format("NOT x.base_assumed AND NOT x.card_mismatch") if value else "true",
        "downloads_min": f"a.downloads >= {texts}",
        "downloads_max": f"a.downloads <= {texts}",
        "likes_min": f"a.likes >= {texts}",
        "likes_max": f"a.likes <= {texts}",
        "size_min": f"a.size_bytes >= {texts}",
        "size_max": f"a.size_bytes <= {texts}",
        "created_after": f"strftime(a.created_at, '%Y-%m-%d') >= {texts}",
        "created_before": f"strftime(a.created_at, '%Y-%m-%d') < {texts}",
        "strength_max": "EXISTS (FROM dose d, unnest(map_values(d.projections)) p(value) "
        f"WHERE d.audit_id = a.audit_id AND d.scale <= {texts} AND p.value >= {PRESENT})",
    }
    return templates[name]


def all_of(conditions: Sequence[str]) -> str:
    """All of some conditions; of none, true."""
    return " AND ".join(f"({item})" for item in conditions) or "true"


def geometric_mean(items: Sequence[str]) -> str:
    """Of expressions; NULL of none."""
    return f"power({' * '.join(items)}, {1.0 / len(items)!r})" if items else "NULL"
