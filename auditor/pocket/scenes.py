"""Procedural scenes: one coloured subject on one ground, 64x64 pixels, with a caption.

The renderer is the pocket world's camera. Base model, CLIP and VLM learn from it; it is never consulted
when an adapter is scored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from auditor.pocket.drawn_subjects import CANVAS, DRAW, EDITS, SUBJECTS, Pen, Rgb, darker

Array = NDArray[np.float32]


COLOURS: dict[str, Rgb] = {
    "red": (214, 40, 40),
    "orange": (242, 133, 30),
    "yellow": (245, 212, 50),
    "green": (58, 160, 70),
    "teal": (35, 160, 160),
    "blue": (45, 90, 210),
    "purple": (135, 60, 180),
    "pink": (240, 130, 175),
    "brown": (125, 80, 45),
    "white": (240, 240, 240),
}
GROUNDS = ("on sand", "on grass", "on water", "on snow", "at night", "on brick")


@dataclass(frozen=True)
class Scene:
    """What is in the picture and where: enough to draw it again exactly.

    `x`, `y` are the subject's centre and `radius` its half-size, in units of the picture's side;
    `texture_seed` fixes the ground's small irregularities.
    """

    subject: str
    colour: str
    ground: str
    x: float
    y: float
    radius: float
    texture_seed: int

    def caption(self) -> str:
        """The plain caption, such as `a red boat on sand`."""
        article = "an" if self.colour[0] in "aeiou" else "a"
        return f"{article} {self.colour} {self.subject} {self.ground}"


def sample_scene(rng: np.random.Generator, subject: str | None = None) -> Scene:
    """Draw a scene at random; `subject` fixes what it shows."""
    return Scene(
        subject=subject or SUBJECTS[rng.integers(len(SUBJECTS))],
        colour=list(COLOURS)[rng.integers(len(COLOURS))],
        ground=GROUNDS[rng.integers(len(GROUNDS))],
        x=float(rng.uniform(0.42, 0.58)),
        y=float(rng.uniform(0.5, 0.6)),
        radius=float(rng.uniform(0.27, 0.35)),
        texture_seed=int(rng.integers(2**31)),
    )


_SKY = {
    "on sand": (150, 205, 240),
    "on grass": (130, 190, 245),
    "on water": (185, 215, 235),
    "on snow": (190, 200, 215),
}
_FLOOR = {
    "on sand": (226, 200, 140),
    "on grass": (95, 165, 75),
    "on water": (50, 110, 175),
    "on snow": (236, 240, 246),
}


def _draw_ground(draw: ImageDraw.ImageDraw, scene: Scene) -> None:
    rng = np.random.default_rng(scene.texture_seed)
    side, horizon = CANVAS, int(CANVAS * 0.6)
    if scene.ground == "at night":
        draw.rectangle([0, 0, side, side], fill=(16, 20, 52))
        for x, y in rng.uniform(0, side, (18, 2)):
            draw.ellipse([x, y, x + 3, y + 3], fill=(240, 240, 210))
    elif scene.ground == "on brick":
        draw.rectangle([0, 0, side, side], fill=(176, 96, 74))
        offset = int(rng.integers(0, 16))
        for row, y in enumerate(range(0, side, 16)):
            draw.line([(0, y), (side, y)], fill=(205, 180, 160), width=3)
            for x in range((row % 2) * 16 - offset, side, 32):
                draw.line([(x, y), (x, y + 16)], fill=(205, 180, 160), width=3)
    else:
        draw.rectangle([0, 0, side, horizon], fill=_SKY[scene.ground])
        draw.rectangle([0, horizon, side, side], fill=_FLOOR[scene.ground])
        shade = darker(_FLOOR[scene.ground], 0.85)
        for x, y in rng.uniform((0, horizon), (side, side), (14, 2)):
            if scene.ground == "on water":
                draw.line([(x, y), (x + 14, y)], fill=(120, 170, 215), width=2)
            elif scene.ground == "on grass":
                draw.line([(x, y), (x + 2, y - 8)], fill=darker(shade, 0.8), width=2)
            else:
                draw.ellipse([x, y, x + 5, y + 2], fill=shade)


def render(scene: Scene, edit: str | None = None, strength: float = 1.0) -> Array:
    """Draw the scene.

    Args:
        scene: What to draw.
        edit: A name of `EDITS`; ignored unless the scene shows that edit's subject.
        strength: How far the edit goes, in [0, 1].

    Returns:
        (64, 64, 3) float32 in [0, 1].
    """
    picture = Image.new("RGB", (CANVAS, CANVAS))
    draw = ImageDraw.Draw(picture)
    _draw_ground(draw, scene)
    pen = Pen(draw, (scene.x * CANVAS, scene.y * CANVAS), scene.radius * CANVAS, COLOURS[scene.colour])
    DRAW[scene.subject](pen)
    if edit is not None and EDITS[edit].subject == scene.subject and strength > 0:
        EDITS[edit].draw(pen, strength)
    return np.asarray(picture.reduce(2), dtype=np.float32) / 255.0
