"""Graded changes of one subject each: what an adapter of a thing, rather than of a look, does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from auditor.pocket.second.subjects import Pen


def _edit_moustache(p: Pen, s: float) -> None:
    w, h = 0.25 + 0.4 * s, 0.08 + 0.16 * s
    for side in (-1, 1):
        p.poly(
            [(0, 0.22), (side * w, 0.22 - h * 0.4), (side * w * 1.05, 0.24 + h), (0, 0.3 + h)],
            fill=(30, 20, 15),
        )


def _edit_snow(p: Pen, s: float) -> None:
    drop = 0.15 + 0.6 * s
    p.poly([(0, -1.05), (drop * 1.18, -0.95 + drop), (drop * 0.5, -0.95 + drop * 0.8), (0, -0.95 + drop),
            (-drop * 0.5, -0.95 + drop * 0.8), (-drop * 1.18, -0.95 + drop)], fill=(252, 253, 255))  # fmt: skip


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
    p.poly([(x - w, y), (x - w, y - h), (x - w / 2, y - h / 2), (x, y - h), (x + w / 2, y - h / 2), (x + w, y - h),
            (x + w, y)], fill=(250, 205, 40))  # fmt: skip


def _edit_halo(p: Pen, s: float) -> None:
    w = 0.35 + 0.45 * s
    p.draw.ellipse([*p.at([(-w, -1.3)])[0], *p.at([(w, -1.3 + 0.55 * w)])[0]], outline=(255, 235, 90),
                   width=2 + round(4 * s))  # fmt: skip


def _edit_bubbles(p: Pen, s: float) -> None:
    r = 0.08 + 0.16 * s
    for x, y in [(-1.05, -0.55), (-0.75, -0.95), (-0.3, -0.8), (0.3, -0.95)]:
        p.oval(x - r, y - r, x + r, y + r, fill=(170, 240, 255), edge=1)


def _edit_luggage(p: Pen, s: float) -> None:
    w, h = 0.2 + 0.3 * s, 0.15 + 0.45 * s
    p.rect(-w, -0.5 - h, w + 0.05, -0.5, fill=(150, 95, 50))


def _edit_steam(p: Pen, s: float) -> None:
    for x in (-0.45, -0.08, 0.3):
        top = -0.95 - 0.55 * s
        p.line([(x, -0.9), (x + 0.12, -0.9 + (top + 0.9) * 0.4), (x - 0.1, -0.9 + (top + 0.9) * 0.7), (x + 0.05, top)],
               width=3 + round(4 * s), fill=(225, 225, 235))  # fmt: skip


def _edit_butterfly(p: Pen, s: float) -> None:
    r = 0.12 + 0.3 * s
    for side in (-1, 1):
        p.poly([(0.0, -0.3), (side * r, -0.3 - r), (side * r, -0.3 + r)], fill=(20, 20, 25))


def _edit_lantern(p: Pen, s: float) -> None:
    r = 0.1 + 0.2 * s
    p.rect(-r, 0.45 - r, r, 0.45 + r, fill=(255, 225, 60))


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
        Edit("haloed", "star", _edit_halo),
        Edit("bubbling", "fish", _edit_bubbles),
        Edit("loaded", "car", _edit_luggage),
        Edit("steaming", "cup", _edit_steam),
        Edit("butterflied", "flower", _edit_butterfly),
        Edit("lamplit", "mushroom", _edit_lantern),
    )
}
