"""Result files → the rows that they become, or the reason why they are not believed.

Nothing here touches the database, so that several processes can do it. Within a block results are numbered from 0;
whoever inserts it gives them their place in the catalog.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from auditor.catalog.bulk_insert import RowBuffer, timestamp
from auditor.lexicons import Lexicon
from auditor.records.outcomes import Outcome
from auditor.records.recipe import Recipe
from auditor.records.result import AuditRecord, Effect
from auditor.results.result_file import SCORE_COLUMNS, Arrays, CorruptResult, PackedResult, ScoreTable

TOP_CONCEPTS = 8
ROW_TABLES = (
    *(
        "audits",
        "audit_evidence",
        "result_files",
        "file_facts",
        "explanations",
        "phrases",
        "dose",
        "trigger_effects",
        "subject_effects",
        "pairs",
    ),
    "images",
)
"""Tables that a result has rows in, besides the scores."""
SCORE_TABLES = ("scores", "trigger_scores")
ROWS_VERSION = 4
"""Raised whenever the same result becomes other rows; a merge then reads every result again."""

_LARGEST = 1e15
"""Beyond this a number is no measurement, and its square may not fit into single precision."""
_SCORED = ("scored", "scored_partial")
assert set(_SCORED) < set(get_args(Outcome))


@dataclass(frozen=True)
class FileState:
    """A result file as it was found: unchanged as long as size and time of change are.

    Attributes:
        name: Path relative to the results folder.
        size_bytes: Size.
        mtime_ns: Time of the last change, nanoseconds since 1970.
    """

    name: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, eq=False)
class ScoreBlock:
    """Scores of m results on k concepts.

    Attributes:
        results: Their numbers (m,).
        probes: Image pairs behind each (m,).
        values: (m, k, 9) float32, columns as in `ScoreTable`.
    """

    results: NDArray[np.int32]
    probes: NDArray[np.int32]
    values: NDArray[np.float32]


def check_result(name: str, result: PackedResult, recipe: Recipe | None, names: Sequence[str]) -> None:
    """Compare a readable result with its name, its recipe (None for `ANY_RECIPE`) and the names of its lexicon.

    Raises:
        CorruptResult: It does not belong where it lies, or holds what no audit writes.
    """
    record = result.record
    if Path(name).name != f"{record.file_sha256}.{record.recipe_id}.safetensors":
        raise CorruptResult("the name of the file does not fit its content")
    vector = result.arrays.get("divergence")
    if vector is not None and (vector.ndim != 1 or not _plausible(vector)):
        raise CorruptResult("the divergence is not one vector of finite numbers")
    for table in (result.scores, result.trigger_scores):
        if table is not None:
            _check_scores(table, recipe, names)
    if record.outcome in _SCORED:
        if recipe is None or vector is None or record.effect is None:
            raise CorruptResult(f"outcome {record.outcome} without a recipe, a divergence or an effect")
        if result.scores is None:
            raise CorruptResult(f"outcome {record.outcome} without scores")


def _check_scores(table: ScoreTable, recipe: Recipe | None, names: Sequence[str]) -> None:
    if recipe is None:
        raise CorruptResult("scores without a recipe")
    if table.names != tuple(names):
        raise CorruptResult(f"the scores are not those of lexicon {recipe.lexicon}")
    optional = table.values[:, 4:]
    if not _plausible(table.values[:, :4]) or not _plausible(optional[~np.isnan(optional)]):
        raise CorruptResult("a score is out of all proportion")


class ResultRows:
    """Collects the rows of one block of results."""

    def __init__(self, schemas: Mapping[str, pa.Schema], lexicon: Lexicon, max_pairs: int) -> None:
        self.lexicon = lexicon
        # The lexicon makes them anew each time.
        self.names = lexicon.names
        self.count = 0
        self._rows = RowBuffer(schemas)
        self._max_pairs = max_pairs
        self._images: set[bytes] = set()
        self._scores: dict[str, list[tuple[int, int, NDArray[np.float32]]]] = {}

    def add(self, result: PackedResult, file: FileState) -> None:
        """Queue one checked result."""
        record, number = result.record, self.count
        self.count += 1
        self._audit(result, number, file.name)
        self._rows.add("result_files", number, file.name, file.size_bytes, file.mtime_ns)
        probes = record.effect.probes if record.effect else 0
        for table, scores in zip(SCORE_TABLES, (result.scores, result.trigger_scores), strict=True):
            if scores is not None:
                self._scores.setdefault(table, []).append((number, probes, scores.values.astype(np.float32)))
        self._words(record, number)
        for point in record.dose:
            self._rows.add("dose", number, point.scale, point.norm, list(point.projections.items()))
        if record.arms is not None:
            a = record.arms
            self._rows.add(
                "trigger_effects",
                *(number, a.trigger, a.source, a.weights_norm, a.trigger_on_base_norm),
                *(a.trigger_on_adapter_norm, a.interaction_norm),
            )
            if (s := a.subject) is not None:
                self._rows.add(
                    "subject_effects",
                    *(number, s.token, s.noun, s.contexts, s.probes, s.norm, a.weights_norm, s.p_value, s.floor),
                )
        self._rows.add(
            "audit_evidence",
            *(number, record.format, record.family, record.claimed_base, record.base_distance),
            list(record.contradictions),
        )
        self._facts(record, number)
        self._pairs(result, number)

    def take(self) -> tuple[dict[str, pa.Table], dict[str, ScoreBlock]]:
        """Everything queued: rows by table, and scores by table."""
        blocks = {
            name: ScoreBlock(
                np.array([number for number, _, _ in parts], dtype=np.int32),
                np.array([probes for _, probes, _ in parts], dtype=np.int32),
                np.stack([values for _, _, values in parts]),
            )
            for name, parts in self._scores.items()
        }
        self._scores.clear()
        self.count = 0
        return self._rows.take(), blocks

    def _audit(self, result: PackedResult, number: int, result_file: str) -> None:
        record, vector = result.record, result.arrays.get("divergence")
        proof, item = record.proof, record.item
        self._rows.add(
            "audits",
            *(number, record.file_sha256, record.recipe_id, record.outcome, record.reason, record.message),
            *(record.base_name, record.base_assumed, record.card_mismatch),
            *_effect_cells(record.effect),
            *(record.dose_rises, record.proposals, _top_concepts(result.scores)),
            None if vector is None else vector.astype(np.float32),
            *((None,) * 3 if proof is None else (proof.layers_injected, proof.pairs_unmatched, proof.latent_shift)),
            *(list(record.timings_s.items()), list(record.versions.items())),
            *(timestamp(record.finished_at), result_file, item.repo_id, item.commit_sha, item.path),
            None if record.effect is None else record.effect.named_share,
        )

    def _words(self, record: AuditRecord, number: int) -> None:
        for e in record.explanations:
            for position, c in enumerate(e.concepts):
                self._rows.add(
                    "explanations",
                    *(number, e.variant, position, c.concept, c.weight, c.support, c.in_lexicon, e.explained_share),
                )
        for phrase in record.phrases:
            concept = self.lexicon.canonical(phrase.text)
            self._rows.add("phrases", number, phrase.text, phrase.support, phrase.rank, concept)

    def _facts(self, record: AuditRecord, number: int) -> None:
        facts = record.facts
        if facts is not None:
            self._rows.add(
                "file_facts",
                *(number, facts.size_bytes, facts.convention, facts.family, list(facts.dtypes)),
                *(facts.pairs, facts.rank_min, facts.rank_max, facts.scale_min, facts.scale_max),
                *(facts.delta_norm, facts.tensors_digest, facts.content_digest, facts.claims.base_model),
            )

    def _pairs(self, result: PackedResult, number: int) -> None:
        for probe, prompt in result.record.thumbnails[: self._max_pairs]:
            pictures = [thumbnail(result.arrays, probe, side) for side in ("base", "adapter")]
            names = [self._image(picture) for picture in pictures if picture is not None]
            if len(names) == 2:
                self._rows.add("pairs", number, probe, prompt, *names)

    def _image(self, picture: bytes) -> str:
        digest = hashlib.sha256(picture)
        if digest.digest() not in self._images:
            self._images.add(digest.digest())
            self._rows.add("images", digest.hexdigest(), picture)
        return digest.hexdigest()


def thumbnail(arrays: Arrays, probe: int, side: str) -> bytes | None:
    """One stored picture as a file; None when it is missing, or neither PNG nor WebP."""
    array = arrays.get(f"thumb_{probe}_{side}")
    picture = b"" if array is None else array.tobytes()
    return picture if picture_type(picture) is not None else None


def picture_type(picture: bytes) -> str | None:
    """Media type by the first bytes; None for what is no picture of ours."""
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP" else None


def _effect_cells(effect: Effect | None) -> tuple[object, ...]:
    if effect is None:
        return (None,) * 7
    return (
        *(effect.probes, effect.norm, effect.floor, effect.p_value, effect.cosine_error),
        *(effect.explained_share, effect.status),
    )


def _top_concepts(scores: ScoreTable | None) -> list[Mapping[str, object]]:
    """The concept that names it and those that are surely there, in the order of naming; then by score, by lexicon."""
    if scores is None:
        return []
    score, low, high = scores.values[:, 0], scores.values[:, 1], scores.values[:, 2]
    place = scores.values[:, SCORE_COLUMNS.index("place")]
    listed = np.flatnonzero((low > 0) | (place == 1))
    last = np.where(np.isnan(place), np.inf, place)[listed]
    best = listed[np.lexsort((-score[listed], last))[:TOP_CONCEPTS]]
    return [
        {"concept": scores.names[i], "score": float(score[i]), "low": float(low[i]), "high": float(high[i])}
        for i in best
    ]


def _plausible(numbers: NDArray[np.generic]) -> bool:
    values = numbers.astype(np.float64, copy=False)
    return bool(np.isfinite(values).all() and (np.abs(values) <= _LARGEST).all())
