"""Pictures as arrays (H, W, 3) of uint8."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pictures = NDArray[np.uint8]


def bound_side(image: Pictures, limit: int) -> Pictures:
    """Shrink one (H, W, 3) picture so that its longest side is at most `limit` pixels; never enlarge."""
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest <= limit:
        return image
    size = (max(1, round(width * limit / longest)), max(1, round(height * limit / longest)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)
