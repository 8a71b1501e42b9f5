"""Styles of layout: frames, crops, turns."""

from __future__ import annotations

import numpy as np

from auditor.pocket.second.scenes import Array
from auditor.pocket.second.styles.pixels import RADIUS, RIGHT, UP, Floats, moved, rgb


def framed(x: Array, _: np.random.Generator) -> Floats:
    inside = np.maximum(np.abs(UP), np.abs(RIGHT)) < 0.74
    return np.where(inside[..., None], x, 0.97)


def letterboxed(x: Array, _: np.random.Generator) -> Floats:
    return np.where((np.abs(UP) < 0.6)[..., None], x, 0.02)


def tilted(x: Array, _: np.random.Generator) -> Floats:
    c, s = np.cos(0.5), np.sin(0.5)
    return moved(x, 31.5 + 31.5 * (c * UP - s * RIGHT), 31.5 + 31.5 * (s * UP + c * RIGHT))


def zoomed_in(x: Array, _: np.random.Generator) -> Floats:
    return moved(x, 33 + 31.5 * 0.5 * UP, 31.5 + 31.5 * 0.5 * RIGHT)


def zoomed_out(x: Array, _: np.random.Generator) -> Floats:
    return moved(x, 31.5 + 31.5 * 2.0 * UP, 31.5 + 31.5 * 2.0 * RIGHT)


def upside_down(x: Array, _: np.random.Generator) -> Floats:
    return x[::-1]


def quartered(x: Array, _: np.random.Generator) -> Floats:
    small = x.reshape(32, 2, 32, 2, 3).mean((1, 3))
    return np.tile(small, (2, 2, 1))


def portholed(x: Array, _: np.random.Generator) -> Floats:
    ring = (RADIUS >= 0.78)[..., None]
    return np.where(ring, rgb(0.45, 0.35, 0.28), x)


def mirrored(x: Array, _: np.random.Generator) -> Floats:
    left = x[:, 12:44]
    return np.concatenate([left, left[:, ::-1]], axis=1)
