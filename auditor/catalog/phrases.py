"""Score phrases that are not in the lexicon: their f(C) from the text encoder, against every stored V."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from auditor.catalog.phrase_null import null_vectors
from auditor.catalog.reading import fetch
from auditor.encoding.encoder import Encoder
from auditor.errors import PrerequisiteMissing, UserError
from auditor.finexl.arrays import TINY, FloatArray, remove_span
from auditor.finexl.concepts import common_span, directions

_CHANCE = 0.05
_COMPARED = 20_000
"""V of this many adapters, chosen by their hashes, are compared with the null."""


@dataclass(frozen=True)
class TextSide:
    """What f(C) of a phrase depends on; recipes that share it share their phrase directions."""

    encoder: str
    probe_set: str
    probe_count: int
    template: str
    neutral_words: tuple[str, ...]
    remove_common: bool
    recipe_ids: tuple[str, ...]


def text_sides(connection: duckdb.DuckDBPyConnection) -> list[TextSide]:
    """The distinct text sides of the catalog's recipes that measured anything."""
    table = fetch(
        connection,
        "SELECT encoder, probe_set, probe_count, concept_template, neutral_words, solver, list(recipe_id "
        "ORDER BY recipe_id) FROM recipes WHERE recipe_id IN (SELECT recipe_id FROM audits) "
        "GROUP BY ALL ORDER BY ALL",
    )
    sides = []
    for encoder, probe_set, count, template, neutral, solver, recipe_ids in table.rows:
        assert isinstance(count, int) and isinstance(neutral, list) and isinstance(recipe_ids, list)
        common = json.loads(str(solver)).get("common", "mean") != "none"
        words, ids = tuple(map(str, neutral)), tuple(map(str, recipe_ids))
        sides.append(TextSide(str(encoder), str(probe_set), count, str(template), words, common, ids))
    return sides


def phrase_directions(
    connection: duckdb.DuckDBPyConnection, side: TextSide, phrases: Sequence[str], encoder: Encoder
) -> FloatArray:
    """f(C) of each phrase (k, D): mean over the stored probes of enc(t with C) - enc(t) (Eq. 6).

    The directions that any appended text adds are projected off, as from the shared basis: the stored ones, or
    the span of the neutral words when the catalog holds none.

    Raises:
        PrerequisiteMissing: The catalog was merged without its probe set.
        UserError: The encoder is another one, or a phrase has no direction of its own.
    """
    prompts = _prompts(connection, side, encoder)
    vectors = _own_directions(connection, side, _text_directions(prompts, phrases, side, encoder), encoder)
    for phrase, vector in zip(phrases, vectors, strict=True):
        if float(np.linalg.norm(vector)) <= TINY:
            raise UserError(f"the text encoder sees nothing in {phrase!r}; try other words")
    return vectors


def _prompts(connection: duckdb.DuckDBPyConnection, side: TextSide, encoder: Encoder) -> list[str]:
    """Of the stored probes."""
    if encoder.identity != side.encoder:
        raise UserError(
            f"the catalog was measured with text encoder {side.encoder}, the settings give {encoder.identity}; "
            "use the settings of the audit, or search for concepts of the lexicon"
        )
    rows = connection.execute(
        "SELECT prompt FROM probes WHERE probe_set = ? AND position < ? ORDER BY position",
        [side.probe_set, side.probe_count],
    ).fetchall()
    prompts = [str(row[0]) for row in rows]
    if not prompts:
        raise PrerequisiteMissing(
            f"the catalog does not hold probe set {side.probe_set}, which free phrases need; run `auditor merge`"
        )
    return prompts


def _own_directions(
    connection: duckdb.DuckDBPyConnection, side: TextSide, vectors: FloatArray, encoder: Encoder
) -> FloatArray:
    """Directions without what any appended text adds (k, D)."""
    if not side.remove_common:
        return vectors
    span = _stored_common(connection, side)
    if span is None:
        null = _text_directions(_prompts(connection, side, encoder), side.neutral_words, side, encoder)
        span = common_span(vectors, mode="null", null_vectors=null)
    return remove_span(vectors, span)


def stands_out(
    connection: duckdb.DuckDBPyConnection, side: TextSide, phrase: str, vector: FloatArray, encoder: Encoder
) -> bool:
    """Whether some adapter goes the way of a phrase more than any goes the way of random letters.

    The best cosine of any stored V with f(C) is compared with that of strings of random letters, of as many words
    (`phrase_null`). A chance of one in twenty is allowed. Short nonsense has short directions, so its scores are
    large; its cosines are not.

    Args:
        connection: Of the catalog.
        side: Whose adapters are compared.
        phrase: As typed.
        vector: Its f(C) (D,).
        encoder: The text encoder.
    """
    prompts = _prompts(connection, side, encoder)
    raw = null_vectors(
        phrase,
        (encoder.identity, side.template, prompts),
        lambda texts: _text_directions(prompts, texts, side, encoder),
    )
    null = _own_directions(connection, side, raw, encoder)
    if float(np.linalg.norm(null, axis=1).min()) <= TINY:
        # Random letters have no direction at all to this encoder, and the phrase has one.
        return True
    # as one column of numbers: rows of Python's own would take a second
    changes = connection.execute(
        "SELECT unnest(divergence) AS value FROM (SELECT divergence FROM audits WHERE divergence IS NOT NULL "
        "AND len(divergence) = ? AND list_contains(?::VARCHAR[], recipe_id) ORDER BY hash(file_sha256) LIMIT ?)",
        [len(vector), list(side.recipe_ids), _COMPARED],
    ).fetchnumpy()["value"]
    if not len(changes):
        return True
    rows = np.asarray(changes, dtype=np.float32).reshape(-1, len(vector))
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
    asked = np.vstack([vector, null])
    asked = asked / np.linalg.norm(asked, axis=1, keepdims=True)
    best = (asked.astype(np.float32) @ rows.T).max(axis=1)
    return bool((1 + np.sum(best[1:] >= best[0])) / (1 + len(null)) <= _CHANCE)


def join_phrase(template: str, prompt: str, phrase: str) -> str:
    """A prompt with a phrase, by the template of the recipe. Braces in either are text."""
    before, _, after = template.partition("{concept}")
    return before.replace("{prompt}", prompt) + phrase + after.replace("{prompt}", prompt)


def _text_directions(prompts: Sequence[str], phrases: Sequence[str], side: TextSide, encoder: Encoder) -> FloatArray:
    """f(C) of each phrase (k, D), whatever any text adds included."""
    plain = np.asarray(encoder.encode_texts(prompts), dtype=np.float64)
    if not phrases:
        return np.zeros((0, plain.shape[1]))
    texts = [join_phrase(side.template, prompt, phrase) for phrase in phrases for prompt in prompts]
    worded = np.asarray(encoder.encode_texts(texts)).reshape(len(phrases), len(prompts), -1)
    return directions(plain, worded).vectors


def _stored_common(connection: duckdb.DuckDBPyConnection, side: TextSide) -> FloatArray | None:
    rows = connection.execute(
        "SELECT direction FROM common_directions WHERE recipe_id = ? ORDER BY position", [side.recipe_ids[0]]
    ).fetchall()
    return np.asarray([row[0] for row in rows], dtype=np.float64) if rows else None
