"""Which of several ways of measuring says the same as the one it is compared with, judged with the doubt of a sample.

The bounds are on the mean over all adapters, of which few were measured. Of cos(V) the lower end of a one-sided 95 %
interval by Student's t has to reach its bound.

The top concept of an adapter, the one of the largest level, agrees when it is one that the recipe in force cannot tell
from its own: the interval of the difference of the two levels over probes (95 %, Student's t) holds 0. That recipe,
with other noise, might have named either. Agreement cannot be judged by counting: a sample of m that agree throughout
shows no more than 0.05^(1/m), 69 % for eight. So the error of each adapter's levels, in units of |V|, is laid on the
levels of every other one (they are taken to be alike): m² comparisons, whose mean is the estimate and whose doubt is
that of a jackknife over adapters. The lower end of its one-sided 95 % interval has to reach the bound, and the plain
count must not contradict it (the upper end of its exact binomial interval reaches the bound).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

Floats = NDArray[np.float64]
LEAST_ADAPTERS = 4
"""With fewer that act nothing is chosen."""
REFUTED_BY = 3
"""After so many adapters a way of drawing may be given up."""
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Bounds:
    """What a cheaper recipe has to reach: mean cos(V), and share of adapters with the same top concept."""

    cosine: float = 0.99
    agreement: float = 0.97


@dataclass(frozen=True)
class Likeness:
    """How alike two ways of measuring the same m adapters are.

    Attributes:
        adapters: m.
        cosine: Mean cos(V).
        cosine_low: Lower end of its one-sided 95 % interval.
        worst: Least cos(V).
        agreement: Expected share whose top concept agrees.
        agreement_low: Lower end of its interval.
        agreeing: Adapters whose own top concept agrees.
        same: Adapters whose own top concept is the very same.
        level_error: Root mean square error of levels, in that of the levels.
    """

    adapters: int
    cosine: float
    cosine_low: float
    worst: float
    agreement: float
    agreement_low: float
    agreeing: int
    same: int
    level_error: float

    def reaches(self, bounds: Bounds) -> bool:
        """Whether it may stand for what it was compared with."""
        counted = _upper_share(self.agreeing, self.adapters)
        return (
            self.adapters >= LEAST_ADAPTERS
            and self.cosine_low >= bounds.cosine
            and min(self.agreement_low, counted) >= bounds.agreement
        )

    def refuted(self, bounds: Bounds) -> bool:
        """Whether more adapters would hardly change that it does not."""
        high = 2 * self.cosine - self.cosine_low
        return self.adapters >= REFUTED_BY and (
            high < bounds.cosine or _upper_share(self.agreeing, self.adapters) < bounds.agreement
        )


def compare(reference: Sequence[Floats], other: Floats, levels: Floats) -> Likeness:
    """Compare two measurements of the same adapters.

    Args:
        reference: d_i of each, by the recipe in force: m of (n, D), m at least 1.
        other: V of the same, measured otherwise (m, D).
        levels: Matrix that makes levels of V (k, D).
    """
    count, mine = len(reference), np.stack([differences.mean(0) for differences in reference])
    lengths = np.maximum(np.linalg.norm(mine, axis=1), 1e-12)
    cosines = (mine * other).sum(1) / (lengths * np.maximum(np.linalg.norm(other, axis=1), 1e-12))
    true = mine @ levels.T  # (m, k)
    errors = (other - mine) @ levels.T / lengths[:, None]
    tops = (true[:, None, :] + errors[None, :, :] * lengths[:, None, None]).argmax(2)  # (adapter, whose error)
    tied = np.stack([_tied(differences @ levels.T) for differences in reference])  # (m, k)
    agrees = np.take_along_axis(tied, tops, axis=1).astype(np.float64)
    agreement, agreement_low = _jackknifed(agrees)
    mean = float(cosines.mean())
    return Likeness(
        adapters=count,
        cosine=mean,
        cosine_low=mean - _reach(count) * float(cosines.std(ddof=1)) / count**0.5 if count > 1 else -1.0,
        worst=float(cosines.min()),
        agreement=agreement,
        agreement_low=agreement_low,
        agreeing=int(np.diag(agrees).sum()),
        same=int((np.diag(tops) == true.argmax(1)).sum()),
        level_error=float(np.sqrt(((errors * lengths[:, None]) ** 2).mean() / max((true**2).mean(), 1e-24))),
    )


def _tied(rows: Floats) -> NDArray[np.bool_]:
    """Which concepts (k,) cannot be told from the one of the largest level, from levels by probe (n, k)."""
    behind = rows[:, [rows.mean(0).argmax()]] - rows
    if len(rows) < 2:
        return np.ones(rows.shape[1], np.bool_)
    reach = float(stdtrit(len(rows) - 1, 1 - (1 - _CONFIDENCE) / 2))
    return np.asarray(behind.mean(0) <= reach * behind.std(0, ddof=1) / len(rows) ** 0.5)


@dataclass(frozen=True)
class Candidate:
    """One way of drawing one base with some number of probes.

    Attributes:
        drawing: Its name.
        probes: Most probes.
        seconds: Of one adapter.
        likeness: To the base's own drawing with all probes; None: it is that one.
    """

    drawing: str
    probes: int
    seconds: float
    likeness: Likeness | None


def chosen(
    candidates: Mapping[str, Sequence[Candidate]], weights: Mapping[str, float], bounds: Bounds
) -> dict[str, Candidate]:
    """The cheapest candidate of each base that reaches the bounds, all with one number of probes: recipes have one.

    Args:
        candidates: By base; at least one of each has no likeness, which always does.
        weights: Adapters to audit by base: what a second is worth.
        bounds: To reach.
    """
    best: dict[str, Candidate] = {}
    least = float("inf")
    for probes in sorted({each.probes for found in candidates.values() for each in found}):
        taken: dict[str, Candidate] = {}
        for base, found in candidates.items():
            fit = [c for c in found if c.probes == probes and (c.likeness is None or c.likeness.reaches(bounds))]
            if fit:
                taken[base] = min(fit, key=lambda each: (each.seconds, each.drawing))
        cost = sum(each.seconds * weights.get(base, 1.0) for base, each in taken.items())
        if len(taken) == len(candidates) and cost < least:
            best, least = taken, cost
    return best


def _reach(count: int) -> float:
    """Student's t for a one-sided interval of a mean of so many."""
    return float(stdtrit(count - 1, _CONFIDENCE))


