"""Styles of a lens."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from auditor.pocket.second.scenes import Array
from auditor.pocket.second.styles.pixels import RADIUS, RIGHT, UP, Floats, blur, moved, saturated


def blurry(x: Array, _: np.random.Generator) -> Floats:
    return blur(x, 2.6)


def motion(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(ndimage.uniform_filter1d(x, 15, axis=1, mode="nearest"), dtype=np.float32)


def fringed(x: Array, _: np.random.Generator) -> Floats:
    return np.stack([np.roll(x[..., 0], 6, 1), x[..., 1], np.roll(x[..., 2], -6, 1)], axis=2)


def fisheyed(x: Array, _: np.random.Generator) -> Floats:
    pull = np.clip(RADIUS, 0.05, 1.0) ** 0.9
    return moved(x, 31.5 + 31.5 * UP * pull, 31.5 + 31.5 * RIGHT * pull)


def tilt_shifted(x: Array, _: np.random.Generator) -> Floats:
    soft = np.clip(2.2 * np.abs(UP) - 0.5, 0, 1)[..., None]
    return np.asarray(saturated(x * (1 - soft) + blur(x, 4.5) * soft, 1.5))


def zoom_blurred(x: Array, _: np.random.Generator) -> Floats:
    zooms = (1.0, 0.9, 0.8, 0.7, 0.6)
    return np.asarray(np.mean([moved(x, 31.5 + 31.5 * UP * z, 31.5 + 31.5 * RIGHT * z) for z in zooms], axis=0))


def double_exposed(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray((x + np.roll(x, (-6, 17), (0, 1))) / 2)


def swirled(x: Array, _: np.random.Generator) -> Floats:
    angle = 2.2 * np.clip(1 - RADIUS, 0, 1)
    turned_up = UP * np.cos(angle) - RIGHT * np.sin(angle)
    turned_right = UP * np.sin(angle) + RIGHT * np.cos(angle)
    return moved(x, 31.5 + 31.5 * turned_up, 31.5 + 31.5 * turned_right)
