"""Search: named concepts by the shared basis in SQL, other words by their direction against every stored V.

Ranking. One wanted concept: the lower end of its score decides, so that a lucky wide interval does not win.
Several: the cosine of V with the sum of their directions (`fit`), which asks how nearly the adapter does what all
the words together would do; chosen on development styles, where the geometric mean of the joint scores lost the
fainter style of a pair (on held-out pairs neither is good: docs/results.md). Free phrases join by the geometric
mean of their scores. "not X" leaves out adapters that surely have a tenth of X or more; "least X" puts first what
moves furthest away from X, by the projection on X alone, which unlike the non-negative joint score can fall below 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import duckdb
import numpy as np
from numpy.typing import NDArray

from auditor.catalog.phrases import TextSide, phrase_directions, text_sides
from auditor.catalog.query import Query, Term, near_names, parse
from auditor.catalog.reading import fetch, reading_catalog
from auditor.encoding.encoder import Encoder
from auditor.errors import UserError
from auditor.finexl.arrays import FloatArray
from auditor.finexl.shared_basis import score_phrase

EncoderFactory = Callable[[], Encoder]
Differences = Callable[[str], NDArray[np.generic] | None]
"""Result file, relative to the results folder → d_i (n, D), or None when it is not at hand."""

_ALL = 1_000_000_000
_SURE = 0.1
"""A tenth of asking for it in words: what `most_of` too takes for having a concept."""
_REFINED = 100
"""Free phrases: this many adapters, best score first, get intervals from their single differences."""


@dataclass(frozen=True)
class Match:
    """Why an adapter was found. `low` and `high` are None where the single differences were not at hand."""

    term: str
    kind: Literal["concept", "phrase"]
    score: float
    low: float | None
    high: float | None
    projection: float


@dataclass(frozen=True)
class Hit:
    """One adapter.

    `score` is the geometric mean over what was wanted, `at_least` the same of the lower ends; either is 0 when the
    joint fit leaves a wanted concept nothing. `fit` is the cosine that ranks when several concepts are wanted.
    """

    place: int
    repo_id: str
    path: str
    commit_sha: str
    score: float | None
    at_least: float | None
    fit: float | None
    matched: tuple[Match, ...]
    probes: int
    base: str | None
    license: str | None
    trigger: str | None
    outcome: str
    flags: tuple[str, ...]
    copies: int


@dataclass(frozen=True)
class SearchAnswer:
    """What was understood, what was found, and the SQL that found it (runs as it stands)."""

    terms: tuple[Term, ...]
    hits: tuple[Hit, ...]
    sql: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filters:
    """What hits must be besides; None means any."""

    base: str | None = None
    license: str | None = None


def search(
    database: Path,
    text: str,
    k: int = 10,
    *,
    base: str | None = None,
    license: str | None = None,
    encoder: EncoderFactory | None = None,
    differences: Differences | None = None,
) -> SearchAnswer:
    """Answer a search in words.

    Args:
        database: The catalog.
        text: Such as "most vibrant watercolor LoRA", "least blurry", "vibrant but not dark".
        k: Most hits.
        base: Name or family of the base model.
        license: Licence as on the card.
        encoder: Makes the text encoder; called only for words that are not in the lexicon.
        differences: Reads the single differences of a result file, for intervals of free phrases.

    Raises:
        UserError: The search says nothing or contradicts itself, or needs an encoder that is not given.
    """
    filters = Filters(base, license)
    with reading_catalog(database) as connection:
        aliases = dict(connection.execute("SELECT key, concept FROM concept_aliases").fetchall())
        query = parse(text, aliases)
        notes = tuple(_spelling_note(term, near_names(term.text, aliases)) for term in query.phrases)
        if not query.phrases:
            sql = f"FROM {_most_of(query, filters, k)};"
            hits = tuple(_hit(record) for record in fetch(connection, sql).records())
            return SearchAnswer(query.terms, hits, sql)
        if encoder is None:
            raise UserError(f"{'; '.join(notes)}. Free phrases need the text encoder: see `auditor doctor`")
        return _phrase_search(connection, query, k, filters, encoder(), differences, notes)


def literal(value: str | int | float | Sequence[object] | None) -> str:
    """A value as SQL text. Text is quoted; nothing in it can end the quotation."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("\0", "").replace("'", "''") + "'"
    if isinstance(value, int | float):
        return repr(value)
    return "[" + ", ".join(literal(cast(float, item)) for item in value) + "]"


def _most_of(query: Query, filters: Filters, k: int) -> str:
    """The call of the macro that ranks; `most` where it says the same in fewer words."""
    wanted, without, least = (query.concepts(role) for role in ("wanted", "without", "least"))
    options = [f"k := {k}"]
    options += [f"base := {literal(filters.base)}"] if filters.base is not None else []
    options += [f"license := {literal(filters.license)}"] if filters.license is not None else []
    if not without and not least and 1 <= len(wanted) <= 2:
        return f"most({', '.join([*map(literal, wanted), *options])})"
    lists = [literal(wanted) if wanted else "[]::VARCHAR[]"]
    lists += [f"without := {literal(without)}"] if without else []
    lists += [f"least := {literal(least)}"] if least else []
    return f"most_of({', '.join([*lists, *options])})"


