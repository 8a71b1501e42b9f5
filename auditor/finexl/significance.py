"""Is there an effect at all? A sign-flip null over d_i, and a noise floor from the base against itself.

Three kinds of "change" must not be scored. An adapter that does nothing gives d_i = 0. One that only
reshuffles the noise (an untrained or badly converted adapter) moves each image, but in no common direction.
And numerical differences move every image a little, perhaps even consistently, but by too little to see.

The rule of `effect_test`. There is an effect only when all of these hold:

1. some d_i is longer than rounding (`ROUNDING`), else the reason is "identical";
2. n is large enough for the sign-flip test to reach `alpha` at all (2^(1-n) <= alpha: 6 probes for 5 %),
   else "too_few_probes";
3. the sign-flip p-value of |V| is at most `alpha`, else "no_common_direction";
4. |V| is above the floor, else "below_floor".

About the floor. Two renderings of the base with different seeds differ by long e_i of mean near zero, while
adapter and base share their seeds, so an adapter's d_i may be far shorter. Comparing |V| with the raw
seed noise would therefore reject weak but perfectly consistent adapters. What the seed noise does tell is
in which directions this base scatters: had the adapter merely re-drawn part of each image, d_i would look
like e_i scaled to the length of d_i. So the floor is the (1 - alpha) quantile of |mean of sign-flipped e_i|,
times rms|d_i| / rms|e_i|. It is at least `negligible` times rms|e_i|: a mean change under 1 % of what another
seed does to a picture is not an effect, however significant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from auditor.finexl.arrays import FloatArray, as_rows, canonical_rows

EffectReason = Literal["effect", "identical", "too_few_probes", "no_common_direction", "below_floor"]

ROUNDING = 1e-6
"""Length below which a difference of two unit features is float32 rounding."""

_EXACT_PROBES = 12  # 2^11 sign patterns; beyond that, Monte Carlo is as good and cheaper


@dataclass(frozen=True)
class EffectTest:
    """Outcome of `effect_test`; no field is ever NaN.

    Attributes:
        status: "effect" or "no_effect".
        reason: Which part of the rule decided.
        p_value: Sign-flip p-value of |V|; 1 when every d_i is zero or n = 1.
        norm: |V|.
        floor: What |V| had to exceed.
    """

    status: Literal["effect", "no_effect"]
    reason: EffectReason
    p_value: float
    norm: float
    floor: float


def effect_test(
    differences: ArrayLike,
    noise_differences: ArrayLike | None = None,
    *,
    alpha: float = 0.05,
    resamples: int = 2000,
    negligible: float = 0.01,
    seed: int = 0,
) -> EffectTest:
    """Apply the rule of this module.

    Args:
        differences: d_i (n, D), adapter against base with the same seeds.
        noise_differences: e_i (m, D), base against base with other seeds; without them the floor is
            rounding only.
        alpha: Level of the sign-flip test and of the floor.
        resamples: Monte Carlo draws.
        negligible: Smallest |V| that counts, as a share of rms|e_i|.
        seed: Seed of the Monte Carlo draws.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    rows = canonical_rows(as_rows(differences, "differences"))
    norm = float(np.linalg.norm(rows.mean(axis=0)))
    if float(np.linalg.norm(rows, axis=1).max()) <= ROUNDING:
        return EffectTest("no_effect", "identical", 1.0, norm, ROUNDING)
    floor = ROUNDING
    if noise_differences is not None:
        noise = as_rows(noise_differences, "noise differences")
        if noise.shape[1] != rows.shape[1]:
            raise ValueError(f"noise differences have {noise.shape[1]} dimensions, expected {rows.shape[1]}")
        noise_rms = _rms(noise)
        if noise_rms > ROUNDING:
            raw = noise_floor(noise, len(rows), quantile=1.0 - alpha, resamples=resamples, seed=seed)
            floor = max(ROUNDING, raw * _rms(rows) / noise_rms, negligible * noise_rms)
    p_value = sign_flip_p_value(rows, resamples=resamples, seed=seed)
    reason: EffectReason = "effect"
    if 2.0 ** (1 - len(rows)) > alpha:
        reason = "too_few_probes"
    elif p_value > alpha:
        reason = "no_common_direction"
    elif norm <= floor:
        reason = "below_floor"
    return EffectTest("effect" if reason == "effect" else "no_effect", reason, p_value, norm, floor)


def sign_flip_p_value(differences: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> float:
    """P-value of |mean d_i| under the hypothesis that each d_i is as likely as -d_i.

    Exact over all sign patterns for up to 12 probes; else (1 + count) / (1 + resamples), which is never 0.
    """
    rows = canonical_rows(as_rows(differences, "differences"))
    n = len(rows)
    gram = rows @ rows.T
    observed = float(gram.sum())
    # Equal up to rounding must count as "at least as large", or the p-value would be too small.
    threshold = observed - 1e-9 * max(float(np.trace(gram)), observed)
    if n <= _EXACT_PROBES:
        patterns = (np.arange(2 ** (n - 1))[:, None] >> np.arange(n)) & 1
        return float((_quadratic(1.0 - 2.0 * patterns.astype(np.float64), gram) >= threshold).mean())
    signs = _signs(np.random.default_rng(seed), resamples, n)
    return (1 + int((_quadratic(signs, gram) >= threshold).sum())) / (1 + resamples)


def noise_floor(
    noise_differences: ArrayLike,
    probes: int,
    *,
    quantile: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> float:
    """Quantile of |mean of `probes` sign-flipped draws of e_i|: how long V gets by re-drawing seeds alone.

    Args:
        noise_differences: e_i (m, D), base against base with other seeds.
        probes: n of the adapter that is tested.
        quantile: Wanted quantile.
        resamples: Monte Carlo draws.
        seed: Their seed.
    """
    rows = canonical_rows(as_rows(noise_differences, "noise differences"))
    if probes < 1:
        raise ValueError(f"probes must be at least 1, got {probes}")
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(rows), size=(resamples, probes))
    signs = _signs(rng, resamples, probes)
    coefficients = np.zeros((resamples, len(rows)))
    np.add.at(coefficients, (np.arange(resamples)[:, None], drawn), signs)
    squares = _quadratic(coefficients, rows @ rows.T)
    return math.sqrt(max(0.0, float(np.quantile(squares, quantile)))) / probes


def _signs(rng: np.random.Generator, rows: int, columns: int) -> FloatArray:
    return 1.0 - 2.0 * rng.integers(2, size=(rows, columns)).astype(np.float64)


def _quadratic(coefficients: FloatArray, gram: FloatArray) -> FloatArray:
    """c' K c of every row c (B, n) -> (B,)."""
    return np.asarray(((coefficients @ gram) * coefficients).sum(axis=1))


def _rms(rows: FloatArray) -> float:
    return math.sqrt(float((rows**2).sum(axis=1).mean()))
