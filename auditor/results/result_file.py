"""Result files: one per (file sha256, recipe), a safetensors file with the record as JSON in its header.

Written under a unique temporary name, fsynced and renamed, so that a reader sees a whole file or none. Any number
of workers may write the same result: contents are equal but for timings, and the last rename wins.

The scores, a thousand per adapter with the general lexicon, are stored as one array instead of JSON: the catalog
reads 80,000 of these files in minutes, and parsing a thousand small objects from each would take most of that.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from auditor.common.atomic_files import gone_with_its_disk, named, sync
from auditor.common.crash_points import crash_point
from auditor.errors import AuditorError
from auditor.records.result import RESULT_SCHEMA_VERSION, AuditRecord, ConceptScore

Arrays = Mapping[str, NDArray[np.generic]]

THUMBNAIL_SIDE = 160
"""Longest side of a kept picture, in pixels."""

_SCORE_ARRAYS = ("scores", "trigger_scores")


class CorruptResult(AuditorError):
    """A result file that is truncated, altered or of another schema. `merge` quarantines it; `audit` redoes it."""


@dataclass(frozen=True)
class Result:
    """A record with its arrays.

    Arrays: `differences` (n, D) float16 are the d_i, `divergence` (D,) float32 is V, `trigger_differences` (n, D)
    float16 where a trigger was measured, `thumb_<probe>_base` and `thumb_<probe>_adapter` the bytes of small
    pictures (see `thumbnail_bytes`).
    """

    record: AuditRecord
    arrays: Arrays


SCORE_COLUMNS = (
    *("score", "low", "high", "projection", "alignment"),
    *("level", "level_low", "level_high", "level_doubt"),
    "place",
)
"""Columns of a stored score table."""

_WIDTHS = (len(SCORE_COLUMNS), 9, 5)
"""Columns of results as they are, of those made before there was an order of naming, and before there were levels."""


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores as they are stored.

    Attributes:
        names: The k concepts.
        values: (k, 10) float64, by `SCORE_COLUMNS`; what is missing is NaN.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PackedResult:
    """A verified result whose scores are still columns.

    Attributes:
        record: Everything else; its `scores` and those of its `arms` are empty.
        arrays: As in `Result`.
        scores: None when there are none.
        trigger_scores: None when there are none.
    """

    record: AuditRecord
    arrays: Arrays
    scores: ScoreTable | None
    trigger_scores: ScoreTable | None


def result_path(folder: Path, file_sha256: str, recipe_id: str) -> Path:
    """Where the result of a file and recipe lies; 256 sub-folders keep listings short."""
    return folder / file_sha256[:2] / f"{file_sha256}.{recipe_id}.safetensors"


def write_result(folder: Path, result: Result) -> Path:
    """Publish a result atomically and return its path."""
    final = result_path(folder, result.record.file_sha256, result.record.recipe_id)
    final.parent.mkdir(parents=True, exist_ok=True)
    content = result_bytes(pack(result))
    temporary = final.with_name(f".{final.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with named(final), temporary.open("wb") as stream:
            stream.write(content[: len(content) // 2])
            stream.flush()
            crash_point("result_half_written")
            stream.write(content[len(content) // 2 :])
            stream.flush()
            crash_point("result_written")
            os.fsync(stream.fileno())
        crash_point("result_synced")
        with gone_with_its_disk(final):
            os.replace(temporary, final)
        crash_point("result_renamed")
    finally:
        temporary.unlink(missing_ok=True)
    with gone_with_its_disk(final):
        sync(final.parent)
    return final


def read_result(path: Path) -> Result:
    """Read and verify a result file.

    Raises:
        CorruptResult: The file is damaged, altered, or of another schema version.
    """
    packed = read_packed(path)
    try:
        changes: dict[str, object] = {"scores": _scores(packed.scores)}
        if packed.record.arms is not None:
            trigger = _scores(packed.trigger_scores)
            changes["arms"] = packed.record.arms.model_copy(update={"scores": trigger})
    except ValidationError as error:
        raise CorruptResult(f"{path.name}: {str(error)[:200]}") from error
    return Result(packed.record.model_copy(update=changes), packed.arrays)


def read_packed(path: Path) -> PackedResult:
    """Read and verify a result file, leaving the scores as columns.

    Raises:
        CorruptResult: The file is damaged, altered, or of another schema version.
    """
    try:
        content = path.read_bytes()
        arrays = load(content)
        header_size = int.from_bytes(content[:8], "little")
        texts = _header(content[8 : 8 + header_size])
        if texts.pop("digest") != _digest(texts, arrays):
            raise CorruptResult(f"{path.name}: content does not match its digest; run the audit again")
        record = AuditRecord.model_validate_json(texts["record"])
        if record.schema_version > RESULT_SCHEMA_VERSION:
            raise CorruptResult(
                f"{path.name}: a newer version of auditor wrote it (results of version {record.schema_version}, this "
                f"one reads up to {RESULT_SCHEMA_VERSION}); update auditor, or keep this work folder to the newer one"
            )
        if path.name != f"{record.file_sha256}.{record.recipe_id}.safetensors":
            raise CorruptResult(f"{path.name}: it holds the result of another file or recipe; run the audit again")
        tables = [_table(name, texts, arrays) for name in _SCORE_ARRAYS]
        return PackedResult(record, arrays, tables[0], tables[1])
    except (SafetensorError, KeyError, ValueError, ValidationError, OSError) as error:
        raise CorruptResult(f"{path.name}: {type(error).__name__}: {str(error)[:200]}") from error


def read_differences(path: Path) -> NDArray[np.generic]:
    """The d_i (n, D) alone, of a file that a merge has verified: its other content, pictures above all, stays unread.

    Raises:
        CorruptResult: The file is not whole, holds none, or holds numbers that are not finite.
    """
    try:
        with safe_open(path, framework="numpy") as stored:
            rows: NDArray[np.generic] = stored.get_tensor("differences")
    except (SafetensorError, OSError) as error:
        raise CorruptResult(f"{path.name}: {type(error).__name__}: {str(error)[:200]}") from error
    if not np.isfinite(rows).all():
        raise CorruptResult(f"{path.name}: its differences are not finite; run the audit again")
    return rows


def pack(result: Result) -> PackedResult:
    """The same with its scores as columns."""
    record, arms = result.record, result.record.arms
    slim = arms.model_copy(update={"scores": ()}) if arms is not None else None
    return PackedResult(
        record.model_copy(update={"scores": (), "arms": slim}),
        result.arrays,
        _columns(record.scores),
        _columns(arms.scores) if arms is not None else None,
    )


def result_bytes(packed: PackedResult) -> bytes:
    """The content of a result file."""
    arrays = {name: np.ascontiguousarray(array) for name, array in packed.arrays.items()}
    texts = {"record": packed.record.model_dump_json()}
    for name, table in zip(_SCORE_ARRAYS, (packed.scores, packed.trigger_scores), strict=True):
        if table is not None:
            arrays[name] = np.ascontiguousarray(table.values)
            texts[f"{name}_concepts"] = json.dumps(table.names, ensure_ascii=False)
    return save(arrays, metadata={**texts, "digest": _digest(texts, arrays)})


def list_results(folder: Path) -> Iterator[Path]:
    """All published result files, in a stable order."""
    yield from sorted(p for p in folder.glob("*/*.safetensors") if not p.name.startswith("."))


def png_bytes(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 3) as the bytes of a PNG file (m,)."""
    return _encoded(Image.fromarray(image), "PNG")


