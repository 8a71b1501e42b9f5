"""Answers: what was found, how surely, and the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import duckdb

from auditor.catalog.base_doubts import EVIDENCE, base_doubts
from auditor.catalog.evidence_sql import BANDS
from auditor.catalog.questions.question import Question
from auditor.catalog.reading import fetch
from auditor.catalog.strength import Strength, strength_for

Band = Literal["surely", "maybe", "near"]
_SIDE_EFFECTS = 3


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
    joint fit leaves a wanted concept nothing. `fit` is the cosine that ranks when several concepts are wanted, or that
    with the adapter asked about. `with_trigger`: the evidence is that of pictures drawn with the trigger.
    `side_effects` are the strongest other concepts whose intervals lie above 0. `base_doubts` say why the base may not
    be the one it was made for.
    """

    place: int
    band: Band
    repo_id: str
    path: str | None
    commit_sha: str
    score: float | None
    at_least: float | None
    fit: float | None
    matched: tuple[Match, ...]
    side_effects: tuple[str, ...]
    with_trigger: bool
    strength: Strength | None
    probes: int | None
    base: str | None
    license: str | None
    trigger: str | None
    outcome: str
    message: str
    flags: tuple[str, ...]
    copies: int
    audit_id: int | None
    base_doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchAnswer:
    """How the question was understood, what was found, and the SQL that found it (runs as it stands)."""

    understood: str
    question: Question
    hits: tuple[Hit, ...]
    sql: str
    notes: tuple[str, ...] = ()


def hits_of(
    connection: duckdb.DuckDBPyConnection, records: list[dict[str, object]], question: Question
) -> tuple[Hit, ...]:
    """Rows of the answer with what people need to judge them; looked up for these rows only."""
    return tuple(_hit(connection, record, question) for record in records)


def _hit(connection: duckdb.DuckDBPyConnection, record: dict[str, object], question: Question) -> Hit:
    (card,) = fetch(connection, "FROM lora_card WHERE adapter_id = ?", [record["adapter_id"]]).records()
    audit, with_trigger = record["audit_id"], bool(record["with_trigger"])
    table = "trigger_scores" if with_trigger else "scores"
    asked = [name.concept for wish in question.wishes for name in wish.names if name.concept is not None]
    shown = list(dict.fromkeys([*asked, *(concept for pair in question.more_than for concept in pair)]))
    rows = fetch(
        connection,
        f"SELECT concept, score, low, high, projection FROM {table} WHERE audit_id = ? AND "
        "(low > 0 OR list_contains(?::VARCHAR[], concept)) ORDER BY score DESC, concept",
        [audit, shown],
    ).records()
    by_name = {str(row["concept"]): row for row in rows}
    others = [name for name, row in by_name.items() if name not in shown and cast(float, row["low"]) > 0]
    dose = fetch(connection, "SELECT scale, norm, projections FROM dose WHERE audit_id = ?", [audit]).records()
    wanted = question.concepts("wanted") or others[:1]
    if not asked and not question.phrases:
        shown, others = others[:3], others[3:]
    evidence = fetch(connection, EVIDENCE, [audit]).records()
    fit = record["cosine"] if record["cosine"] is not None else record["fit"]
    return Hit(
        place=cast(int, record["place"]),
        band=cast(Band, BANDS[cast(int, record["band"])]),
        repo_id=str(card["repo_id"]),
        path=cast("str | None", card["path"]),
        commit_sha=str(card["commit_sha"]),
        score=cast("float | None", record["strength"]),
        at_least=cast("float | None", record["certain"]),
        fit=cast("float | None", fit),
        matched=tuple(_match(by_name[name]) for name in shown if name in by_name),
        side_effects=tuple(others[:_SIDE_EFFECTS]),
        with_trigger=with_trigger,
        strength=None if with_trigger else strength_for(wanted, dose),
        probes=cast("int | None", card["probes"]),
        base=cast("str | None", card["base"]),
        license=cast("str | None", card["license"]),
        trigger=cast("str | None", card["trigger"]),
        outcome=str(card["outcome"]),
        message=str(card["message"]),
        flags=tuple(cast(list[str], card["flags"])),
        copies=cast(int, card["copies"]),
        audit_id=cast("int | None", audit),
        base_doubts=tuple(text for row in evidence for text in base_doubts(row)),
    )


def _match(row: Mapping[str, object]) -> Match:
    score, low, high, projection = (cast(float, row[name]) for name in ("score", "low", "high", "projection"))
    return Match(str(row["concept"]), "concept", score, low, high, projection)
