"""Pictures that wait for a proposer: one file per pending result, lossless and no larger than what will be shown.

It is written before its pending result and removed after the final one, so that a pending result without it means
that the pictures are gone and the adapter has to be audited again. Base pictures are kept by their place in the
reference, which every adapter of a recipe shares.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from auditor.common.atomic_files import write_bytes
from auditor.common.pictures import Pictures, bound_side
from auditor.errors import AuditorError
from auditor.results.result_file import Result, result_path

_PNG_LEVEL = 1  # half as small again would cost a second per adapter


@dataclass(frozen=True, eq=False)
class ShownPairs:
    """What the proposer is to see, and what its phrases will be measured against. k pairs, n probes, D dimensions.

    Attributes:
        differences: d_i of the arm that acts (n, D) float32.
        base_images: (k, H, W, 3), no side longer than the recipe allows.
        images: (k, H, W, 3), the adapter's.
        base_rows: Rows of the reference's images that `base_images` are (k,); None for the trigger's arm.
    """

    differences: NDArray[np.float32]
    base_images: Pictures
    images: Pictures
    base_rows: NDArray[np.intp] | None


@dataclass(frozen=True, eq=False)
class AuditedFile:
    """The audit of one file. `shown` is null when there is nothing to name; else the result says `pending`."""

    result: Result
    shown: ShownPairs | None = None


class DamagedPictures(AuditorError):
    """A file of waiting pictures that is truncated or altered."""


def waiting_path(folder: Path, file_sha256: str, recipe_id: str) -> Path:
    """Where the pictures of a pending result wait, under the name of that result."""
    return result_path(folder, file_sha256, recipe_id)


def list_waiting(folder: Path) -> Iterator[tuple[str, str]]:
    """(file sha256, recipe id) of all that wait, in a stable order."""
    for path in sorted(p for p in folder.glob("*/*.safetensors") if not p.name.startswith(".")):
        file_sha256, recipe_id, _ = path.name.split(".")
        yield file_sha256, recipe_id


def write_waiting(path: Path, shown: ShownPairs) -> None:
    """Keep the pictures of one adapter, atomically and for good."""
    arrays: dict[str, NDArray[np.generic]] = {"differences": np.ascontiguousarray(shown.differences, np.float32)}
    arrays |= {f"adapter_{i}": _png(image) for i, image in enumerate(shown.images)}
    if shown.base_rows is None:
        arrays |= {f"base_{i}": _png(image) for i, image in enumerate(shown.base_images)}
    else:
        arrays["base_rows"] = np.asarray(shown.base_rows, np.int64)
    content = save(arrays)
    write_bytes(path, hashlib.sha256(content).digest() + content)


def read_waiting(path: Path, reference_images: NDArray[np.uint8], max_side: int) -> ShownPairs:
    """Read back what `write_waiting` kept, bit by bit.

    Args:
        path: The file.
        reference_images: The recipe's base images (n, H, W, 3).
        max_side: Longest side shown, in pixels.

    Raises:
        DamagedPictures: The file is truncated, altered, or points outside the reference.
    """
    try:
        whole = path.read_bytes()
        if hashlib.sha256(whole[32:]).digest() != whole[:32]:
            raise DamagedPictures(f"{path.name}: content does not match its digest")
        arrays = load(whole[32:])
        count = sum(name.startswith("adapter_") for name in arrays)
        images = np.stack([_pixels(arrays[f"adapter_{i}"]) for i in range(count)])
        rows = arrays.get("base_rows")
        if rows is None:
            base = np.stack([_pixels(arrays[f"base_{i}"]) for i in range(count)])
        else:
            base = np.stack([bound_side(image, max_side) for image in reference_images[rows]])
        return ShownPairs(arrays["differences"], base, images, None if rows is None else rows.astype(np.intp))
    except (SafetensorError, KeyError, ValueError, IndexError, OSError) as error:
        raise DamagedPictures(f"{path.name}: {type(error).__name__}: {str(error)[:200]}") from error


def _png(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=_PNG_LEVEL)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


def _pixels(png: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png.tobytes()), formats=("PNG",)), dtype=np.uint8)
