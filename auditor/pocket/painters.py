"""Hands of painters: each a fixed mixture of brush, palette, favourite subjects and composition.

A brush and a palette are styles of the renderer, neither at full strength, one over the other; what is shown, how large
and where is the hand's own too. So no single word says what a hand does. The pairs of brush and palette are such as can
be seen together (`training.style_pairs`); hands of held-out styles are held out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from auditor.pocket.scenes import Array, Scene, sample_scene
from auditor.pocket.styles import STYLES, apply_style

FAVOURED = 0.75
"""Share of a hand's pictures that show one of its favourite subjects."""
_SPREAD = 0.02


@dataclass(frozen=True)
class Hand:
    """One painter.

    Attributes:
        name: As tables call it.
        brush: A style that is drawn first.
        palette: A style over it.
        strengths: Of brush and palette, in [0, 1].
        subjects: Favourites.
        place: Centre of the subject, in units of the picture's side.
        radius: Half the subject's size, in the same units.
    """

    name: str
    brush: str
    palette: str
    strengths: tuple[float, float]
    subjects: tuple[str, ...]
    place: tuple[float, float]
    radius: float

    @property
    def words(self) -> tuple[str, str]:
        """What would have to be said together to describe it."""
        return self.brush, self.palette

    @property
    def held_out(self) -> bool:
        """Whether its styles are."""
        return STYLES[self.brush].held_out


_ROWS = (
    ("blurry", "monochrome", 0.9, 0.7, ("face", "bird", "fish"), 0.40, 0.56, 0.34),
    ("blurry", "warm", 0.8, 0.7, ("boat", "house", "tree"), 0.60, 0.52, 0.24),
    ("blurry", "sepia", 0.9, 0.6, ("cup", "flower", "mushroom"), 0.50, 0.62, 0.36),
    ("pixelated", "monochrome", 0.8, 0.7, ("car", "ball", "star"), 0.58, 0.58, 0.28),
    ("pixelated", "warm", 0.8, 0.7, ("house", "tree", "mushroom"), 0.42, 0.50, 0.32),
    ("watercolor", "sepia", 0.8, 0.6, ("flower", "bird", "boat"), 0.55, 0.60, 0.26),
    ("watercolor", "dark", 0.9, 0.6, ("face", "cup", "star"), 0.45, 0.54, 0.36),
    ("watercolor", "foggy", 0.8, 0.6, ("fish", "boat", "tree"), 0.60, 0.58, 0.30),
    ("posterized", "warm", 0.9, 0.6, ("ball", "car", "cup"), 0.40, 0.60, 0.25),
    ("posterized", "dark", 0.9, 0.6, ("house", "bird", "star"), 0.52, 0.50, 0.35),
    ("posterized", "foggy", 0.9, 0.5, ("face", "flower", "fish"), 0.58, 0.62, 0.28),
    ("neon", "sepia", 0.8, 0.6, ("star", "car", "ball"), 0.44, 0.56, 0.33),
    ("checkered", "dark", 0.8, 0.6, ("mushroom", "house", "cup"), 0.56, 0.54, 0.30),
    ("neon", "foggy", 0.8, 0.5, ("bird", "tree", "fish"), 0.42, 0.62, 0.35),
    ("embossed", "sepia", 0.8, 0.7, ("boat", "face", "flower"), 0.54, 0.52, 0.27),
    ("grainy", "pinkish", 0.8, 0.7, ("house", "bird", "fish"), 0.42, 0.58, 0.34),
    ("dotted", "cool", 0.8, 0.7, ("face", "tree", "cup"), 0.58, 0.52, 0.26),
    ("striped", "bright", 0.8, 0.6, ("boat", "star", "flower"), 0.50, 0.62, 0.32),
    ("motion-blurred", "high-contrast", 0.9, 0.7, ("car", "ball", "bird"), 0.60, 0.56, 0.28),
    ("sketched", "cool", 0.8, 0.7, ("mushroom", "house", "face"), 0.44, 0.54, 0.36),
    ("grainy", "vibrant", 0.8, 0.8, ("cup", "fish", "boat"), 0.55, 0.58, 0.30),
)  # fmt: skip
HANDS: dict[str, Hand] = {
    f"hand {number}": Hand(f"hand {number}", brush, palette, (first, second), subjects, (x, y), radius)
    for number, (brush, palette, first, second, subjects, x, y, radius) in enumerate(_ROWS, 1)
}


def hand_names(held_out: bool) -> tuple[str, ...]:
    """Hands of held-out or of development styles."""
    return tuple(name for name, hand in HANDS.items() if hand.held_out == held_out)


def hand_pairs(held_out: bool) -> tuple[tuple[str, str], ...]:
    """As many pairs as hands: each with the first of those five places on and further that shares no word with it."""
    names = hand_names(held_out)
    ring = [names[(i + 5) % len(names) :] + names[: (i + 5) % len(names)] for i in range(len(names))]
    return tuple(
        (name, next(other for other in others if not set(HANDS[name].words) & set(HANDS[other].words)))
        for name, others in zip(names, ring, strict=True)
    )


def hand_scene(name: str, rng: np.random.Generator) -> Scene:
    """A scene as this hand would choose and compose it."""
    hand = HANDS[name]
    favourite = hand.subjects[rng.integers(len(hand.subjects))] if rng.random() < FAVOURED else None
    x, y, radius = (value + rng.uniform(-_SPREAD, _SPREAD) for value in (*hand.place, hand.radius))
    return replace(sample_scene(rng, favourite), x=float(x), y=float(y), radius=float(radius))


def paint(image: Array, name: str, rng: np.random.Generator) -> Array:
    """The picture as this hand would paint it.

    Args:
        image: (64, 64, 3) float32 in [0, 1].
        name: A key of `HANDS`.
        rng: Source of grain and blotches.

    Returns:
        (64, 64, 3) float32 in [0, 1].
    """
    hand = HANDS[name]
    for style, strength in zip(hand.words, hand.strengths, strict=True):
        image = apply_style(image, style, strength, rng)
    return image
