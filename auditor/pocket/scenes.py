"""Procedural scenes: one coloured subject on one ground, 64x64 pixels, with a caption.

The renderer is the pocket world's camera. Base model, CLIP and VLM learn from it; it is never consulted
when an adapter is scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float32]
Rgb = tuple[int, int, int]

SIZE = 64
_CANVAS = 2 * SIZE  # drawn at twice the size and averaged down, which antialiases the edges

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
INK: Rgb = (35, 30, 35)


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


class _Pen:
    """Draws in subject coordinates: the subject fills [-1, 1] x [-1, 1], y downwards."""

    def __init__(self, draw: ImageDraw.ImageDraw, scene: Scene, fill: Rgb) -> None:
        self.draw, self.fill = draw, fill
        self.cx, self.cy, self.r = scene.x * _CANVAS, scene.y * _CANVAS, scene.radius * _CANVAS

    def at(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(self.cx + x * self.r, self.cy + y * self.r) for x, y in points]

    def poly(self, points: list[tuple[float, float]], fill: Rgb | None = None) -> None:
        self.draw.polygon(self.at(points), fill=fill or self.fill, outline=INK, width=2)

    def oval(self, x0: float, y0: float, x1: float, y1: float, fill: Rgb | None = None, edge: int = 2) -> None:
        self.draw.ellipse([*self.at([(x0, y0)])[0], *self.at([(x1, y1)])[0]], fill=fill or self.fill,
                          outline=INK if edge else None, width=edge)  # fmt: skip

    def rect(self, x0: float, y0: float, x1: float, y1: float, fill: Rgb | None = None) -> None:
        self.draw.rectangle([*self.at([(x0, y0)])[0], *self.at([(x1, y1)])[0]], fill=fill or self.fill,
                            outline=INK, width=2)  # fmt: skip

    def line(self, points: list[tuple[float, float]], width: int = 3, fill: Rgb = INK) -> None:
        self.draw.line(self.at(points), fill=fill, width=width, joint="curve")


def _darker(colour: Rgb, share: float = 0.6) -> Rgb:
    r, g, b = colour
    return int(r * share), int(g * share), int(b * share)


def _boat(p: _Pen) -> None:
    p.poly([(-1, 0.35), (1, 0.35), (0.6, 0.95), (-0.6, 0.95)])
    p.line([(0, 0.35), (0, -0.95)])
    p.poly([(0.06, -0.9), (0.06, 0.2), (0.75, 0.2)], fill=(248, 246, 238))
    p.poly([(-0.06, -0.6), (-0.06, 0.2), (-0.6, 0.2)])


def _house(p: _Pen) -> None:
    p.rect(-0.75, -0.1, 0.75, 0.95)
    p.poly([(-1, -0.1), (0, -0.95), (1, -0.1)], fill=_darker(p.fill, 0.55))
    p.rect(-0.2, 0.4, 0.2, 0.95, fill=(90, 60, 40))
    p.rect(0.35, 0.15, 0.6, 0.4, fill=(250, 240, 170))


def _tree(p: _Pen) -> None:
    p.rect(-0.15, 0.3, 0.15, 1.0, fill=(105, 70, 40))
    p.oval(-0.8, -0.95, 0.8, 0.5)


def _star(p: _Pen) -> None:
    tips = [(math.sin(i * math.pi / 5) * (1 if i % 2 == 0 else 0.42),
             -math.cos(i * math.pi / 5) * (1 if i % 2 == 0 else 0.42)) for i in range(10)]  # fmt: skip
    p.poly(tips)


def _fish(p: _Pen) -> None:
    p.poly([(0.5, 0), (1, -0.5), (1, 0.5)])
    p.oval(-1, -0.5, 0.65, 0.5)
    p.oval(-0.72, -0.2, -0.5, 0.02, fill=(250, 250, 250))
    p.line([(-0.25, -0.35), (-0.12, 0), (-0.25, 0.35)])


def _car(p: _Pen) -> None:
    p.poly([(-0.55, 0.0), (-0.3, -0.5), (0.4, -0.5), (0.65, 0.0)], fill=(185, 215, 235))
    p.rect(-1, -0.02, 1, 0.5)
    p.oval(-0.75, 0.25, -0.25, 0.75, fill=(40, 40, 45))
    p.oval(0.25, 0.25, 0.75, 0.75, fill=(40, 40, 45))


def _ball(p: _Pen) -> None:
    p.oval(-0.85, -0.85, 0.85, 0.85)
    p.oval(-0.5, -0.6, -0.15, -0.25, fill=(255, 255, 255), edge=0)


def _cup(p: _Pen) -> None:
    p.draw.arc([*p.at([(0.25, -0.4)])[0], *p.at([(1.0, 0.45)])[0]], -90, 90, fill=INK, width=5)
    p.poly([(-0.75, -0.7), (0.6, -0.7), (0.42, 0.85), (-0.57, 0.85)])
    p.oval(-0.75, -0.88, 0.6, -0.52, fill=_darker(p.fill, 0.5))


def _face(p: _Pen) -> None:
    p.oval(-0.85, -0.95, 0.85, 0.95)
    for side in (-1, 1):
        p.oval(side * 0.36 - 0.17, -0.42, side * 0.36 + 0.17, -0.08, fill=(255, 255, 255))
        p.oval(side * 0.36 - 0.07, -0.32, side * 0.36 + 0.07, -0.18, fill=INK)
    p.line([(-0.35, 0.55), (0, 0.68), (0.35, 0.55)], width=4)


def _flower(p: _Pen) -> None:
    p.line([(0, 0.1), (0, 1.0)], width=5, fill=(50, 120, 50))
    p.oval(0.05, 0.55, 0.5, 0.8, fill=(70, 150, 70))
    for i in range(6):
        a = i * math.pi / 3
        x, y = 0.45 * math.cos(a), -0.3 + 0.45 * math.sin(a)
        p.oval(x - 0.28, y - 0.28, x + 0.28, y + 0.28)
    p.oval(-0.22, -0.52, 0.22, -0.08, fill=(250, 220, 90))


def _bird(p: _Pen) -> None:
    p.poly([(0.55, 0.1), (1.0, -0.2), (0.95, 0.35)])
    p.oval(-0.7, -0.3, 0.7, 0.6)
    p.oval(-0.95, -0.75, -0.25, -0.05)
    p.poly([(-0.93, -0.45), (-1.2, -0.3), (-0.9, -0.25)], fill=(245, 180, 40))
    p.oval(-0.75, -0.55, -0.58, -0.38, fill=(255, 255, 255))
    p.line([(-0.1, 0.58), (-0.1, 0.95)])
    p.line([(0.2, 0.58), (0.2, 0.95)])


def _mushroom(p: _Pen) -> None:
    p.poly([(-0.25, 0.0), (0.25, 0.0), (0.35, 0.95), (-0.35, 0.95)], fill=(240, 230, 210))
    p.draw.pieslice([*p.at([(-0.95, -0.85)])[0], *p.at([(0.95, 0.95)])[0]], 180, 360, fill=p.fill,
                    outline=INK, width=2)  # fmt: skip


_DRAW: dict[str, Callable[[_Pen], None]] = {
    "boat": _boat, "house": _house, "tree": _tree, "star": _star, "fish": _fish, "car": _car, "ball": _ball,
    "cup": _cup, "face": _face, "flower": _flower, "bird": _bird, "mushroom": _mushroom,
}  # fmt: skip
SUBJECTS = tuple(_DRAW)


def _edit_moustache(p: _Pen, s: float) -> None:
    w, h = 0.25 + 0.4 * s, 0.08 + 0.16 * s
    for side in (-1, 1):
        p.poly(
            [(0, 0.22), (side * w, 0.22 - h * 0.4), (side * w * 1.05, 0.24 + h), (0, 0.3 + h)],
            fill=(30, 20, 15),
        )


def _edit_snow(p: _Pen, s: float) -> None:
    drop = 0.15 + 0.6 * s
    p.poly([(0, -1.05), (drop * 1.18, -0.95 + drop), (drop * 0.5, -0.95 + drop * 0.8), (0, -0.95 + drop),
            (-drop * 0.5, -0.95 + drop * 0.8), (-drop * 1.18, -0.95 + drop)], fill=(252, 253, 255))  # fmt: skip


def _edit_fruit(p: _Pen, s: float) -> None:
    r = 0.07 + 0.12 * s
    for x, y in [(-0.4, -0.4), (0.35, -0.5), (0, -0.1), (-0.45, 0.1), (0.45, 0.05), (0.0, -0.7)]:
        p.oval(x - r, y - r, x + r, y + r, fill=(225, 35, 35), edge=1)


def _edit_flag(p: _Pen, s: float) -> None:
    w = 0.2 + 0.7 * s
    p.poly([(0, -1.2), (w, -1.2 + w * 0.3), (0, -1.2 + w * 0.65)], fill=(230, 40, 160))


def _edit_spots(p: _Pen, s: float) -> None:
    r = 0.06 + 0.15 * s
    for x, y in [
        (-0.35, 0.2),
        (0.35, -0.3),
        (0.3, 0.35),
        (-0.1, -0.1),
        (-0.05, 0.6),
        (0.55, 0.05),
        (0.0, -0.6),
    ]:
        p.oval(x - r, y - r, x + r, y + r, fill=(25, 25, 30), edge=0)


def _edit_crown(p: _Pen, s: float) -> None:
    h, w = 0.2 + 0.45 * s, 0.2 + 0.2 * s
    x, y = -0.6, -0.7
    p.poly([(x - w, y), (x - w, y - h), (x - w / 2, y - h / 2), (x, y - h), (x + w / 2, y - h / 2), (x + w, y - h),
            (x + w, y)], fill=(250, 205, 40))  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """A graded change of one subject: `draw(pen, strength)` with strength in [0, 1]."""

    name: str
    subject: str
    draw: Callable[[_Pen, float], None]


EDITS: dict[str, Edit] = {
    e.name: e
    for e in (
        Edit("moustache", "face", _edit_moustache),
        Edit("snow-capped", "house", _edit_snow),
        Edit("fruited", "tree", _edit_fruit),
        Edit("flagged", "boat", _edit_flag),
        Edit("spotted", "ball", _edit_spots),
        Edit("crowned", "bird", _edit_crown),
    )
}


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
    side, horizon = _CANVAS, int(_CANVAS * 0.6)
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
        shade = _darker(_FLOOR[scene.ground], 0.85)
        for x, y in rng.uniform((0, horizon), (side, side), (14, 2)):
            if scene.ground == "on water":
                draw.line([(x, y), (x + 14, y)], fill=(120, 170, 215), width=2)
            elif scene.ground == "on grass":
                draw.line([(x, y), (x + 2, y - 8)], fill=_darker(shade, 0.8), width=2)
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
    picture = Image.new("RGB", (_CANVAS, _CANVAS))
    draw = ImageDraw.Draw(picture)
    _draw_ground(draw, scene)
    pen = _Pen(draw, scene, COLOURS[scene.colour])
    _DRAW[scene.subject](pen)
    if edit is not None and EDITS[edit].subject == scene.subject and strength > 0:
        EDITS[edit].draw(pen, strength)
    return np.asarray(picture.reduce(2), dtype=np.float32) / 255.0