def thumbnail_bytes(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 3) as the bytes (m,) of a small picture: PNG as it is, or WebP when it had to be shrunk.

    A megapixel PNG takes a megabyte, and a result keeps six pictures; shrunk they take some kilobytes.
    """
    if max(image.shape[:2]) <= THUMBNAIL_SIDE:
        return png_bytes(image)
    picture = Image.fromarray(image)
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return _encoded(picture, "WEBP", quality=80)


def _encoded(picture: Image.Image, kind: str, **options: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


def _columns(scores: tuple[ConceptScore, ...]) -> ScoreTable | None:
    if not scores:
        return None
    missing = float("nan")
    rows = [
        [missing if value is None else value for value in (getattr(s, column) for column in SCORE_COLUMNS)]
        for s in scores
    ]
    return ScoreTable(tuple(s.concept for s in scores), np.array(rows, dtype=np.float64))


def _scores(table: ScoreTable | None) -> tuple[ConceptScore, ...]:
    if table is None:
        return ()
    return tuple(
        ConceptScore.model_validate(
            {"concept": name}
            | {column: None if value != value else value for column, value in zip(SCORE_COLUMNS, row, strict=True)}
        )
        for name, row in zip(table.names, table.values.tolist(), strict=True)
    )


def _table(name: str, texts: Mapping[str, str], arrays: dict[str, NDArray[np.generic]]) -> ScoreTable | None:
    """The scores of one kind; takes them out of `arrays`."""
    values = arrays.pop(name, None)
    if values is None:
        return None
    names = _names(texts[f"{name}_concepts"])
    if values.shape not in [(len(names), width) for width in _WIDTHS] or values.dtype != np.float64:
        raise ValueError(f"{name} has shape {values.shape}, not one row of {_WIDTHS[0]} numbers per concept")
    padding = ((0, 0), (0, _WIDTHS[0] - values.shape[1]))
    return ScoreTable(names, np.pad(values.astype(np.float64, copy=False), padding, constant_values=np.nan))


@lru_cache(maxsize=4)
def _names(text: str) -> tuple[str, ...]:
    """Concept names; the same thousand in file after file."""
    return tuple(json.loads(text))


def _header(raw: bytes) -> dict[str, str]:
    metadata = json.loads(raw).get("__metadata__", {})
    return dict(metadata)


def _digest(texts: Mapping[str, str], arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(texts):
        digest.update(f"{name}:{len(texts[name])}:{texts[name]}".encode())
    for name in sorted(arrays):
        digest.update(f"{name}:{arrays[name].dtype}:{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
