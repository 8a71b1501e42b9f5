"""The twelve subjects of the pocket scenes, and the graded edits that change six of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ImageDraw

Rgb = tuple[int, int, int]
SIZE = 64
CANVAS = 2 * SIZE  # drawn at twice the size and averaged down, which antialiases the edges
INK: Rgb = (35, 30, 35)


class Pen:
    """Draws in subject coordinates: the subject fills [-1, 1] x [-1, 1], y downwards."""

    def __init__(self, draw: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, fill: Rgb) -> None:
        self.draw, self.fill = draw, fill
        (self.cx, self.cy), self.r = centre, radius

    def at(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(self.cx + x * self.r, self.cy + y * self.r) for x, y in points]

    def poly(self, points: list[tuple[float, float]], fill: Rgb | None = None) -> None:
        self.draw.polygon(self.at(points), fill=fill or self.fill, outline=INK, width=2)

    def oval(self, x0: float, y0: float, x1: float, y1: float, fill: Rgb | None = None, edge: int = 2) -> None:
        self.draw.ellipse(
            [*self.at([(x0, y0)])[0], *self.at([(x1, y1)])[0]],
            fill=fill or self.fill,
            outline=INK if edge else None,
            width=edge,
        )

    def rect(self, x0: float, y0: float, x1: float, y1: float, fill: Rgb | None = None) -> None:
        self.draw.rectangle(
            [*self.at([(x0, y0)])[0], *self.at([(x1, y1)])[0]], fill=fill or self.fill, outline=INK, width=2
        )

    def line(self, points: list[tuple[float, float]], width: int = 3, fill: Rgb = INK) -> None:
        self.draw.line(self.at(points), fill=fill, width=width, joint="curve")


def darker(colour: Rgb, share: float = 0.6) -> Rgb:
    """The colour with `share` of its light."""
    r, g, b = colour
    return int(r * share), int(g * share), int(b * share)


def _boat(p: Pen) -> None:
    p.poly([(-1, 0.35), (1, 0.35), (0.6, 0.95), (-0.6, 0.95)])
    p.line([(0, 0.35), (0, -0.95)])
    p.poly([(0.06, -0.9), (0.06, 0.2), (0.75, 0.2)], fill=(248, 246, 238))
    p.poly([(-0.06, -0.6), (-0.06, 0.2), (-0.6, 0.2)])


def _house(p: Pen) -> None:
    p.rect(-0.75, -0.1, 0.75, 0.95)
    p.poly([(-1, -0.1), (0, -0.95), (1, -0.1)], fill=darker(p.fill, 0.55))
    p.rect(-0.2, 0.4, 0.2, 0.95, fill=(90, 60, 40))
    p.rect(0.35, 0.15, 0.6, 0.4, fill=(250, 240, 170))


def _tree(p: Pen) -> None:
    p.rect(-0.15, 0.3, 0.15, 1.0, fill=(105, 70, 40))
    p.oval(-0.8, -0.95, 0.8, 0.5)


def _star(p: Pen) -> None:
    tips = [
        (
            math.sin(i * math.pi / 5) * (1 if i % 2 == 0 else 0.42),
            -math.cos(i * math.pi / 5) * (1 if i % 2 == 0 else 0.42),
        )
        for i in range(10)
    ]
    p.poly(tips)


def _fish(p: Pen) -> None:
    p.poly([(0.5, 0), (1, -0.5), (1, 0.5)])
    p.oval(-1, -0.5, 0.65, 0.5)
    p.oval(-0.72, -0.2, -0.5, 0.02, fill=(250, 250, 250))
    p.line([(-0.25, -0.35), (-0.12, 0), (-0.25, 0.35)])


def _car(p: Pen) -> None:
    p.poly([(-0.55, 0.0), (-0.3, -0.5), (0.4, -0.5), (0.65, 0.0)], fill=(185, 215, 235))
    p.rect(-1, -0.02, 1, 0.5)
    p.oval(-0.75, 0.25, -0.25, 0.75, fill=(40, 40, 45))
    p.oval(0.25, 0.25, 0.75, 0.75, fill=(40, 40, 45))


def _ball(p: Pen) -> None:
    p.oval(-0.85, -0.85, 0.85, 0.85)
    p.oval(-0.5, -0.6, -0.15, -0.25, fill=(255, 255, 255), edge=0)


def _cup(p: Pen) -> None:
    p.draw.arc([*p.at([(0.25, -0.4)])[0], *p.at([(1.0, 0.45)])[0]], -90, 90, fill=INK, width=5)
    p.poly([(-0.75, -0.7), (0.6, -0.7), (0.42, 0.85), (-0.57, 0.85)])
    p.oval(-0.75, -0.88, 0.6, -0.52, fill=darker(p.fill, 0.5))


def _face(p: Pen) -> None:
    p.oval(-0.85, -0.95, 0.85, 0.95)
    for side in (-1, 1):
        p.oval(side * 0.36 - 0.17, -0.42, side * 0.36 + 0.17, -0.08, fill=(255, 255, 255))
        p.oval(side * 0.36 - 0.07, -0.32, side * 0.36 + 0.07, -0.18, fill=INK)
    p.line([(-0.35, 0.55), (0, 0.68), (0.35, 0.55)], width=4)


def _flower(p: Pen) -> None:
    p.line([(0, 0.1), (0, 1.0)], width=5, fill=(50, 120, 50))
    p.oval(0.05, 0.55, 0.5, 0.8, fill=(70, 150, 70))
    for i in range(6):
        a = i * math.pi / 3
        x, y = 0.45 * math.cos(a), -0.3 + 0.45 * math.sin(a)
        p.oval(x - 0.28, y - 0.28, x + 0.28, y + 0.28)
    p.oval(-0.22, -0.52, 0.22, -0.08, fill=(250, 220, 90))


def _bird(p: Pen) -> None:
    p.poly([(0.55, 0.1), (1.0, -0.2), (0.95, 0.35)])
    p.oval(-0.7, -0.3, 0.7, 0.6)
    p.oval(-0.95, -0.75, -0.25, -0.05)
    p.poly([(-0.93, -0.45), (-1.2, -0.3), (-0.9, -0.25)], fill=(245, 180, 40))
    p.oval(-0.75, -0.55, -0.58, -0.38, fill=(255, 255, 255))
    p.line([(-0.1, 0.58), (-0.1, 0.95)])
    p.line([(0.2, 0.58), (0.2, 0.95)])


def _mushroom(p: Pen) -> None:
    p.poly([(-0.25, 0.0), (0.25, 0.0), (0.35, 0.95), (-0.35, 0.95)], fill=(240, 230, 210))
    p.draw.pieslice([*p.at([(-0.95, -0.85)])[0], *p.at([(0.95, 0.95)])[0]], 180, 360, fill=p.fill, outline=INK, width=2)


DRAW: dict[str, Callable[[Pen], None]] = {
    "boat": _boat, "house": _house, "tree": _tree, "star": _star, "fish": _fish, "car": _car, "ball": _ball,
    "cup": _cup, "face": _face, "flower": _flower, "bird": _bird, "mushroom": _mushroom,
}  # fmt: skip
SUBJECTS = tuple(DRAW)


def _edit_moustache(p: Pen, s: float) -> None:
    w, h = 0.25 + 0.4 * s, 0.08 + 0.16 * s
    for side in (-1, 1):
        p.poly(
            [(0, 0.22), (side * w, 0.22 - h * 0.4), (side * w * 1.05, 0.24 + h), (0, 0.3 + h)],
            fill=(30, 20, 15),
        )


def _edit_snow(p: Pen, s: float) -> None:
    drop = 0.15 + 0.6 * s
    p.poly(
        [
            (0, -1.05),
            (drop * 1.18, -0.95 + drop),
            (drop * 0.5, -0.95 + drop * 0.8),
            (0, -0.95 + drop),
            (-drop * 0.5, -0.95 + drop * 0.8),
            (-drop * 1.18, -0.95 + drop),
        ],
        fill=(252, 253, 255),
    )


def _edit_fruit(p: Pen, s: float) -> None:
    r = 0.07 + 0.12 * s
    for x, y in [(-0.4, -0.4), (0.35, -0.5), (0, -0.1), (-0.45, 0.1), (0.45, 0.05), (0.0, -0.7)]:
        p.oval(x - r, y - r, x + r, y + r, fill=(225, 35, 35), edge=1)


def _edit_flag(p: Pen, s: float) -> None:
    w = 0.2 + 0.7 * s
    p.poly([(0, -1.2), (w, -1.2 + w * 0.3), (0, -1.2 + w * 0.65)], fill=(230, 40, 160))


def _edit_spots(p: Pen, s: float) -> None:
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


def _edit_crown(p: Pen, s: float) -> None:
    h, w = 0.2 + 0.45 * s, 0.2 + 0.2 * s
    x, y = -0.6, -0.7
    p.poly(
        [
            (x - w, y),
            (x - w, y - h),
            (x - w / 2, y - h / 2),
            (x, y - h),
            (x + w / 2, y - h / 2),
            (x + w, y - h),
            (x + w, y),
        ],
        fill=(250, 205, 40),
    )


@dataclass(frozen=True)
class Edit:
    """A graded change of one subject: `draw(pen, strength)` with strength in [0, 1]."""

    name: str
    subject: str
    draw: Callable[[Pen, float], None]


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
