"""How often 95 % intervals cover what they are to cover: longer audits of the same adapter.

All probes of a long audit are dealt at random into audits of the usual size. Each is scored like any other, and its
intervals are asked whether they hold the scores and levels of the other probes together. (Planted truth, which says
what intervals for the true amount cover, is in scale.py.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.evaluation.bank import Bank, Note
from auditor.evaluation.long_audits import KnownAdapter, long_audit
from auditor.finexl.arrays import FloatArray
from auditor.finexl.attribution import Interval, bootstrap_mean
from auditor.finexl.levels import levels
from auditor.measuring.scoring import Scorer

LEAST = 0.03
"""Smaller scores and levels are counted apart: near 0 the interval of a score covers because it is cut at 0."""

LEAST_CASES = 48
"""Intervals of one concept, over all adapters, that make it count for the worst: fewer would show chance."""

BANDS = ((0.0, LEAST), (LEAST, 0.1), (0.1, 0.3), (0.3, np.inf))
"""Effect sizes, by what the long audit says."""


@dataclass(frozen=True)
class CoverageRow:
    """Share of intervals that cover.

    Attributes:
        what: Which number, and of which size.
        covered: The share; its interval resamples adapters.
        below: Share of intervals above what they were to cover.
        above: Share of intervals below it.
        worst: The concept covered least, with its share over all adapters; None where no concept has enough cases.
    """

    what: str
    covered: Interval
    below: float
    above: float
    worst: tuple[float, str] | None


@dataclass(frozen=True)
class Coverage:
    """The table, with the number of adapters, of audits of each, and of probes of each audit."""

    adapters: int
    audits: int
    probes: int
    rows: tuple[CoverageRow, ...]


@dataclass(frozen=True, eq=False)
class _Found:
    """Of one adapter and one kind of number: the long audit's values (k,), and misses of each audit (audits, k)."""

    name: str
    value: FloatArray
    below: NDArray[np.bool_]
    above: NDArray[np.bool_]


def evaluate_coverage(
    bank: Bank, adapters: Sequence[KnownAdapter], passes: int = 4, note: Note | None = None
) -> Coverage:
    """Deal the probes of each adapter's long audit into usual ones and count.

    Args:
        bank: Where long audits are kept.
        adapters: Of known content.
        passes: Seeds for each prompt.
        note: Told after each pass that had to be rendered.
    """
    scorer, size = bank.opened.scorer, len(bank.opened.probes)
    found: dict[str, list[_Found]] = {"score": [], "level": []}
    audits = 0
    for adapter in adapters:
        rows = long_audit(bank, adapter, passes, note)
        flat = rows.reshape(-1, rows.shape[-1])
        dealt = np.random.default_rng(0).permutation(len(flat))[: len(flat) // size * size].reshape(-1, size)
        audits = len(dealt)
        for kind, each in deal(scorer, flat, dealt, adapter.name).items():
            found[kind].append(each)
    table = []
    for kind, measured in found.items():
        for low, high in BANDS:
            said = f"{kind} {low:g} to {high:g}" if np.isfinite(high) else f"{kind} above {low:g}"
            table.append(_row(said, measured, scorer.lexicon.names, low, high))
        table.append(_row(f"{kind}, all above {LEAST:g}", measured, scorer.lexicon.names, LEAST, np.inf))
    return Coverage(len(adapters), audits, size, tuple(row for row in table if row is not None))


def deal(scorer: Scorer, flat: FloatArray, dealt: NDArray[np.intp], name: str) -> dict[str, _Found]:
    """Score every audit (rows of `dealt`) and compare it with all other probes.

    The others are not endless: their own error widens each interval by sqrt(1 + n / m) for n probes against m.
    """
    whole = scorer.shared(flat).score, scorer.level_map.matrix @ flat.mean(axis=0)
    missed: dict[str, list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]] = {"score": [], "level": []}
    for chosen in dealt:
        rest = np.delete(flat, chosen, axis=0)
        wider = np.sqrt(1.0 + len(chosen) / len(rest))
        shared = scorer.shared(flat[chosen])
        signed = levels(flat[chosen], scorer.level_map, confidence=1 - scorer.solver.alpha)
        for kind, value, low, high, longer in (
            ("score", shared.score, shared.low, shared.high, scorer.shared(rest).score),
            ("level", signed.level, signed.low, signed.high, scorer.level_map.matrix @ rest.mean(axis=0)),
        ):
            missed[kind].append(
                (longer < value - wider * (value - low) - 1e-9, longer > value + wider * (high - value) + 1e-9)
            )
    found = {}
    for kind, value in zip(missed, whole, strict=True):
        below, above = (np.array([miss[side] for miss in missed[kind]]) for side in (0, 1))
        found[kind] = _Found(name, value, below, above)
    return found


def _row(what: str, found: Sequence[_Found], names: Sequence[str], low: float, high: float) -> CoverageRow | None:
    """Concepts whose long audit gives a size from `low` to `high`; None where no adapter has one."""
    shares, below, above = [], [], []
    concepts: dict[str, list[float]] = defaultdict(list)
    for adapter in found:
        chosen = np.flatnonzero((np.abs(adapter.value) >= low) & (np.abs(adapter.value) < high))
        if not len(chosen):
            continue
        inside = ~(adapter.below | adapter.above)[:, chosen]
        shares.append(float(inside.mean()))
        below.append(float(adapter.below[:, chosen].mean()))
        above.append(float(adapter.above[:, chosen].mean()))
        for place, column in zip(chosen, inside.T, strict=True):
            concepts[names[int(place)]] += column.astype(float).tolist()
    if not shares:
        return None
    enough = {name: float(np.mean(hits)) for name, hits in concepts.items() if len(hits) >= LEAST_CASES}
    worst = min(((share, name) for name, share in enough.items()), default=None)
    return CoverageRow(what, bootstrap_mean(shares), float(np.mean(below)), float(np.mean(above)), worst)
