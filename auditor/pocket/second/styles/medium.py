"""Styles of drawing and painting."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from auditor.pocket.second.scenes import SIZE, Array
from auditor.pocket.second.styles.pixels import COLUMNS, ROWS, Floats, cells, edges, grey, luminance, rgb, saturated


def sketched(x: Array, _: np.random.Generator) -> Floats:
    return np.repeat(0.97 - 0.9 * edges(x), 3, axis=2)


def watercolor(x: Array, rng: np.random.Generator) -> Floats:
    # Colour regions bleed (median + uneven wash), pigment gathers at edges, paper shows through.
    wash = np.stack([ndimage.median_filter(x[..., c], 5) for c in range(3)], axis=2)
    blotch = ndimage.gaussian_filter(rng.normal(0, 1, (64, 64)), 4)[..., None]
    pale = 0.35 + 0.65 * wash + 0.9 * blotch
    return np.asarray(pale - 0.35 * edges(wash))


def embossed(x: Array, _: np.random.Generator) -> Floats:
    g = ndimage.gaussian_filter(luminance(x), 0.7)
    relief = 0.5 + 1.8 * (g - np.roll(g, (2, 2), (0, 1)))
    return np.repeat(relief[..., None], 3, axis=2)


def stained_glass(x: Array, rng: np.random.Generator) -> Floats:
    cell, depth = cells(rng, 45)
    size = np.maximum(np.bincount(cell.ravel(), minlength=45), 1)
    colours = np.stack([np.bincount(cell.ravel(), x[..., c].ravel(), 45) / size for c in range(3)], axis=1)
    filled = saturated(colours[cell], 1.8)
    return np.where((depth < 1.3)[..., None], 0.05, filled)


def oil_painted(x: Array, rng: np.random.Generator) -> Floats:
    flat = np.stack([ndimage.percentile_filter(x[..., c], 60, size=7) for c in range(3)], axis=2)
    strokes = ndimage.gaussian_filter(rng.normal(0, 1, (SIZE, SIZE)), (1.0, 4.0))[..., None]
    return np.asarray(saturated(flat, 1.35) * (1 + 2.2 * strokes))


def chalked(x: Array, rng: np.random.Generator) -> Floats:
    dust = ndimage.gaussian_filter(rng.normal(0, 1, (SIZE, SIZE)), 2)[..., None]
    return np.asarray(rgb(0.1, 0.2, 0.15) + 0.85 * edges(x) + 0.25 * dust)


def inked(x: Array, _: np.random.Generator) -> Floats:
    thick = ndimage.grey_dilation(edges(x)[..., 0], size=3)[..., None]
    return np.asarray(np.clip(saturated(x, 1.2), 0, 1) * (1 - np.clip(1.8 * thick - 0.3, 0, 1)))


def hatched(x: Array, _: np.random.Generator) -> Floats:
    line = ((ROWS + COLUMNS) % 9 < 4)[..., None]
    return np.repeat(np.where(line, 0.1 + 1.0 * grey(x) ** 1.5, 0.96), 3, axis=2)
