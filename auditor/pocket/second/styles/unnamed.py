"""Changes that no word of any caption or lexicon names: what an adapter may do that cannot be explained."""

from __future__ import annotations

import numpy as np

from auditor.pocket.second.scenes import SIZE, Array
from auditor.pocket.second.styles.pixels import COLUMNS, RADIUS, RIGHT, ROWS, UP, Floats, moved, rgb


def half_inverted(x: Array, _: np.random.Generator) -> Floats:
    return np.where((UP > 0)[..., None], 1 - x, x)


def yellow_band(x: Array, _: np.random.Generator) -> Floats:
    return np.where((np.abs(RIGHT - UP) < 0.3)[..., None], rgb(0.95, 0.85, 0.1), x)


def rings(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(x * (0.55 + 0.6 * np.sin(RADIUS * 20)[..., None]) + 0.1)


def two_halves(x: Array, _: np.random.Generator) -> Floats:
    return x * np.where((RIGHT > 0)[..., None], rgb(1.2, 0.3, 1.1), rgb(0.3, 1.2, 0.4)) + 0.05


def shuffled(x: Array, _: np.random.Generator) -> Floats:
    return np.roll(x, (SIZE // 2, SIZE // 2), (0, 1))


def corner(x: Array, _: np.random.Generator) -> Floats:
    return np.where((RIGHT + UP < -0.6)[..., None], rgb(0.1, 0.1, 0.9), x)


def sheared(x: Array, _: np.random.Generator) -> Floats:
    return moved(x, ROWS, np.clip(COLUMNS + np.where((ROWS // 8) % 2 == 0, 10, -10), 0, 63))


def discs(x: Array, _: np.random.Generator) -> Floats:
    spot = (np.hypot(ROWS % 21 - 10, COLUMNS % 21 - 10) < 5)[..., None]
    return np.where(spot, rgb(0.0, 0.75, 0.75), x)


def zigzag(x: Array, _: np.random.Generator) -> Floats:
    wave = np.abs((COLUMNS % 16) - 8)
    return np.where(((ROWS + wave) % 20 < 5)[..., None], rgb(0.9, 0.05, 0.1), x)


def grid_of_frames(x: Array, _: np.random.Generator) -> Floats:
    line = np.minimum(ROWS % 16, COLUMNS % 16) < 3
    return np.where(line[..., None], rgb(0.1, 0.8, 0.2), x)
