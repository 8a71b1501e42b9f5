"""In which denoising steps classifier-free guidance acts, when it does so in an interval only."""

from __future__ import annotations

import math

Interval = tuple[float, float]
"""From and to, in shares of the steps: 0 is the first, of pure noise."""
ALWAYS: Interval = (0.0, 1.0)


def guided_steps(steps: int, interval: Interval) -> range:
    """Steps k, counted from 0, with interval[0] <= k / steps < interval[1]."""
    first, end = (math.ceil(share * steps - 1e-9) for share in interval)
    return range(first, end)
