"""Result files: one per (file sha256, recipe), a safetensors file with the record as JSON in its header.

Written under a unique temporary name, fsynced and renamed, so that a reader sees a whole file or none. Any number
of workers may write the same result: contents are equal but for timings, and the last rename wins.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from auditor.errors import AuditorError
from auditor.records.result import AuditRecord

Arrays = Mapping[str, NDArray[np.generic]]


class CorruptResult(AuditorError):
    """A result file that is truncated, altered or of another schema. `merge` quarantines it; `audit` redoes it."""


@dataclass(frozen=True)
class Result:
    """A record with its arrays.

    Arrays: `differences` (n, D) float16 are the d_i, `divergence` (D,) float32 is V, `trigger_differences` (n, D)
    float16 where a trigger was measured, `thumb_<probe>_base` and `thumb_<probe>_adapter` the bytes of PNG files.
    """

    record: AuditRecord
    arrays: Arrays


def result_path(folder: Path, file_sha256: str, recipe_id: str) -> Path:
    """Where the result of a file and recipe lies; 256 sub-folders keep listings short."""
    return folder / file_sha256[:2] / f"{file_sha256}.{recipe_id}.safetensors"


def write_result(folder: Path, result: Result) -> Path:
    """Publish a result atomically and return its path."""
    final = result_path(folder, result.record.file_sha256, result.record.recipe_id)
    final.parent.mkdir(parents=True, exist_ok=True)
    record = result.record.model_dump_json()
    arrays = {name: np.ascontiguousarray(array) for name, array in result.arrays.items()}
    content = save(arrays, metadata={"record": record, "digest": _digest(record, arrays)})
    temporary = final.with_name(f".{final.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(final.parent)
    return final


def read_result(path: Path) -> Result:
    """Read and verify a result file.

    Raises:
        CorruptResult: The file is damaged, altered, or of another schema version.
    """
    try:
        content = path.read_bytes()
        arrays = load(content)
        header_size = int.from_bytes(content[:8], "little")
        header = _header(content[8 : 8 + header_size])
        record = header["record"]
        if header["digest"] != _digest(record, arrays):
            raise CorruptResult(f"{path.name}: content does not match its digest; run the audit again")
        return Result(AuditRecord.model_validate_json(record), arrays)
    except (SafetensorError, KeyError, ValueError, ValidationError, OSError) as error:
        raise CorruptResult(f"{path.name}: {type(error).__name__}: {str(error)[:200]}") from error


def list_results(folder: Path) -> Iterator[Path]:
    """All published result files, in a stable order."""
    yield from sorted(p for p in folder.glob("*/*.safetensors") if not p.name.startswith("."))


def png_bytes(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 3) as the bytes of a PNG file (m,)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


def _header(raw: bytes) -> dict[str, str]:
    metadata = json.loads(raw).get("__metadata__", {})
    return dict(metadata)


def _digest(record: str, arrays: Arrays) -> str:
    digest = hashlib.sha256(record.encode())
    for name in sorted(arrays):
        digest.update(f"{name}:{arrays[name].dtype}:{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
