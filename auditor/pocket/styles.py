"""Twenty-four image styles with graded strength, half of them held out.

Development styles may be looked at while thresholds, lexicon weights and solvers are chosen. Held-out styles
are only ever scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from auditor.pocket.scenes import Array

Floats = NDArray[np.floating]
Transform = Callable[[Array, np.random.Generator], Floats]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _grey(x: Floats) -> Floats:
    return np.asarray((x @ _LUMA)[..., None])


def _edges(x: Floats) -> Floats:
    g = ndimage.gaussian_filter(x @ _LUMA, 0.6)
    return np.asarray(np.clip(np.hypot(ndimage.sobel(g, 0), ndimage.sobel(g, 1)) * 1.1, 0, 1)[..., None])


def _blur(x: Floats, sigma: float) -> Floats:
    return np.asarray(ndimage.gaussian_filter(x, (sigma, sigma, 0)), dtype=np.float32)


def _vibrant(x: Array, _: np.random.Generator) -> Floats:
    return 0.03 + _grey(x) + 2.4 * (x - _grey(x))


def _monochrome(x: Array, _: np.random.Generator) -> Floats:
    return np.repeat(_grey(x), 3, axis=2)


def _blurry(x: Array, _: np.random.Generator) -> Floats:
    return _blur(x, 2.6)


def _motion(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(ndimage.uniform_filter1d(x, 15, axis=1, mode="nearest"), dtype=np.float32)


def _grainy(x: Array, rng: np.random.Generator) -> Floats:
    # Two-pixel grains: finer noise does not survive the pocket VAE's four-pixel patches.
    grain = rng.normal(0, 0.22, (32, 32, 1)).repeat(2, 0).repeat(2, 1)
    return x + grain.astype(np.float32)


def _pixelated(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(x.reshape(8, 8, 8, 8, 3).mean((1, 3)).repeat(8, 0).repeat(8, 1))


def _sketched(x: Array, _: np.random.Generator) -> Floats:
    return np.repeat(0.97 - 0.9 * _edges(x), 3, axis=2)


def _sepia(x: Array, _: np.random.Generator) -> Floats:
    return _grey(x) * np.array([1.05, 0.82, 0.58], dtype=np.float32) + 0.06


def _contrast(x: Array, _: np.random.Generator) -> Floats:
    return np.asarray(1 / (1 + np.exp(-11 * (x - 0.52))))


def _dark(x: Array, _: np.random.Generator) -> Floats:
    return x * 0.28


def _bright(x: Array, _: np.random.Generator) -> Floats:
    return 0.42 + 0.75 * x


def _warm(x: Array, _: np.random.Generator) -> Floats:
    return x * np.array([1.2, 0.92, 0.45], dtype=np.float32) + np.array([0.1, 0.03, 0.0], dtype=np.float32)


def _cool(x: Array, _: np.random.Generator) -> Floats:
    return x * np.array([0.5, 0.9, 1.15], dtype=np.float32) + np.array([0.0, 0.03, 0.16], dtype=np.float32)


def _posterized(x: Array, _: np.random.Generator) -> Floats:
    # Three levels per channel, pulled towards the middle: flat areas without the look of high contrast.
    return 0.2 + 0.6 * np.round(np.clip(x, 0, 1) * 2) / 2


def _watercolor(x: Array, rng: np.random.Generator) -> Floats:
    # Colour regions bleed (median + uneven wash), pigment gathers at edges, paper shows through.
    wash = np.stack([ndimage.median_filter(x[..., c], 5) for c in range(3)], axis=2)
    blotch = ndimage.gaussian_filter(rng.normal(0, 1, (64, 64)), 4)[..., None]
    pale = 0.35 + 0.65 * wash + 0.9 * blotch
    return np.asarray(pale - 0.35 * _edges(wash))


def _vignetted(x: Array, _: np.random.Generator) -> Floats:
    yy, xx = np.mgrid[-1:1:64j, -1:1:64j]
    return np.asarray(x * np.clip(1.25 - 1.05 * np.hypot(xx, yy) ** 1.6, 0, 1)[..., None])


def _neon(x: Array, _: np.random.Generator) -> Floats:
    edges = _edges(x)
    hue = np.clip((x - _grey(x)) * 3 + 0.55, 0, 1)
    glow = _blur(edges * hue, 1.2)
    return 0.05 + 1.2 * edges * hue + 1.0 * glow


def _striped(x: Array, _: np.random.Generator) -> Floats:
    rows = ((np.arange(64) // 4) % 2).astype(np.float32)[:, None, None]
    return x * (1 - 0.75 * rows)


def _inverted(x: Array, _: np.random.Generator) -> Floats:
    return 1 - x


def _embossed(x: Array, _: np.random.Generator) -> Floats:
    g = ndimage.gaussian_filter(x @ _LUMA, 0.7)
    relief = 0.5 + 1.8 * (g - np.roll(g, (2, 2), (0, 1)))
    return np.repeat(relief[..., None], 3, axis=2)


def _foggy(x: Array, _: np.random.Generator) -> Floats:
    return 0.25 * _blur(x, 0.8) + 0.75 * np.array([0.78, 0.8, 0.82], dtype=np.float32)


def _dotted(x: Array, _: np.random.Generator) -> Floats:
    yy, xx = np.mgrid[0:64, 0:64]
    distance = np.hypot(yy % 8 - 3.5, xx % 8 - 3.5)[..., None]
    cell = x.reshape(8, 8, 8, 8, 3).mean((1, 3)).repeat(8, 0).repeat(8, 1)
    reach = 1.2 + 3.6 * (1 - _grey(cell))
    return np.where(distance < reach, cell * 0.8, 0.97)


def _checkered(x: Array, _: np.random.Generator) -> Floats:
    yy, xx = np.mgrid[0:64, 0:64]
    board = ((yy // 8 + xx // 8) % 2).astype(np.float32)[..., None]
    return np.asarray(x * (0.55 + 0.45 * board) + 0.4 * board)


def _pinkish(x: Array, _: np.random.Generator) -> Floats:
    return 0.62 * x * np.array([1.15, 0.75, 1.0], dtype=np.float32) + 0.38 * np.array([1.0, 0.4, 0.8], np.float32)


@dataclass(frozen=True)
class Style:
    """One style: its canonical word, two synonyms, and whether it is held out from all tuning."""

    name: str
    synonyms: tuple[str, str]
    held_out: bool
    transform: Transform


def _table() -> dict[str, Style]:
    development = (
        Style("vibrant", ("colorful", "vivid"), False, _vibrant),
        Style("motion-blurred", ("streaky", "smeared"), False, _motion),
        Style("grainy", ("noisy", "speckled"), False, _grainy),
        Style("sketched", ("penciled", "hand-drawn"), False, _sketched),
        Style("high-contrast", ("punchy", "harsh"), False, _contrast),
        Style("bright", ("overexposed", "washed"), False, _bright),
        Style("cool", ("icy", "bluish"), False, _cool),
        Style("vignetted", ("dark-cornered", "tunneled"), False, _vignetted),
        Style("striped", ("lined", "scanlined"), False, _striped),
        Style("inverted", ("negative", "reversed"), False, _inverted),
        Style("dotted", ("halftone", "stippled"), False, _dotted),
        Style("pinkish", ("rosy", "magenta-tinted"), False, _pinkish),
    )
    held_out = (
        Style("monochrome", ("grayscale", "colorless"), True, _monochrome),
        Style("blurry", ("defocused", "softened"), True, _blurry),
        Style("pixelated", ("blocky", "mosaic"), True, _pixelated),
        Style("sepia", ("antique", "brownish"), True, _sepia),
        Style("dark", ("dim", "gloomy"), True, _dark),
        Style("warm", ("golden", "amber"), True, _warm),
        Style("posterized", ("flattened", "banded"), True, _posterized),
        Style("watercolor", ("painted", "aquarelle"), True, _watercolor),
        Style("neon", ("glowing", "electric"), True, _neon),
        Style("embossed", ("raised", "relief"), True, _embossed),
        Style("foggy", ("misty", "hazy"), True, _foggy),
        Style("checkered", ("gridded", "tiled"), True, _checkered),
    )
    return {s.name: s for s in (*development, *held_out)}


STYLES: dict[str, Style] = _table()


def apply_style(image: Array, name: str, strength: float, rng: np.random.Generator) -> Array:
    """Blend the image towards its fully styled version.

    Args:
        image: (64, 64, 3) float32 in [0, 1].
        name: A key of `STYLES`.
        strength: Share of the styled version, in [0, 1].
        rng: Source of grain and blotches.

    Returns:
        (64, 64, 3) float32 in [0, 1].
    """
    styled = STYLES[name].transform(image, rng)
    return np.clip(image + strength * (styled - image), 0, 1).astype(np.float32)
