"""Seventy-two image styles with graded strength, 30 of them held out, and ten more that have no name.

Development styles may be looked at while thresholds, lexicon weights and solvers are chosen. Held-out styles
are only ever scored.
"""

from __future__ import annotations

import numpy as np

from auditor.pocket.second.scenes import Array
from auditor.pocket.second.styles.catalogue import STYLES, UNNAMED, Style

__all__ = ["STYLES", "UNNAMED", "Style", "apply_style"]


def apply_style(image: Array, name: str, strength: float, rng: np.random.Generator) -> Array:
    """Blend the image towards its fully styled version.

    Args:
        image: (64, 64, 3) float32 in [0, 1].
        name: A key of `STYLES` or `UNNAMED`.
        strength: Share of the styled version, in [0, 1].
        rng: Source of grain and blotches.

    Returns:
        (64, 64, 3) float32 in [0, 1].
    """
    transform = UNNAMED[name] if name in UNNAMED else STYLES[name].transform
    styled = transform(image, rng)
    return np.clip(image + strength * (styled - image), 0, 1).astype(np.float32)
