"""Questions with words that are no concepts: candidates by SQL, then intervals from single differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import duckdb
import numpy as np
from numpy.typing import NDArray

from auditor.catalog.answers import Band, Match, SearchAnswer, hits_of
from auditor.catalog.cluster_words import ClusterWords
from auditor.catalog.evidence_sql import BANDS, question_sql
from auditor.catalog.phrases import TextSide, phrase_directions, stands_out, text_sides
from auditor.catalog.questions.question import CatalogWords, Question, Wish
from auditor.catalog.questions.question_reader import concept_names
from auditor.catalog.questions.question_wording import remarks, understood
from auditor.catalog.reading import fetch
from auditor.encoding.encoder import Encoder
from auditor.errors import UserError
from auditor.finexl.arrays import FloatArray
from auditor.finexl.shared_basis import score_phrase

EncoderFactory = Callable[[], Encoder]
Differences = Callable[[str], NDArray[np.generic] | None]
"""Result file, relative to the results folder → d_i (n, D), or None when it is not at hand."""

_REFINED = 100
"""Free phrases: this many adapters, best score first, get intervals from their single differences."""


@dataclass(frozen=True)
class _Refined:
    """A row of the query with what its single differences tell."""

    record: dict[str, object]
    phrases: tuple[Match, ...]
    band: Band
    at_least: float | None
    score: float | None
    usable: bool


class PhraseSearch:
    """A question with words that are no concepts: candidates by SQL, then intervals from single differences."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        question: Question,
        encoder: EncoderFactory | None,
        differences: Differences | None,
        toward: list[float] | None,
        words: CatalogWords,
        clusters: ClusterWords,
    ) -> None:
        self.clusters = clusters
        self.connection, self.question, self.differences, self.toward = connection, question, differences, toward
        self.texts = [wish.names[0].text for wish in question.phrases]
        self.refusals = tuple(_no_concept(text, words) for text in self.texts)
        self.notes = (*self.refusals, *clusters.notes(question.replaceable), *remarks(question))
        if encoder is None:
            raise UserError(f"{'; '.join(self.refusals)}. Free phrases need the text encoder: see `auditor doctor`")
        self.encoder = encoder()

    def answer(self, k: int) -> SearchAnswer:
        sides = text_sides(self.connection)
        fitting = [side for side in sides if side.encoder == self.encoder.identity] or sides
        if not fitting:
            notes = (*self.notes, "the catalog holds no audit yet")
            return SearchAnswer(understood(self.question), self.question, (), "", notes)
        side, notes = fitting[0], self.notes
        if len(sides) > 1:
            notes += (f"of {len(sides)} ways of asking in this catalog, one was searched: {side.probe_set}",)
        vectors = self._directions(side)
        sql = question_sql(
            self.question,
            max(_REFINED, k),
            phrases=[list(map(float, v)) for v in vectors],
            toward=self.toward,
            alike={name: self.clusters.recipes_of(name) for name in self.question.replaceable},
        )
        records = fetch(self.connection, sql).records()
        # What a hit says of concepts is looked up before the order is known only where it decides the order.
        early = hits_of(self.connection, records, self.question, self.clusters) if self.question.asked else ()
        files = self._result_files(records)
        found = [
            self._refined(record, early[place].matched if early else (), files.get(record["audit_id"]), vectors)
            for place, record in enumerate(records)
        ]
        if not all(item.usable for item in found):
            notes += ("some result files are not at hand: no intervals for the free words, ranked by score",)
        elif not self.question.of("least") and self.question.order == "best":
            found.sort(key=lambda item: (BANDS.index(item.band), -(item.at_least or 0), -(item.score or 0)))
        found = found[:k]
        hits = hits_of(self.connection, [item.record for item in found], self.question, self.clusters)
        shown = tuple(
            replace(hit, place=place, band=item.band, at_least=item.at_least, matched=(*hit.matched, *item.phrases))
            for place, (hit, item) in enumerate(zip(hits, found, strict=True), 1)
        )
        return SearchAnswer(understood(self.question), self.question, shown, sql, notes)

    def _result_files(self, records: Sequence[Mapping[str, object]]) -> dict[object, str]:
        audits = [record["audit_id"] for record in records]
        rows = self.connection.execute(
            "SELECT audit_id, result_file FROM audits WHERE list_contains(?::INTEGER[], audit_id)", [audits]
        ).fetchall()
        return {audit: str(file) for audit, file in rows}

    def _directions(self, side: TextSide) -> FloatArray:
        """f(C) of the phrases.

        Raises:
            UserError: One means no more to the encoder than random letters do.
        """
        vectors = phrase_directions(self.connection, side, self.texts, self.encoder)
        for text, vector, note in zip(self.texts, vectors, self.refusals, strict=True):
            if not stands_out(self.connection, side, text, vector, self.encoder):
                raise UserError(f"{note}, and to the text encoder it means no more than random letters do")
        return vectors

    def _refined(
        self, record: dict[str, object], matched: Sequence[Match], file: str | None, vectors: FloatArray
    ) -> _Refined:
        """A row with intervals of its phrases, where its single differences are at hand."""
        rows = self.differences(file) if self.differences is not None and file is not None else None
        usable = rows is not None and rows.ndim == 2 and rows.shape[1] == vectors.shape[1]
        phrases = list[Match]()
        lows = [max(m.low or 0.0, 0.0) for m in matched if m.term in self.question.concepts("wanted")]
        for index, (wish, vector) in enumerate(zip(self.question.phrases, vectors, strict=True)):
            value, low, high = cast(float, record[f"phrase_{index}"]), None, None
            if usable and rows is not None:
                interval = score_phrase(rows.astype(np.float64), vector)
                low, high = min(interval.low, value), max(interval.high, value)
                lows += [max(low, 0.0)] if wish.role == "wanted" else []
            phrases.append(Match(wish.names[0].text, "phrase", value, low, high, value))
        at_least = math.prod(lows) ** (1.0 / len(lows)) if usable and lows else None
        band = cast(Band, BANDS[cast(int, record["band"])])
        band = self._band(band, [*matched, *phrases]) if usable else band
        return _Refined(record, tuple(phrases), band, at_least, cast("float | None", record["strength"]), usable)

    def _band(self, band: Band, matches: Sequence[Match]) -> Band:
        """A "maybe" becomes "surely" when the intervals of its phrases too lie above 0."""
        wanted = {wish.names[0].concept or wish.names[0].text for wish in self.question.of("wanted") if _single(wish)}
        lows = [None if match.found_as else match.low for match in matches if match.term in wanted]
        sure = band == "maybe" and lows and all(low is not None and low > 0 for low in lows)
        return "surely" if sure else band


def _single(wish: Wish) -> bool:
    return len(wish.names) == 1


def _no_concept(text: str, words: CatalogWords) -> str:
    near = concept_names(words, text)
    return f"no concept of the lexicon is called {text!r}; nearest: {', '.join(near) or 'none'}"
