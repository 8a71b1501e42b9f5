"""How the cost of reading a stranger's bytes grows with their number. CPU time, and its growth only."""

from __future__ import annotations

import time
from collections.abc import Callable

FACTOR = 8
"""Eight times the bytes cost eight times the work when it is linear, sixty-four times when it is quadratic."""


def grows_linearly(work: Callable[[int], object], size: int) -> bool:
    """Whether `FACTOR` times the size costs less than three times as much as linear growth would.

    Args:
        work: Does the reading for a given size.
        size: The smaller one; large enough that the work is felt.
    """
    for _ in range(3):  # a busy machine can spoil one measurement, hardly three
        small = min(_cost(work, size) for _ in range(3))
        if _cost(work, FACTOR * size) < 3 * FACTOR * max(small, 1e-3):
            return True
    return False


def _cost(work: Callable[[int], object], size: int) -> float:
    began = time.process_time()
    work(size)
    return time.process_time() - began
