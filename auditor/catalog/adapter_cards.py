"""What is known of one repo, for `auditor show` and for pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb

from auditor.catalog.base_doubts import EVIDENCE, base_doubts
from auditor.catalog.cluster_words import Interval, cluster_words
from auditor.catalog.questions.question_names import ADDRESS
from auditor.catalog.reading import fetch, reading_catalog
from auditor.errors import UserError

Record = dict[str, object]


@dataclass(frozen=True)
class Card:
    """One listed adapter: its row of `lora_card`, and everything measured that a person may ask for next.

    Rows of `scores` and `explanations` have, as `alike`, the cluster of their concept, its name first: words that the
    recipe cannot tell apart. It is empty where the concept stands alone.
    """

    card: Record
    scores: tuple[Record, ...]
    explanations: tuple[Record, ...]
    phrases: tuple[Record, ...]
    trigger: Record | None
    subject: Record | None
    dose: tuple[Record, ...]
    copies_in: tuple[str, ...]
    """Other repos with the same bytes."""
    trigger_scores: tuple[Record, ...] = ()
    """Scores of pictures drawn with its trigger, as `scores`."""
    base_doubts: tuple[str, ...] = ()
    """Why the base may not be the one it was made for."""


# Chosen by name, so that a catalog made before there was an order of naming is read all the same.
_SCORES = (
    "SELECT COLUMNS(lambda name: name IN ('concept', 'score', 'low', 'high', 'projection', 'alignment', 'probes', "
    "'place')) FROM {} WHERE audit_id = ? ORDER BY score DESC, concept"
)
_DETAILS = {
    "scores": _SCORES.format("scores"),
    "trigger_scores": _SCORES.format("trigger_scores"),
    "explanations": "SELECT variant, concept, weight, support, in_lexicon, explained_share FROM explanations "
    "WHERE audit_id = ? ORDER BY variant DESC, position",
    "phrases": "SELECT phrase, support, concept FROM phrases WHERE audit_id = ? "
    "ORDER BY support DESC, mean_rank, phrase",
    "dose": "SELECT scale, norm, projections FROM dose WHERE audit_id = ? ORDER BY scale",
    "trigger": "SELECT * EXCLUDE (audit_id) FROM trigger_effects WHERE audit_id = ?",
    "subject": "SELECT * EXCLUDE (audit_id) FROM subject_effects WHERE audit_id = ?",
    "evidence": EVIDENCE,
}


def _detail(connection: duckdb.DuckDBPyConnection, sql: str, audit_id: object) -> list[Record]:
    """Rows of one detail; none where the catalog was made before there was such a table."""
    try:
        return fetch(connection, sql, [audit_id]).records()
    except duckdb.CatalogException:
        return []


def _place(row: Record) -> float:
    """In the order of naming; those without a place come after all others, as they were."""
    return cast("int | None", row.get("place")) or float("inf")


def _interval(row: Record) -> Interval:
    score, low, high = (cast(float, row[name]) for name in ("score", "low", "high"))
    return score, low, high


def _repo_called(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    """The repo that a text names; the text itself where none does."""
    address = ADDRESS.match(text.strip())
    name = address.group(1) if address else text.strip()
    table = fetch(
        connection,
        "SELECT DISTINCT repo_id, lower(repo_id) = lower(?) AS exact FROM adapters "
        "WHERE contains(lower(repo_id), lower(?)) ORDER BY NOT exact, repo_id LIMIT 6",
        [name, name],
    )
    found = [str(repo_id) for repo_id, _ in table.rows]
    if not name or not found or table.rows[0][1]:
        return name
    if len(found) > 1:
        rest = " and more" if len(found) > 5 else ""
        raise UserError(f"several repos have {name!r} in their name: {', '.join(found[:5])}{rest}; name one")
    return found[0]


def read_cards(database: Path, repo: str, path: str | None = None) -> list[Card]:
    """Every listed unit of a repo, or the one at `path`.

    Args:
        database: The catalog.
        repo: `owner/name`, its address, or a part of its name that no other repo has.
        path: One file of it.

    Raises:
        UserError: The catalog has no such repo or file, or several; the message names them or near ones.
    """
    with reading_catalog(database) as connection:
        repo_id = _repo_called(connection, repo)
        table = fetch(
            connection,
            "SELECT * FROM lora_card WHERE lower(repo_id) = lower(?) AND (?::VARCHAR IS NULL OR path = ?) "
            "ORDER BY path NULLS FIRST",
            [repo_id, path, path],
        )
        if not table.rows:
            near = fetch(
                connection,
                "SELECT repo_id FROM (SELECT DISTINCT repo_id FROM adapters) "
                "ORDER BY jaro_winkler_similarity(lower(repo_id), lower(?)) DESC, repo_id LIMIT 3",
                [repo_id],
            )
            names = ", ".join(str(row[0]) for row in near.rows)
            what = f"repo {repo_id!r}" if path is None else f"file {path!r} in {repo_id!r}"
            raise UserError(f"the catalog has no {what}" + (f"; near names: {names}" if names else ""))
        words = cluster_words(connection)
        cards = []
        for card in table.records():
            details = {name: _detail(connection, sql, card["audit_id"]) for name, sql in _DETAILS.items()}
            intervals = {str(row["concept"]): _interval(row) for row in details["scores"]}
            with_word = {str(row["concept"]): _interval(row) for row in details["trigger_scores"]}
            for rows, among in (("scores", intervals), ("explanations", intervals), ("trigger_scores", with_word)):
                for row in details[rows]:
                    row["alike"] = list(words.named(card["recipe_id"], str(row["concept"]), among))
            for rows in ("scores", "trigger_scores"):
                shown = [row for row in details[rows] if _interval(row)[0] > 0 or _interval(row)[1] > 0]
                details[rows] = sorted(shown, key=_place)
            copies = fetch(
                connection,
                "SELECT DISTINCT repo_id FROM adapters WHERE repo_id <> ? AND weights IN "
                "(SELECT weights FROM adapters WHERE file_sha256 = ?) ORDER BY repo_id",
                [card["repo_id"], card["file_sha256"]],
            )
            cards.append(
                Card(
                    card=card,
                    scores=tuple(details["scores"]),
                    trigger_scores=tuple(details["trigger_scores"]),
                    explanations=tuple(details["explanations"]),
                    phrases=tuple(details["phrases"]),
                    trigger=details["trigger"][0] if details["trigger"] else None,
                    subject=details["subject"][0] if details["subject"] else None,
                    dose=tuple(details["dose"]),
                    copies_in=tuple(str(row[0]) for row in copies.rows),
                    base_doubts=tuple(text for row in details["evidence"] for text in base_doubts(row)),
                )
            )
        return cards
