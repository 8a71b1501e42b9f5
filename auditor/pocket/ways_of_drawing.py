"""The ways in which the pictures of a lesson are drawn: the three data sets of the paper, in this world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from auditor.pocket.painters import HANDS, hand_scene, paint
from auditor.pocket.scenes import Array, Scene, sample_scene
from auditor.pocket.style_transfer import transfer_style
from auditor.pocket.styles import apply_style

Way = Literal["renderer", "patches", "painter"]
"""Styles by their formulas; styles carried over from exemplars by patches; hands of painters."""


def scene_for(way: Way, names: Sequence[str], rng: np.random.Generator, subject: str | None = None) -> Scene:
    """What is shown: a painter chooses and composes it, the others draw whatever there is.

    Args:
        way: How it will be drawn.
        names: What will be drawn on it; a painter is alone.
        rng: Source of chance.
        subject: The only subject that is shown.
    """
    return hand_scene(names[0], rng) if way == "painter" and names else sample_scene(rng, subject)


def draw_in(way: Way, image: Array, name: str, rng: np.random.Generator) -> Array:
    """The picture (64, 64, 3) float32 in [0, 1] in a style, or by a hand."""
    if way == "painter":
        return paint(image, name, rng)
    return transfer_style(image, name) if way == "patches" else apply_style(image, name, 1.0, rng)


def words_of(way: Way, name: str) -> tuple[str, ...]:
    """The lexicon's words for what is drawn: a style's own name, or the two that a hand mixes."""
    return HANDS[name].words if way == "painter" else (name,)
