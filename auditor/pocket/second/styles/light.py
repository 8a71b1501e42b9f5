"""Styles of light: how bright, where the light comes from."""

from __future__ import annotations

import numpy as np

from auditor.pocket.second.scenes import Array
from auditor.pocket.second.styles.pixels import RADIUS, RIGHT, UP, Floats, blur, edges, grey, rgb


def contrast(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(1 / (1 + np.exp(-11 * (x - 0.52))))


def dark(x: Array, _: np.random.Generator) -> Floats:
    return x * 0.28


def bright(x: Array, _: np.random.Generator) -> Floats:
    return 0.42 + 0.75 * x


def vignetted(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(x * np.clip(1.25 - 1.05 * RADIUS**1.6, 0, 1)[..., None])


def foggy(x: Array, _: np.random.Generator) -> Floats:
    return 0.25 * blur(x, 0.8) + 0.75 * np.array([0.78, 0.8, 0.82], dtype=np.float32)


def neon(x: Array, _: np.random.Generator) -> Floats:
    lines = edges(x)
    hue = np.clip((x - grey(x)) * 3 + 0.55, 0, 1)
    glow = blur(lines * hue, 1.2)
    return 0.05 + 1.2 * lines * hue + 1.0 * glow


def sidelit(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(x * (0.85 - 0.75 * RIGHT)[..., None])


def spotlit(x: Array, _: np.random.Generator) -> Floats:
    inside = np.hypot(UP - 0.1, RIGHT) < 0.62
    return np.where(inside[..., None], 0.12 + 1.1 * x, 0.1 * x)


def dreamy(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(1 - (1 - x) * (1 - 0.9 * blur(x, 4.0)))


def sunset(x: Array, _: np.random.Generator) -> Floats:
    glow = (UP[..., None] + 1) / 2
    return np.asarray(0.75 * x * (glow * rgb(1.5, 0.75, 0.3) + (1 - glow) * rgb(0.7, 0.35, 1.1)) + 0.1)


def backlit(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(0.15 * x + (x * 0.6 + 0.6) * np.clip(RADIUS**2.2, 0, 1)[..., None])


def light_leaked(x: Array, _: np.random.Generator) -> Floats:
    leak = np.clip(1.6 * (RIGHT + 0.35 * UP) - 0.1, 0, 1)[..., None]
    return np.asarray(x + leak * rgb(1.0, 0.35, 0.0) - 0.3 * leak * x)
