"""How far, and in which direction, a personalised generator moved: d_i and V (Eq. 4-5), and how sure we are.

The precision of V comes in closed form. With per-probe differences d_i of mean mu, the off-diagonal inner
products <d_i, d_j> estimate |mu|² without bias, and what is left of the mean |d_i|² is the spread S. The
sample mean of n probes then has an expected cosine error of about 1 - 1/sqrt(1 + S / (n |mu|²)), so after a
first look the number of probes that a target needs is known.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from auditor.finexl.arrays import TINY, FloatArray, as_rows

LOOKS = (25, 50, 100, 200)
"""Default nested probe counts at which an audit may stop (25-50 suffice for textures, App. E)."""

LookReason = Literal["target_reached", "target_missed", "no_detectable_effect", "more_probes"]


@dataclass(frozen=True, eq=False)
class Divergence:
    """The divergence of one adapter from its base.

    Attributes:
        differences: d_i, one row per probe (n, D).
        mean: V, the mean difference (D,).
        norm: |V|, in units of the encoder's unit sphere.
    """

    differences: FloatArray
    mean: FloatArray
    norm: float

    @property
    def probes(self) -> int:
        """Number of probes n."""
        return int(self.differences.shape[0])


@dataclass(frozen=True)
class Precision:
    """What n probes tell about the direction of V.

    Attributes:
        probes: n.
        signal: Unbiased estimate of |mu|²; may be negative when there is no effect; 0 for n = 1.
        signal_error: Standard error of `signal`; for n < 3 the mean |d_i|² stands in for it.
        spread: Expected |d_i - mu|², never negative.
        cosine_error: Expected 1 - cos(V, mu); 1 where no direction can be told.
    """

    probes: int
    signal: float
    signal_error: float
    spread: float
    cosine_error: float


@dataclass(frozen=True)
class Look:
    """Decision at one look of a sequential audit; `next_probes` is None when it should stop."""

    reason: LookReason
    next_probes: int | None
    precision: Precision
    target: float


def divergence(differences: ArrayLike) -> Divergence:
    """Average the differences (n, D) into V (Algorithm 1 divides the sum of Eq. 5 by n)."""
    rows = as_rows(differences, "differences")
    mean = rows.mean(axis=0)
    return Divergence(rows, mean, float(np.linalg.norm(mean)))


def precision(differences: ArrayLike) -> Precision:
    """Estimate |mu|², the spread and the expected cosine error of the mean of `differences` (n, D)."""
    rows = as_rows(differences, "differences")
    n = rows.shape[0]
    mean_square = float((rows**2).sum(axis=1).mean())
    if n == 1 or mean_square <= TINY**2:
        # One probe cannot tell effect from spread, and a zero change has no direction at all.
        return Precision(n, 0.0, mean_square, mean_square, 1.0)
    gram = rows @ rows.T
    off_diagonal = float(gram.sum() - np.trace(gram))
    signal = off_diagonal / (n * (n - 1))
    spread = max(0.0, mean_square - signal)
    error = mean_square if n == 2 else _signal_error(gram, off_diagonal)
    return Precision(n, signal, error, spread, expected_cosine_error(signal, spread, n))


def expected_cosine_error(signal: float, spread: float, probes: float) -> float:
    """Expected 1 - cos(V, mu) at `probes` probes: 1 - 1/sqrt(1 + spread / (probes * signal))."""
    if signal <= TINY**2:
        return 1.0
    return 1.0 - 1.0 / math.sqrt(1.0 + spread / (probes * signal))


def probes_needed(estimate: Precision, target: float) -> int | None:
    """Smallest n whose expected cosine error is at most `target`; None when no effect was detected."""
    return _needed(estimate.signal, estimate.spread, target)


def next_look(differences: ArrayLike, *, target: float = 0.05, looks: Sequence[int] = LOOKS, z: float = 1.96) -> Look:
    """Decide whether the probes so far suffice, and if not, how many to go on to.

    Stop when the expected cosine error is at most `target`; when the last look is done; or when the
    interval of |mu|² covers 0 and even its upper end would miss the target at the last look, since more
    probes would then only measure noise. Otherwise go to the smallest look that the closed form calls for.

    Args:
        differences: d_i of the probes seen so far (n, D), in the fixed nested order.
        target: Wanted expected cosine error of V.
        looks: Allowed probe counts, increasing.
        z: Width of the interval of |mu|² in standard errors.
    """
    if not looks or any(b <= a for a, b in itertools.pairwise(looks)) or looks[0] < 1:
        raise ValueError(f"looks must be increasing positive counts, got {tuple(looks)}")
    estimate = precision(differences)
    needed = probes_needed(estimate, target)
    later = [look for look in looks if look > estimate.probes]
    if needed is not None and needed <= estimate.probes:
        return Look("target_reached", None, estimate, target)
    undetected = estimate.signal - z * estimate.signal_error <= 0.0
    if not later:
        return Look("no_detectable_effect" if undetected else "target_missed", None, estimate, target)
    if undetected:
        at_best = _needed(estimate.signal + z * estimate.signal_error, estimate.spread, target)
        if at_best is None or at_best > looks[-1]:
            return Look("no_detectable_effect", None, estimate, target)
        # The signal is too uncertain to size the next look by, so take the smallest step.
        return Look("more_probes", later[0], estimate, target)
    enough = [look for look in later if needed is not None and look >= needed]
    return Look("more_probes", enough[0] if enough else later[-1], estimate, target)


def _needed(signal: float, spread: float, target: float) -> int | None:
    if not 0.0 < target < 1.0:
        raise ValueError(f"target must lie between 0 and 1, got {target}")
    if signal <= TINY**2:
        return None
    noise_to_signal = 1.0 / (1.0 - target) ** 2 - 1.0
    return max(1, math.ceil(spread / (signal * noise_to_signal) - 1e-9))


def _signal_error(gram: FloatArray, off_diagonal: float) -> float:
    """Standard error of the mean off-diagonal entry of `gram` (n, n), n >= 3.

    The jackknife describes a present effect and vanishes without one, where the spread of the single
    products decides; the larger of both is safe in either case.
    """
    n = gram.shape[0]
    products = gram - np.diag(np.diag(gram))
    left_out = (off_diagonal - 2.0 * products.sum(axis=1)) / ((n - 1) * (n - 2))
    jackknife = (n - 1) / n * float(((left_out - left_out.mean()) ** 2).sum())
    without_effect = 2.0 * float((products**2).sum()) / (n * (n - 1)) ** 2
    return math.sqrt(max(jackknife, without_effect))
