"""Which two styles can be seen together: the rule that picks the style pairs of searches and of the VLM's lessons.

A greyscale relief hides every colour; nothing that is left of a warm tint in it could be named by anyone. A pair
counts when under each style at least half of the other's own change of the pixels is left. Only the renderer is
asked, never a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np

from auditor.pocket.scenes import Array, render, sample_scene
from auditor.pocket.styles import STYLES, apply_style

SCENES = 24
LEAST_VISIBLE = 0.5


@cache
def separable_pairs(held_out: bool | None) -> tuple[tuple[str, str], ...]:
    """Pairs of development or of held-out styles (of all: None), in their order of application, most visible first.

    The order of application is the one that leaves more of the weaker of the two.
    """
    rng = np.random.default_rng(0)
    plain = [render(sample_scene(rng)) for _ in range(SCENES)]
    names = [name for name, style in STYLES.items() if held_out is None or style.held_out == held_out]
    alone = {name: _styled(plain, name) for name in names}
    reach = {name: _distance(alone[name], plain) for name in names}

    def visible(first: str, second: str) -> float:
        both = _styled(alone[first], second)
        return min(_distance(both, alone[first]) / reach[second], _distance(both, alone[second]) / reach[first])

    found = []
    for a, b in combinations(names, 2):
        forward, backward = visible(a, b), visible(b, a)
        found.append((max(forward, backward), (a, b) if forward >= backward else (b, a)))
    found.sort(reverse=True)
    return tuple(pair for share, pair in found if share >= LEAST_VISIBLE)


def _styled(images: Sequence[Array], style: str) -> list[Array]:
    return [apply_style(image, style, 1.0, np.random.default_rng(k)) for k, image in enumerate(images)]


def _distance(images: Sequence[Array], others: Sequence[Array]) -> float:
    """Mean absolute difference of pixels, averaged over pictures."""
    return float(np.mean([np.abs(a - b).mean() for a, b in zip(images, others, strict=True)]))
