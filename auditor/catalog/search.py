"""Search: a question in words, its SQL, and answers with the evidence for each.

Concepts are answered by the shared basis alone. Other words are compared through the text encoder with every stored
V, once they have shown that they mean more to it than random letters do (`phrases`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import duckdb

from auditor.catalog.answers import SearchAnswer, hits_of
from auditor.catalog.catalog_words import catalog_words
from auditor.catalog.cluster_words import ClusterWords, cluster_words
from auditor.catalog.evidence_sql import question_sql
from auditor.catalog.questions.grammar import load_grammar
from auditor.catalog.questions.question import Question
from auditor.catalog.questions.question_filters import option_filters
from auditor.catalog.questions.question_reader import read_question
from auditor.catalog.questions.question_wording import remarks, understood
from auditor.catalog.reading import fetch, reading_catalog
from auditor.catalog.sql_texts import literal
from auditor.errors import UserError

if TYPE_CHECKING:
    from auditor.catalog.phrase_search import Differences, EncoderFactory


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
    """Answer a question in words.

    Args:
        database: The catalog.
        text: Such as "most vibrant watercolor LoRA", "least blurry", "vibrant but not dark, for sdxl".
        k: Most hits, unless the question says how many.
        base: Name or family of the base model.
        license: Licence as on the card.
        encoder: Makes the text encoder; called only for words that are not in the lexicon.
        differences: Reads the single differences of a result file, for intervals of free phrases.

    Raises:
        UserError: The question says nothing, contradicts itself, asks for a base or licence that is not there, or
            holds words that mean nothing here.
    """
    with reading_catalog(database) as connection:
        words = catalog_words(connection)
        question = read_question(text, words)
        extra = option_filters(base, license, words, load_grammar())
        question = replace(question, filters={**question.filters, **extra})
        k = question.limit or k
        clusters = cluster_words(connection)
        if question.repo is not None:
            return _named(connection, question, k, clusters)
        toward, question = _toward(connection, question)
        _refuse_mixed(question)
        if question.phrases:
            from auditor.catalog.phrase_search import PhraseSearch  # the maths, which concepts do not need

            return PhraseSearch(connection, question, encoder, differences, toward, words, clusters).answer(k)
        wanted = question.replaceable
        sql = question_sql(question, k, toward=toward, alike={name: clusters.recipes_of(name) for name in wanted})
        hits = hits_of(connection, fetch(connection, sql).records(), question, clusters)
        notes = (*clusters.notes(wanted), *remarks(question))
        return SearchAnswer(understood(question), question, hits, sql, notes)


def _refuse_mixed(question: Question) -> None:
    """Refuse "dark or pine wood": a score of a concept and one of a free phrase are no alternatives."""
    for wish in question.wishes:
        free = [name.text for name in wish.names if name.concept is None]
        if free and len(wish.names) > 1:
            raise UserError(
                f'{free[0]!r} is no concept of the lexicon, and cannot stand beside an "or"; ask for it alone'
            )


def _named(connection: duckdb.DuckDBPyConnection, question: Question, k: int, clusters: ClusterWords) -> SearchAnswer:
    """The adapters of a repo, or of those whose name holds the text."""
    name = literal(cast(str, question.repo).lower())
    sql = (
        f"SELECT row_number() OVER (ORDER BY lower(repo_id) <> {name}, downloads DESC, repo_id, path) AS place, "
        "adapter_id, repo_id, path, commit_sha, audit_id, 0 AS band, false AS with_trigger, NULL AS fit, "
        f"NULL AS certain, NULL AS strength, NULL AS cosine FROM adapters WHERE contains(lower(repo_id), {name}) "
        f"ORDER BY place LIMIT {k};"
    )
    records = fetch(connection, sql).records()
    if not records:
        near = fetch(
            connection,
            "SELECT repo_id FROM (SELECT DISTINCT repo_id FROM adapters) "
            f"ORDER BY jaro_winkler_similarity(lower(repo_id), {name}) DESC, repo_id LIMIT 3",
        )
        names = ", ".join(str(row[0]) for row in near.rows)
        raise UserError(f"the catalog has no repo {question.repo!r}; near names: {names or 'none'}")
    return SearchAnswer(understood(question), question, hits_of(connection, records, question, clusters), sql)


def _toward(connection: duckdb.DuckDBPyConnection, question: Question) -> tuple[list[float] | None, Question]:
    """V of the adapter that `like` names, moved by its own length along each wanted concept, away from each unwanted.

    A little more is half its length, much more twice.

    Raises:
        UserError: There is no such scored adapter.
    """
    if question.like is None:
        return None, question
    import numpy as np

    row = connection.execute(
        "SELECT u.divergence, u.recipe_id, a.repo_id FROM adapters a JOIN audits u ON u.audit_id = a.audit_id "
        "WHERE contains(lower(a.repo_id), $name) AND u.divergence IS NOT NULL "
        "AND (lower(a.repo_id) = $name OR NOT contains($name, '/')) "
        "ORDER BY lower(a.repo_id) <> $name, a.downloads DESC, a.repo_id, a.path LIMIT 1",
        {"name": question.like.lower()},
    ).fetchone()
    if row is None:
        raise UserError(f"there is no scored adapter {question.like!r} to be like; see `auditor show {question.like}`")
    start = np.asarray(row[0], dtype=np.float64)
    moved = start.copy()
    steps = load_grammar().steps
    for wish in question.wishes:
        step = steps.get(wish.amount.typed, 1.0) if wish.amount is not None else 1.0
        for name in wish.names if wish.moves else ():
            found = connection.execute(
                "SELECT vector FROM concept_vectors WHERE recipe_id = ? AND concept = ?", [row[1], name.concept]
            ).fetchone()
            if found is None:
                raise UserError(f"{name.text!r} is no concept of this catalog; `like` can be moved along concepts only")
            along = np.asarray(found[0], dtype=np.float64)
            step = step if wish.role == "wanted" else -1.0
            moved += step * np.linalg.norm(start) * along / np.linalg.norm(along)
    return [float(value) for value in moved], replace(question, like=str(row[2]))
