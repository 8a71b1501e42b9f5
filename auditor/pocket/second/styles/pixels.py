"""What the styles are made of: luminance, edges, blur, colour ramps, bent coordinates, patches of cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from auditor.pocket.second.scenes import SIZE, Array

Floats = NDArray[np.floating]
Transform = Callable[[Array, np.random.Generator], Floats]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
ROWS, COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
UP, RIGHT = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
RADIUS = np.hypot(UP, RIGHT)


def rgb(r: float, g: float, b: float) -> NDArray[np.float32]:
    """A colour, channels in [0, 1]."""
    return np.array([r, g, b], dtype=np.float32)


def luminance(x: Floats) -> Floats:
    """(64, 64) luminance of a picture (64, 64, 3)."""
    return np.asarray(x @ _LUMA)


def grey(x: Floats) -> Floats:
    """Luminance as (64, 64, 1)."""
    return luminance(x)[..., None]


def edges(x: Floats) -> Floats:
    """Strength of edges, (64, 64, 1) in [0, 1]."""
    g = ndimage.gaussian_filter(luminance(x), 0.6)
    return np.asarray(np.clip(np.hypot(ndimage.sobel(g, 0), ndimage.sobel(g, 1)) * 1.1, 0, 1)[..., None])


def blur(x: Floats, sigma: float) -> Floats:
    """Gaussian blur of the picture plane."""
    return np.asarray(ndimage.gaussian_filter(x, (sigma, sigma, 0)), dtype=np.float32)


def saturated(x: Floats, gain: float) -> Floats:
    """Distance from grey times `gain`."""
    return np.asarray(grey(x) + gain * (x - grey(x)))


def ramp(x: Floats, *colours: NDArray[np.float32]) -> Floats:
    """Luminance looked up in a scale of colours, darkest first."""
    stops = np.linspace(0, 1, len(colours))
    table = np.stack(colours)
    g = luminance(x)
    return np.stack([np.interp(g, stops, table[:, c]) for c in range(3)], axis=2)


def moved(x: Floats, rows: Floats, columns: Floats) -> Floats:
    """The picture read at other coordinates (64, 64), the border repeated."""
    at = np.stack([rows, columns])
    return np.stack([ndimage.map_coordinates(x[..., c], at, order=1, mode="nearest") for c in range(3)], axis=2)


def cells(rng: np.random.Generator, count: int) -> tuple[NDArray[np.intp], Floats]:
    """Random cells: which cell (64, 64) each pixel is in, and how deep inside (0 on the border between two)."""
    centres = rng.uniform(0, SIZE, (count, 2))
    distance = np.hypot(ROWS[..., None] - centres[:, 0], COLUMNS[..., None] - centres[:, 1])
    nearest = np.partition(distance, 1, axis=-1)
    return distance.argmin(-1), np.asarray(nearest[..., 1] - nearest[..., 0])
