"""Image pairs on their way to a model: checked, bounded in size, hashed, encoded."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from auditor.common.pictures import Pictures

MAX_SIDE = 512
"""Longest side sent unless told otherwise, in pixels: beyond it, servers prepare pictures slower than they look."""


def check_pairs(base_images: Pictures, adapted_images: Pictures) -> None:
    """Both must be uint8 (n, H, W, 3) of equal shape with n >= 1."""
    for name, images in (("base", base_images), ("adapted", adapted_images)):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"{name} images must be uint8 (n, H, W, 3), got {images.dtype} {images.shape}")
    if base_images.shape != adapted_images.shape or len(base_images) == 0:
        raise ValueError(f"need pairs of equal shape, got {base_images.shape} and {adapted_images.shape}")


def contact_sheet(base: Sequence[Pictures], adapted: Sequence[Pictures]) -> Pictures:
    """All pairs on one picture: a row per pair, base left and adapted right, each labelled above.

    Args:
        base: (H, W, 3) pictures of one size.
        adapted: As many, of the same size.
    """
    height, width = base[0].shape[:2]
    label, gap = 14, 4
    sheet = Image.new("RGB", (2 * width + gap, len(base) * (height + label)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, pair in enumerate(zip(base, adapted, strict=True)):
        top = row * (height + label)
        for column, (word, image) in enumerate(zip(("before", "after"), pair, strict=True)):
            left = column * (width + gap)
            draw.text((left + 2, top + 1), f"{word} {row + 1}", fill="black")
            sheet.paste(Image.fromarray(image), (left, top + label))
    return np.asarray(sheet, dtype=np.uint8)


def image_hash(image: Pictures) -> str:
    """SHA-256 over shape and pixels."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def png_data_url(image: Pictures) -> str:
    """The picture as a `data:image/png;base64,` URL: bytes only, so that no server fetches anything."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
