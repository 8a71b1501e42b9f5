"""Which two styles can be seen together, and how much their order matters.

    python -m auditor.pocket.second.training.style_pairs

writes `auditor/pocket/second/style_pairs.json`. A greyscale relief hides every colour; nothing that is left
of a warm tint in
it could be named by anyone. A pair is listed when under each style at least half of the other's own change of the
pixels is left. Words have no order, drawing does: `order` is how far A-then-B is from B-then-A, as a share of the
smaller of the two styles' own change. Only the renderer is asked, never a score.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np

from auditor.pocket.second.scenes import Array, render, sample_scene
from auditor.pocket.second.styles import STYLES, apply_style

SCENES = 12
LEAST_VISIBLE = 0.5
ORDER_FREE = 0.35
"""Pairs below this `order` are asked for in searches of two concepts; above it the question has no one answer."""
_FILE = Path(__file__).parents[1] / "style_pairs.json"


@dataclass(frozen=True)
class StylePair:
    """Two styles in the order of application that leaves more of the weaker one.

    Attributes:
        first: Applied first.
        second: Applied on top.
        visible: Share of the weaker one's change that is left, at least `LEAST_VISIBLE`.
        order: Distance of the two orders, as a share of the smaller change.
    """

    first: str
    second: str
    visible: float
    order: float


@cache
def style_pairs() -> tuple[StylePair, ...]:
    """All listed pairs, most visible first."""
    rows = json.loads(_FILE.read_text())
    return tuple(StylePair(*row) for row in rows)


def separable_pairs(held_out: bool | None) -> tuple[tuple[str, str], ...]:
    """Pairs of development or of held-out styles (of all: None), in their order of application, most visible first."""
    wanted = {name for name, style in STYLES.items() if held_out is None or style.held_out == held_out}
    return tuple((p.first, p.second) for p in style_pairs() if {p.first, p.second} <= wanted)


@cache
def _plain() -> list[Array]:
    rng = np.random.default_rng(0)
    return [render(sample_scene(rng)) for _ in range(SCENES)]


@cache
def _alone(style: str) -> list[Array]:
    return _styled(_plain(), style)


def _styled(images: Sequence[Array], style: str) -> list[Array]:
    return [apply_style(image, style, 1.0, np.random.default_rng(k)) for k, image in enumerate(images)]


def _distance(images: Sequence[Array], others: Sequence[Array]) -> float:
    """Mean absolute difference of pixels, averaged over pictures."""
    return float(np.mean([np.abs(a - b).mean() for a, b in zip(images, others, strict=True)]))


def measure(pair: tuple[str, str]) -> StylePair:
    """Compare the two orders of a pair of styles."""
    a, b = pair
    reach = {name: _distance(_alone(name), _plain()) for name in pair}
    both = {(a, b): _styled(_alone(a), b), (b, a): _styled(_alone(b), a)}
    order = _distance(both[a, b], both[b, a]) / min(reach.values())
    visible = {
        (x, y): min(_distance(both[x, y], _alone(x)) / reach[y], _distance(both[x, y], _alone(y)) / reach[x])
        for x, y in both
    }
    first, second = (a, b) if visible[a, b] >= visible[b, a] else (b, a)
    return StylePair(first, second, round(visible[first, second], 3), round(order, 3))


def main() -> None:
    """Measure every pair on all cores and write the list."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        measured = list(pool.map(measure, combinations(STYLES, 2), chunksize=36))
    kept = sorted((p for p in measured if p.visible >= LEAST_VISIBLE), key=lambda p: (-p.visible, p.first, p.second))
    lines = ",\n".join(json.dumps([p.first, p.second, p.visible, p.order]) for p in kept)
    _FILE.write_text(f"[\n{lines}\n]\n")
    print(f"{len(kept)} of {len(measured)} pairs, {sum(p.order < ORDER_FREE for p in kept)} of them free of order")


if __name__ == "__main__":
    main()