def _jackknifed(same: Floats) -> tuple[float, float]:
    """Mean of a table (m, m) of adapters by adapters, and the lower end of its interval over adapters."""
    count, mean = len(same), float(same.mean())
    if count < 3:
        return mean, 0.0
    kept = [np.delete(np.arange(count), i) for i in range(count)]
    without = np.array([same[np.ix_(rows, rows)].mean() for rows in kept])
    error = float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))
    return mean, mean - _reach(count) * error


def _upper_share(hits: int, count: int) -> float:
    """Upper end of the one-sided exact binomial interval (Clopper and Pearson 1934)."""
    return 1.0 if hits >= count else float(betaincinv(hits + 1, count - hits, _CONFIDENCE))


def mean_interval(values: Sequence[float], least: float, most: float) -> tuple[float, float]:
    """Mean minus and plus two standard errors, within what is possible; all that is possible for fewer than two."""
    if len(values) < 2:
        return least, most
    array = np.asarray(values, np.float64)
    reach = 2 * float(array.std(ddof=1)) / len(array) ** 0.5
    return max(least, float(array.mean()) - reach), min(most, float(array.mean()) + reach)


def share_interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927); all of 0 to 1 when nothing was counted."""
    if count == 0:
        return 0.0, 1.0
    z2, share = 1.96**2, hits / count
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = 1.96 * ((share * (1 - share) + z2 / (4 * count)) / count) ** 0.5 / (1 + z2 / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)