def _hit(record: dict[str, object]) -> Hit:
    matched = cast(list[dict[str, object]], record["matched"] or [])
    return Hit(
        place=cast(int, record["place"]),
        repo_id=str(record["repo_id"]),
        path=str(record["path"]),
        commit_sha=str(record["commit_sha"]),
        score=cast("float | None", record["score"]),
        at_least=cast("float | None", record["at_least"]),
        fit=cast("float | None", record["fit"]),
        matched=tuple(
            Match(
                str(item["concept"]),
                "concept",
                *(cast(float, item[name]) for name in ("score", "low", "high", "projection")),
            )
            for item in matched
        ),
        probes=cast(int, record["probes"]),
        base=cast("str | None", record["base"]),
        license=cast("str | None", record["license"]),
        trigger=cast("str | None", record["trigger"]),
        outcome=str(record["outcome"]),
        flags=tuple(cast(list[str], record["flags"])),
        copies=cast(int, record["copies"]),
    )


def _spelling_note(term: Term, near: Sequence[str]) -> str:
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no concept of the lexicon is called {term.text!r}{hint}"


def _phrase_search(
    connection: duckdb.DuckDBPyConnection,
    query: Query,
    k: int,
    filters: Filters,
    encoder: Encoder,
    differences: Differences | None,
    notes: tuple[str, ...],
) -> SearchAnswer:
    """Candidates by SQL from the stored V, then intervals from the single differences of the best of them."""
    sides = text_sides(connection)
    fitting = [side for side in sides if side.encoder == encoder.identity] or sides
    if not fitting:
        return SearchAnswer(query.terms, (), "", (*notes, "the catalog holds no audit yet"))
    side = fitting[0]
    if len(sides) > 1:
        notes += (f"of {len(sides)} ways of asking in this catalog, one was searched: {side.probe_set}",)
    texts = [term.text.casefold() for term in query.phrases]
    vectors = phrase_directions(connection, side, texts, encoder)
    candidates = max(_REFINED, k)
    sql = _phrase_sql(query, side, vectors, filters, candidates)
    found = [_candidate(record, query, vectors, differences) for record in fetch(connection, sql).records()]
    least = any(term.role == "least" for term in query.terms)
    if not least and all(item.complete for item in found):
        found.sort(key=lambda item: (-(item.hit.at_least or 0.0), -(item.hit.score or 0.0)))
    elif not all(item.complete for item in found):
        notes += ("some result files are not at hand: no intervals for the free words, ranked by score",)
    hits = tuple(replace(item.hit, place=place + 1) for place, item in enumerate(found[:k]))
    return SearchAnswer(query.terms, hits, sql, notes)


def _phrase_sql(query: Query, side: TextSide, vectors: FloatArray, filters: Filters, limit: int) -> str:
    """Geometric mean over concepts and phrases; the vectors stand in the text, so that it can be run again."""
    scores, conditions, wanted, least = [], [], [], []
    named = len(query.concepts("wanted"))
    for index, (term, vector) in enumerate(zip(query.phrases, vectors, strict=True)):
        values = [round(float(value), 7) for value in vector]
        square = math.fsum(value * value for value in values)
        scores.append(f"list_inner_product(u.divergence, {literal(values)}::FLOAT[]) / {square!r} AS phrase_{index}")
        if term.role == "wanted":
            conditions.append(f"phrase_{index} > 0")
            wanted.append(f"phrase_{index}")
        elif term.role == "without":
            conditions.append(f"phrase_{index} < {_SURE}")
        else:
            least.append(f"phrase_{index}")
    product = " * ".join([*([f"pow(score, {named})"] if named else []), *wanted]) or "NULL"
    order = [f"{' + '.join(least)}"] if least else []
    order += ["away_place"] if query.concepts("least") and not least else []
    order += ["overall DESC NULLS LAST", "repo_id", "path"]
    where = f"\nWHERE {' AND '.join(conditions)}" if conditions else ""
    return (
        f"SELECT * EXCLUDE (place), pow({product}, 1.0 / {max(1, named + len(wanted))}) AS overall\nFROM (\n"
        f"    SELECT m.*, m.place AS away_place, u.result_file, {', '.join(scores)}\n"
        f"    FROM {_most_of(query, filters, _ALL)} m JOIN audits u ON u.audit_id = m.audit_id\n"
        f"    WHERE u.recipe_id IN ({', '.join(map(literal, side.recipe_ids))})\n"
        f"      AND len(u.divergence) = {vectors.shape[1]})"
        f"{where}\nORDER BY {', '.join(order)}\nLIMIT {limit};"
    )


@dataclass
class _Candidate:
    hit: Hit
    complete: bool


def _candidate(
    record: dict[str, object], query: Query, vectors: FloatArray, differences: Differences | None
) -> _Candidate:
    """A row of the phrase query with intervals, where the single differences are at hand."""
    plain = _hit({**record, "place": 0})
    rows = differences(str(record["result_file"])) if differences is not None else None
    matches, lows = list(plain.matched), [max(m.low or 0.0, 0.0) for m in plain.matched]
    lows = lows[: len(query.concepts("wanted"))]
    for index, (term, vector) in enumerate(zip(query.phrases, vectors, strict=True)):
        if term.role == "without":
            continue
        value, low, high = cast(float, record[f"phrase_{index}"]), None, None
        if rows is not None and rows.ndim == 2 and rows.shape[1] == len(vector):
            interval = score_phrase(rows.astype(np.float64), vector)
            low, high = min(interval.low, value), max(interval.high, value)
            if term.role == "wanted":
                lows.append(max(low, 0.0))
        matches.append(Match(term.text, "phrase", value, low, high, value))
    complete = rows is not None
    at_least = math.prod(lows) ** (1.0 / len(lows)) if complete and lows else None
    overall = cast("float | None", record["overall"])
    return _Candidate(replace(plain, score=overall, at_least=at_least, matched=tuple(matches)), complete)
