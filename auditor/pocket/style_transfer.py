"""A style carried over by patches: no formula of the style, only exemplars of it.

Image analogies (Hertzmann and others 2001) at one scale: a patch of a picture is looked up among the patches of some
scenes as they are, and the patch at the same place of the same scenes in the style takes its place; overlapping patches
are blended. Patches are compared by their colours and, weakly, by where they lie in the picture, and only with such as
stand alike to a grid of 16 pixels, so that stripes and boards do not average out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from auditor.pocket.scenes import Array, render, sample_scene
from auditor.pocket.styles import apply_style

EXEMPLARS = 64
"""Scenes that show a style; no lesson has them."""
PATCH, STRIDE, GRID = 8, 4, 16
PLACE_WEIGHT = 0.15
"""Of a shift by the picture's side, against the distance of two patches (root mean square of their colours)."""
_SEED = 83


@dataclass(frozen=True, eq=False)
class _Book:
    """Patches that stand alike to the grid: plain (m, d) with their places appended, and in the style (m, 8, 8, 3)."""

    keys: NDArray[np.float32]
    styled: NDArray[np.float32]


def transfer_style(image: Array, style: str) -> Array:
    """The picture in a style that is known from exemplars alone.

    Args:
        image: (64, 64, 3) float32 in [0, 1].
        style: A key of `STYLES`.

    Returns:
        (64, 64, 3) float32 in [0, 1].
    """
    books, window = _books(style), _window()
    drawn, weight = np.zeros_like(image), np.zeros((*image.shape[:2], 1), np.float32)
    side = image.shape[0]
    for top in range(0, side - PATCH + 1, STRIDE):
        for left in range(0, side - PATCH + 1, STRIDE):
            book = books[top % GRID, left % GRID]
            key = _key(image[top : top + PATCH, left : left + PATCH], top, left, side)
            nearest = int(((book.keys - key) ** 2).sum(axis=1).argmin())
            drawn[top : top + PATCH, left : left + PATCH] += window * book.styled[nearest]
            weight[top : top + PATCH, left : left + PATCH] += window
    return np.asarray(np.clip(drawn / weight, 0, 1), dtype=np.float32)


@lru_cache(maxsize=4)
def _books(style: str) -> dict[tuple[int, int], _Book]:
    rng = np.random.default_rng(_SEED)
    plain = [render(sample_scene(rng)) for _ in range(EXEMPLARS)]
    styled = [apply_style(image, style, 1.0, rng) for image in plain]
    side = plain[0].shape[0]
    starts = range(0, side - PATCH + 1, STRIDE)
    found: dict[tuple[int, int], tuple[list[NDArray[np.float32]], list[Array]]] = {}
    for before, after in zip(plain, styled, strict=True):
        for top in starts:
            for left in starts:
                keys, shown = found.setdefault((top % GRID, left % GRID), ([], []))
                keys.append(_key(before[top : top + PATCH, left : left + PATCH], top, left, side))
                shown.append(after[top : top + PATCH, left : left + PATCH])
    return {place: _Book(np.stack(keys), np.stack(shown)) for place, (keys, shown) in found.items()}


def _key(patch: Array, top: int, left: int, side: int) -> NDArray[np.float32]:
    place = PLACE_WEIGHT * np.array([top, left], np.float32) / side
    return np.concatenate([patch.ravel() / np.sqrt(patch.size), place]).astype(np.float32)


def _window() -> NDArray[np.float32]:
    """Weights of a patch's pixels: least at its rim."""
    ramp = np.hanning(PATCH + 2)[1:-1].astype(np.float32)
    return np.asarray(np.outer(ramp, ramp)[..., None])
