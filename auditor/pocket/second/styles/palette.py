"""Styles of colour."""

from __future__ import annotations

import numpy as np

from auditor.pocket.second.scenes import Array
from auditor.pocket.second.styles.pixels import Floats, grey, ramp, rgb


def vibrant(x: Array, _: np.random.Generator) -> Floats:
    return 0.03 + grey(x) + 2.4 * (x - grey(x))


def monochrome(x: Array, _: np.random.Generator) -> Floats:
    return np.repeat(grey(x), 3, axis=2)


def sepia(x: Array, _: np.random.Generator) -> Floats:
    return grey(x) * np.array([1.05, 0.82, 0.58], dtype=np.float32) + 0.06


def warm(x: Array, _: np.random.Generator) -> Floats:
    return x * np.array([1.2, 0.92, 0.45], dtype=np.float32) + np.array([0.1, 0.03, 0.0], dtype=np.float32)


def cool(x: Array, _: np.random.Generator) -> Floats:
    return x * np.array([0.5, 0.9, 1.15], dtype=np.float32) + np.array([0.0, 0.03, 0.16], dtype=np.float32)


def inverted(x: Array, _: np.random.Generator) -> Floats:
    return 1 - x


def pinkish(x: Array, _: np.random.Generator) -> Floats:
    return 0.62 * x * np.array([1.15, 0.75, 1.0], dtype=np.float32) + 0.38 * np.array([1.0, 0.4, 0.8], np.float32)


def duotone(x: Array, _: np.random.Generator) -> Floats:
    return ramp(x, rgb(0.25, 0.0, 0.45), rgb(1.0, 0.85, 0.3))


def greenish(x: Array, _: np.random.Generator) -> Floats:
    return 0.7 * x * rgb(0.6, 1.15, 0.6) + rgb(0.0, 0.26, 0.05)


def violet(x: Array, _: np.random.Generator) -> Floats:
    return 0.7 * x * rgb(0.9, 0.5, 1.15) + rgb(0.16, 0.0, 0.3)


def cinematic(x: Array, _: np.random.Generator) -> Floats:
    g = grey(x)
    return 0.55 * x + 0.5 * (g * rgb(1.15, 0.7, 0.25) + (1 - g) * rgb(0.0, 0.4, 0.5))


def pastel(x: Array, _: np.random.Generator) -> Floats:
    return 0.25 * x + 0.75 * ramp(x, rgb(0.5, 0.85, 0.8), rgb(1.0, 0.8, 0.92))


def thermal(x: Array, _: np.random.Generator) -> Floats:
    return ramp(x, rgb(0.05, 0.0, 0.4), rgb(0.6, 0.0, 0.6), rgb(1.0, 0.35, 0.1), rgb(1.0, 0.95, 0.3))


def hue_shifted(x: Array, _: np.random.Generator) -> Floats:
    return x[..., [1, 2, 0]]


def solarized(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(1 - np.abs(2.0 * x - 0.9))


def cyanotype(x: Array, _: np.random.Generator) -> Floats:
    return ramp(x, rgb(0.02, 0.12, 0.4), rgb(0.2, 0.45, 0.75), rgb(0.95, 0.98, 1.0))


def crimson(x: Array, _: np.random.Generator) -> Floats:
    return ramp(x, rgb(0.08, 0.0, 0.0), rgb(0.95, 0.1, 0.08), rgb(1.0, 0.55, 0.45))
