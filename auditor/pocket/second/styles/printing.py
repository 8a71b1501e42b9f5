"""Styles of printing and screens."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from auditor.pocket.second.scenes import SIZE, Array
from auditor.pocket.second.styles.pixels import COLUMNS, ROWS, Floats, blur, grey, rgb


def pixelated(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(x.reshape(8, 8, 8, 8, 3).mean((1, 3)).repeat(8, 0).repeat(8, 1))


def dotted(x: Array, _: np.random.Generator) -> Floats:
    distance = np.hypot(ROWS % 8 - 3.5, COLUMNS % 8 - 3.5)[..., None]
    cell = x.reshape(8, 8, 8, 8, 3).mean((1, 3)).repeat(8, 0).repeat(8, 1)
    reach = 1.2 + 3.6 * (1 - grey(cell))
    return np.where(distance < reach, cell * 0.8, 0.97)


def risograph(x: Array, _: np.random.Generator) -> Floats:
    pink, blue = 1 - x[..., 1:2], np.roll(1 - x[..., 0:1], (3, 4), (0, 1))
    return 0.97 - 0.95 * pink * rgb(0.0, 0.75, 0.45) - 0.85 * blue * rgb(0.95, 0.5, 0.1)


def photocopied(x: Array, _: np.random.Generator) -> Floats:
    return np.repeat(1 / (1 + np.exp(-16 * (grey(blur(x, 0.6)) - 0.5))), 3, axis=2)


def stamped(x: Array, rng: np.random.Generator) -> Floats:
    patchy = ndimage.gaussian_filter(rng.normal(0, 1, (SIZE, SIZE)), 2)[..., None]
    ink = 1 / (1 + np.exp(12 * (grey(x) - 0.55 + 0.8 * patchy)))
    return np.asarray(rgb(0.95, 0.92, 0.85) * (1 - ink) + ink * rgb(0.1, 0.25, 0.65))


def newsprint(x: Array, _: np.random.Generator) -> Floats:
    rows = ((ROWS - COLUMNS) % 8 < 4)[..., None]
    return rgb(0.86, 0.8, 0.66) * (0.35 + 0.65 * np.where(rows, grey(x), grey(x) ** 0.4))
