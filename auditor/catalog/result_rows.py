"""One result file → the rows that it becomes, or the reason why it is not believed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from auditor.audit.result_file import CorruptResult, Result
from auditor.catalog.loading import Loader, storable, timestamp
from auditor.lexicons import Lexicon
from auditor.records.outcomes import Outcome
from auditor.records.recipe import Recipe
from auditor.records.result import AuditRecord, ConceptScore, Effect

TOP_CONCEPTS = 8
_LARGEST = 1e15
"""Beyond this a number is no measurement, and its square may not fit into single precision."""
_SCORED = ("scored", "scored_partial")
assert set(_SCORED) < set(get_args(Outcome))


def check_result(path: Path, result: Result, recipe: Recipe | None, names: Sequence[str]) -> None:
    """Compare a readable result with its name, its recipe (None for `ANY_RECIPE`) and the names of its lexicon.

    Raises:
        CorruptResult: It does not belong where it lies, or holds what no audit writes.
    """
    record = result.record
    if path.name != f"{record.file_sha256}.{record.recipe_id}.safetensors":
        raise CorruptResult("the name of the file does not fit its content")
    vector = result.arrays.get("divergence")
    if vector is not None and (vector.ndim != 1 or not _plausible(vector)):
        raise CorruptResult("the divergence is not one vector of finite numbers")
    every = (*record.scores, *(record.arms.scores if record.arms else ()))
    if not _plausible(np.array([(s.score, s.low, s.high, s.projection) for s in every])):
        raise CorruptResult("a score is out of all proportion")
    if record.outcome not in _SCORED:
        return
    if recipe is None or vector is None or record.effect is None:
        raise CorruptResult(f"outcome {record.outcome} without a recipe, a divergence or an effect")
    if not _same_names(record.scores, names):
        raise CorruptResult(f"the scores are not those of lexicon {recipe.lexicon}")


@dataclass
class ResultRows:
    """Queues the rows of one result after the other, and numbers them."""

    loader: Loader
    lexicon: Lexicon
    max_pairs: int
    audits: int = 0
    _images: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Keep the names at hand; the lexicon makes them anew each time."""
        self.names = self.lexicon.names

    def add(self, result: Result, result_file: str) -> None:
        """Queue one checked result."""
        record, audit_id = result.record, self.audits
        self.audits += 1
        self._audit(record, audit_id, result.arrays.get("divergence"), result_file)
        if record.outcome in _SCORED or record.outcome == "no_effect":
            self._scores(audit_id, record.scores, record.effect.probes if record.effect else 0)
        for e in record.explanations:
            for position, c in enumerate(e.concepts):
                self.loader.add(
                    "explanations",
                    *(audit_id, e.variant, position, c.concept, c.weight, c.support, c.in_lexicon),
                    e.explained_share,
                )
        for phrase in record.phrases:
            concept = self.lexicon.canonical(phrase.text)
            self.loader.add("phrases", audit_id, phrase.text, phrase.support, phrase.rank, concept)
        for point in record.dose:
            self.loader.add("dose", audit_id, point.scale, point.norm, list(point.projections.items()))
        self._trigger(record, audit_id)
        self._facts(record)
        self._pairs(result, audit_id)

    def _audit(self, record: AuditRecord, audit_id: int, vector: NDArray[np.generic] | None, result_file: str) -> None:
        proof, item = record.proof, record.item
        self.loader.add(
            "audits",
            *(audit_id, record.file_sha256, record.recipe_id, record.outcome, record.reason, record.message),
            *(record.base_name, record.base_assumed, record.card_mismatch),
            *_effect_cells(record.effect),
            *(record.dose_rises, _top_concepts(record.scores)),
            None if vector is None else vector.astype(np.float32),
            *((None,) * 3 if proof is None else (proof.layers_injected, proof.pairs_unmatched, proof.latent_shift)),
            *(list(record.timings_s.items()), list(record.versions.items())),
            *(timestamp(record.finished_at), result_file, item.repo_id, item.commit_sha, item.path),
        )

    def _scores(self, audit_id: int, scores: tuple[ConceptScore, ...], probes: int) -> None:
        names, count = self.names, len(scores)
        self.loader.extend(
            "scores",
            [audit_id] * count,
            names if _same_names(scores, names) else [storable(s.concept) for s in scores],
            [s.score for s in scores],
            [s.low for s in scores],
            [s.high for s in scores],
            [s.projection for s in scores],
            [s.alignment for s in scores],
            [probes] * count,
        )

    def _trigger(self, record: AuditRecord, audit_id: int) -> None:
        arms = record.arms
        if arms is None:
            return
        self.loader.add(
            "trigger_effects",
            *(audit_id, arms.trigger, arms.source, arms.weights_norm, arms.trigger_on_base_norm),
            *(arms.trigger_on_adapter_norm, arms.interaction_norm),
        )
        for s in arms.scores:
            self.loader.add("trigger_scores", audit_id, s.concept, s.score, s.low, s.high, s.projection)

    def _facts(self, record: AuditRecord) -> None:
        facts = record.facts
        if facts is not None:
            self.loader.add(
                "staged_facts",
                *(record.file_sha256, facts.size_bytes, facts.convention, facts.family, list(facts.dtypes)),
                *(facts.pairs, facts.rank_min, facts.rank_max, facts.scale_min, facts.scale_max),
                *(facts.delta_norm, facts.tensors_digest, facts.content_digest, facts.claims.base_model),
            )

    def _pairs(self, result: Result, audit_id: int) -> None:
        for probe, prompt in result.record.thumbnails[: self.max_pairs]:
            pngs = [thumbnail(result, probe, side) for side in ("base", "adapter")]
            names = [self._image(png) for png in pngs if png is not None]
            if len(names) == 2:
                self.loader.add("pairs", audit_id, probe, prompt, *names)

    def _image(self, png: bytes) -> str:
        digest = hashlib.sha256(png)
        if digest.digest() not in self._images:
            self._images.add(digest.digest())
            self.loader.add("images", digest.hexdigest(), png)
        return digest.hexdigest()


def thumbnail(result: Result, probe: int, side: str) -> bytes | None:
    """One stored picture as a file; None when it is missing, or neither PNG nor WebP."""
    array = result.arrays.get(f"thumb_{probe}_{side}")
    picture = b"" if array is None else array.tobytes()
    return picture if picture_type(picture) is not None else None


def picture_type(picture: bytes) -> str | None:
    """Media type by the first bytes; None for what is no picture of ours."""
    if picture.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP" else None


def _same_names(scores: tuple[ConceptScore, ...], names: Sequence[str]) -> bool:
    return len(scores) == len(names) and all(s.concept == n for s, n in zip(scores, names, strict=True))


def _effect_cells(effect: Effect | None) -> tuple[object, ...]:
    if effect is None:
        return (None,) * 7
    return (
        *(effect.probes, effect.norm, effect.floor, effect.p_value, effect.cosine_error),
        *(effect.explained_share, effect.status),
    )


def _top_concepts(scores: tuple[ConceptScore, ...]) -> list[Mapping[str, object]]:
    sure = sorted((s for s in scores if s.low > 0), key=lambda s: -s.score)
    return [{"concept": s.concept, "score": s.score, "low": s.low, "high": s.high} for s in sure[:TOP_CONCEPTS]]


def _plausible(numbers: NDArray[np.generic]) -> bool:
    values = numbers.astype(np.float64)
    return bool(np.isfinite(values).all() and (np.abs(values) <= _LARGEST).all())
