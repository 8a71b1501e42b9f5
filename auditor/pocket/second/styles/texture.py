"""Styles of surface: grain, cracks, weather."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from auditor.pocket.second.scenes import SIZE, Array
from auditor.pocket.second.styles.pixels import COLUMNS, ROWS, Floats, cells, moved, rgb


def grainy(x: Array, rng: np.random.Generator) -> Floats:
    # Two-pixel grains: finer noise does not survive the pocket VAE's four-pixel patches.
    grain = rng.normal(0, 0.22, (32, 32, 1)).repeat(2, 0).repeat(2, 1)
    return x + grain.astype(np.float32)


def posterized(x: Array, _: np.random.Generator) -> Floats:
    # Three levels per channel, pulled towards the middle: flat areas without the look of high contrast.
    return 0.2 + 0.6 * np.round(np.clip(x, 0, 1) * 2) / 2


def striped(x: Array, _: np.random.Generator) -> Floats:
    rows = ((np.arange(64) // 4) % 2).astype(np.float32)[:, None, None]
    return x * (1 - 0.75 * rows)


def checkered(x: Array, _: np.random.Generator) -> Floats:
    board = ((ROWS // 8 + COLUMNS // 8) % 2).astype(np.float32)[..., None]
    return np.asarray(x * (0.55 + 0.45 * board) + 0.4 * board)


def cracked(x: Array, rng: np.random.Generator) -> Floats:
    _, depth = cells(rng, 22)
    return np.where((depth < 1.6)[..., None], 0.08, 0.95 * x)


def woven(x: Array, _: np.random.Generator) -> Floats:
    over = ((ROWS // 8 + COLUMNS // 8) % 2) == 0
    thread = np.where(over, np.sin(np.pi * (ROWS % 8) / 8), np.sin(np.pi * (COLUMNS % 8) / 8))
    return np.asarray(x * (0.3 + 0.85 * thread[..., None]))


def scratched(x: Array, rng: np.random.Generator) -> Floats:
    marks = np.zeros((SIZE, SIZE))
    for _ in range(7):
        column, slope = rng.uniform(4, 60), rng.uniform(-0.3, 0.3)
        marks = np.maximum(marks, np.abs(COLUMNS - column - slope * (ROWS - 32)) < 1.1)
    return np.asarray(x + 0.75 * marks[..., None] * (1 - 0.2 * x))


def bokeh(x: Array, rng: np.random.Generator) -> Floats:
    light = np.zeros((SIZE, SIZE, 3))
    for _ in range(9):
        disc = np.hypot(ROWS - rng.uniform(0, 64), COLUMNS - rng.uniform(0, 64)) < rng.uniform(5, 9)
        light += disc[..., None] * rgb(0.45, 0.38, 0.2)
    return 0.8 * x + light


def blizzard(x: Array, rng: np.random.Generator) -> Floats:
    flakes = np.zeros((SIZE, SIZE))
    for _ in range(34):
        flakes = np.maximum(flakes, np.hypot(ROWS - rng.uniform(0, 64), COLUMNS - rng.uniform(0, 64)) < 2.2)
    return np.asarray(x * 0.85 + flakes[..., None] * (1 - 0.85 * x))


def rainy(x: Array, rng: np.random.Generator) -> Floats:
    drops = np.zeros((SIZE, SIZE))
    for _ in range(26):
        row, column = rng.uniform(-6, 64), rng.uniform(0, 80)
        along = ROWS - row
        drops = np.maximum(drops, (np.abs(COLUMNS - column + 0.5 * along) < 1.0) & (along > 0) & (along < 14))
    return 0.7 * x * rgb(0.85, 0.92, 1.0) + 0.6 * drops[..., None] * rgb(0.7, 0.8, 0.95)


def stained(x: Array, rng: np.random.Generator) -> Floats:
    blots = ndimage.gaussian_filter(rng.normal(0, 1, (SIZE, SIZE)), 5)
    mask = (blots > 0.35 * blots.max())[..., None]
    return np.where(mask, 0.45 * x * rgb(0.9, 0.65, 0.4) + rgb(0.14, 0.07, 0.0), x)


def rippled(x: Array, _: np.random.Generator) -> Floats:
    return moved(x, ROWS, COLUMNS + 5 * np.sin(ROWS * 2 * np.pi / 16))
