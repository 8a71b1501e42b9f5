"""Answers: what was found, how surely, and the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import duckdb

from auditor.catalog.base_doubts import EVIDENCE, base_doubts
from auditor.catalog.cluster_words import ClusterWords
from auditor.catalog.evidence_sql import BANDS
from auditor.catalog.questions.question import Question
from auditor.catalog.reading import fetch
from auditor.catalog.sql_texts import PRESENT, literal
from auditor.catalog.strength import Strength, measured_with_word, strength_for

Band = Literal["surely", "maybe", "near"]
_SIDE_EFFECTS = 3


@dataclass(frozen=True)
class Match:
    """Why an adapter was found.

    `low` and `high` are None where the single differences were not at hand. `found_as` is the concept whose numbers
    these are, when it is another one that the adapter's recipe cannot tell from the term.
    """

    term: str
    kind: Literal["concept", "phrase"]
    score: float
    low: float | None
    high: float | None
    projection: float
    found_as: str | None = None


@dataclass(frozen=True)
class Hit:
    """One adapter.

    `score` is the geometric mean over what was wanted, `at_least` the same of the lower ends; either is 0 when the
    joint fit leaves a wanted concept nothing. `fit` is the cosine that ranks when several concepts are wanted, or that
    with the adapter asked about. `with_trigger`: the evidence is that of pictures drawn with the trigger.
    `side_effects` are other concepts whose intervals lie above 0, in the order of naming. `base_doubts` say why the
    base may not be the one it was made for.
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
    connection: duckdb.DuckDBPyConnection,
    records: list[dict[str, object]],
    question: Question,
    words: ClusterWords | None = None,
) -> tuple[Hit, ...]:
    """Rows of the answer with what people need to judge them; looked up for these rows only, all at once."""
    if not records:
        return ()
    found = _Details(connection, records, question, words or ClusterWords())
    return tuple(_hit(record, question, found) for record in records)


class _Details:
    """What is known of the adapters of an answer, by adapter or by audit."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        records: Sequence[Mapping[str, object]],
        question: Question,
        words: ClusterWords,
    ) -> None:
        self.words = words
        self.asked, self.replaceable = question.asked, question.replaceable
        adapters = ", ".join(str(cast(int, record["adapter_id"])) for record in records)
        audits = ", ".join(str(cast(int, r["audit_id"])) for r in records if r["audit_id"] is not None) or "NULL"
        here = f"audit_id IN ({audits})"
        cards = fetch(connection, f"FROM lora_card WHERE adapter_id IN ({adapters})").records()
        self.cards = {row["adapter_id"]: row for row in cards}
        names = (
            ", ".join(map(literal, [*self.asked, *(n for c in self.replaceable for n in words.recipes_of(c))]))
            or "NULL"
        )
        columns = "audit_id, concept, score, low, high, projection"
        self.scores = _by_audit(
            connection,
            # A catalog made before there was an order of naming has no places.
            f"SELECT {columns}, arm FROM (SELECT *, false AS arm FROM scores UNION ALL BY NAME "
            "SELECT *, true AS arm FROM trigger_scores UNION ALL BY NAME SELECT NULL AS place WHERE false) "
            f"WHERE {here} AND (low > 0 OR concept IN ({names})) ORDER BY place NULLS LAST, score DESC, concept",
        )
        self.dose = _by_audit(connection, f"SELECT audit_id, scale, norm, projections FROM dose WHERE {here}")
        self.evidence = _by_audit(connection, EVIDENCE.replace("audit_id = ?", here))

    def matched(self, recipe_id: object, rows: Mapping[str, Mapping[str, object]]) -> list[Match]:
        """The concepts of the question, by themselves or by what the recipe cannot tell from them."""
        matches = []
        for concept in self.asked:
            own = rows.get(concept)
            others = [rows[name] for name in self.words.of(recipe_id, concept) if name in rows]
            if concept in self.replaceable and others and (own is None or _level(own) < PRESENT):
                own = max(others, key=lambda row: (row["low"], _level(row)))
            if own is not None:
                matches.append(_match(concept, own))
        return matches


def _by_audit(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[object, list[dict[str, object]]]:
    found: dict[object, list[dict[str, object]]] = {}
    for row in fetch(connection, sql).records():
        found.setdefault(row["audit_id"], []).append(row)
    return found


def _level(row: Mapping[str, object]) -> float:
    return max(cast(float, row["score"]), cast(float, row["projection"]))


def _hit(record: dict[str, object], question: Question, found: _Details) -> Hit:
    card, audit, with_trigger = found.cards[record["adapter_id"]], record["audit_id"], bool(record["with_trigger"])
    recipe = card["recipe_id"]
    by_name = {str(r["concept"]): r for r in found.scores.get(audit, []) if r["arm"] == with_trigger}
    matched = found.matched(recipe, by_name)
    shown = {name for match in matched for name in (match.term, match.found_as)}
    others = [name for name, row in by_name.items() if name not in shown and cast(float, row["low"]) > 0]
    dose = found.dose.get(audit, [])
    lows = ([cast(float, r["low"]) for r in found.scores.get(audit, []) if r["arm"] == arm] for arm in (False, True))
    wanted = question.concepts("wanted") or others[:1]
    if not found.asked and not question.phrases:
        matched = [_match(name, by_name[name]) for name in others[:3]]
        others = others[3:]
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
        matched=tuple(matched),
        side_effects=tuple(others[:_SIDE_EFFECTS]),
        with_trigger=with_trigger,
        strength=strength_for(wanted, dose) if with_trigger == measured_with_word(*lows) else None,
        probes=cast("int | None", card["probes"]),
        base=cast("str | None", card["base"]),
        license=cast("str | None", card["license"]),
        trigger=cast("str | None", card["trigger"]),
        outcome=str(card["outcome"]),
        message=str(card["message"]),
        flags=tuple(cast(list[str], card["flags"])),
        copies=cast(int, card["copies"]),
        audit_id=cast("int | None", audit),
        base_doubts=tuple(text for row in found.evidence.get(audit, []) for text in base_doubts(row)),
    )


def _match(term: str, row: Mapping[str, object]) -> Match:
    score, low, high, projection = (cast(float, row[name]) for name in ("score", "low", "high", "projection"))
    name = str(row["concept"])
    return Match(term, "concept", score, low, high, projection, None if name == term else name)
