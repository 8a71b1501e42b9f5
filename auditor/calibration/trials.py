"""Measure a sample of adapters per base within a budget of time: first as the settings say, then in cheaper ways.

The cheapest way comes first. One that its first adapters refute is given up, and so is one that could not be cheaper
than what has reached the bounds already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import structlog

from auditor.adapters.adapter_file import AdapterFile, inspect_file, judge
from auditor.audit.item_limit import item_limit
from auditor.calibration.choice import Bounds, Candidate, Likeness, compare
from auditor.calibration.drawing import Drawing, cheaper_drawings, probe_counts
from auditor.calibration.kept import Measurement
from auditor.calibration.rates import rate_of_units
from auditor.calibration.trial_base import TrialBase
from auditor.errors import ItemError, TransientError
from auditor.hub.client import HubClient
from auditor.hub.download import fetch_item
from auditor.measuring.base_choice import BaseChoice, choose_base
from auditor.planning.audit_cost import pictures, seconds_each
from auditor.records.result import WorkItem
from auditor.results.workspace import Workspace
from auditor.settings import MeasuredRate, Settings

log = structlog.get_logger(__name__)
LOOKED_AT = 100
"""Files whose headers are read to see what share is drawn with at all."""
_OWN = "own"
Step = Callable[[str], None]


@dataclass
class TimeBudget:
    """Time that is left: `room` says whether something of an expected length still fits."""

    seconds: float
    part_of: TimeBudget | None = None
    stopped: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds; none once it, or what it is part of, was stopped."""
        if self.stopped or (self.part_of is not None and self.part_of.stopped):
            return 0.0
        return self.seconds - (time.monotonic() - self.began)

    def room(self, expected_s: float) -> bool:
        """Whether it fits."""
        return self.left >= expected_s


@dataclass(frozen=True)
class Sampled:
    """A file of the sample that was opened."""

    item: WorkItem
    adapter: AdapterFile
    sha256: str
    choice: BaseChoice


@dataclass(frozen=True)
class Trial:
    """One way of drawing with all probes, as far as it was measured."""

    drawing: Drawing
    likeness: Likeness
    picture_s: float


@dataclass
class BaseTrials:
    """What was measured of one base.

    Attributes:
        base_name: Its name.
        rates: By drawing and number of probes; the base's own with all probes first. Empty: nothing was measured.
        candidates: The same with likenesses.
        trials: Other ways of drawing, with all probes.
        whole: Whether all that was to be measured was.
    """

    base_name: str
    rates: dict[tuple[Drawing, int], MeasuredRate] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    whole: bool = False


class Trials:
    """The measurements on one base.

    Args:
        settings: Of the run.
        client: Fetches what is not here yet; None: only what was prefetched is measured.
        base: Of the base.
        bounds: That a cheaper way has to reach.
        budget: Of this base.
        on_step: Told what is measured.
    """

    def __init__(
        self,
        settings: Settings,
        client: HubClient | None,
        base: TrialBase,
        bounds: Bounds,
        budget: TimeBudget,
        on_step: Step,
    ) -> None:
        self._settings, self._client, self._base = settings, client, base
        self._bounds, self._budget, self._on_step = bounds, budget, on_step
        self._adapters: list[tuple[Sampled, Measurement]] = []
        self._read = self._refused = 0
        self._unfit = False

    def run(self, sample: list[WorkItem], adapters: int) -> BaseTrials:
        """Measure until the sample, the ways of drawing or the time is at its end.

        Args:
            sample: Files in their order.
            adapters: To draw with.
        """
        found = BaseTrials(self._base.base_name)
        rest = self._measure_own(sample, adapters)
        if not self._adapters:
            found.whole = not rest and not self._unfit
            return found
        for _ in self._open_each(rest[: LOOKED_AT - self._read], fetch=False):
            pass
        own = {_key(sampled): unit for sampled, unit in self._adapters}
        self._add(found, self._base.own, own)
        whole = not self._unfit and (len(self._adapters) >= adapters or not rest)
        for drawing in cheaper_drawings(self._base.base_settings):
            if self._could_be_cheaper(drawing, found):
                measured, complete = self._measure_other(drawing)
                whole &= complete
                if measured:
                    self._add(found, drawing, measured)
        found.whole = whole
        return found

    def _measure_own(self, sample: list[WorkItem], adapters: int) -> list[WorkItem]:
        """Audit the first adapters in the base's own way of drawing. Returns the files after those."""
        base, last = self._base, self._base.base_picture_s(self._base.own) * self._base.probes
        used = 0
        for used, item in enumerate(sample, 1):
            for sampled in self._open_each([item], fetch=True):
                unit = base.kept.unit(_key(sampled), _OWN)
                if unit is None:
                    if not self._budget.room(last):
                        self._unfit = True
                        return sample[used:]
                    began = time.monotonic()
                    self._on_step(f"{base.base_name}: {item.repo_id}")
                    unit = base.audit(sampled.item, sampled.adapter, sampled.sha256, sampled.choice)
                    base.kept.keep_unit(_key(sampled), _OWN, unit)
                    last = time.monotonic() - began
                if unit.drawn:
                    self._adapters.append((sampled, unit))
                else:
                    self._refused += 1
            if len(self._adapters) >= adapters or self._budget.left <= 0:
                break
        return sample[used:]

    def _measure_other(self, drawing: Drawing) -> tuple[dict[str, Measurement], bool]:
        """Measure the adapters that act in another way of drawing.

        Returns:
            What was measured, and whether nothing more is to be.
        """
        base, own = self._base, self._own_picture_s()
        expected = own * base.probes * drawing.work(base.base_settings) / base.own.work(base.base_settings)
        if not base.has_base_pictures(drawing) and not self._budget.room(2 * expected):
            return {}, False
        found: dict[str, Measurement] = {}
        for sampled, _ in self._comparable():
            unit = base.kept.unit(_key(sampled), drawing.key)
            if unit is None:
                if not self._budget.room(expected):
                    return found, False
                self._on_step(f"{base.base_name}, {drawing.key}: {sampled.item.repo_id}")
                unit = base.measure(drawing, sampled.adapter)
                base.kept.keep_unit(_key(sampled), drawing.key, unit)
            found[_key(sampled)] = unit
            if (likeness := self._likeness(found, base.probes)) is not None and likeness.refuted(self._bounds):
                break
        return found, True

    def _open_each(self, items: list[WorkItem], *, fetch: bool) -> Iterator[Sampled]:
        """Files that an audit would draw with on this base. The others are counted."""
        limit_s, workspace = self._settings.work.item_limit_s, Workspace(self._settings.work.dir)
        most = self._settings.hub.file_limit
        for item in items:
            try:
                paths = {
                    path: fetch_item(
                        self._client if fetch else None, item, path, cache_dir=workspace.files, max_bytes=most
                    )
                    for path in (item.path, *item.companions)
                }
                fetched = paths.pop(item.path)
                companions = {path: file.local_path for path, file in paths.items()}
                with item_limit(limit_s, "Reading it"):
                    adapter = inspect_file(fetched.local_path, name=item.path, companions=companions, max_bytes=most)
                    judge(adapter)
                choice = choose_base(item, adapter, self._settings)
            except TransientError as error:
                log.info("left out of the sample", repo_id=item.repo_id, path=item.path, error=str(error))
                continue
            except ItemError:
                self._read += 1
                self._refused += 1
                continue
            if choice.base_name == self._base.base_name:
                self._read += 1
                yield Sampled(item, adapter, fetched.sha256, choice)

    def _comparable(self) -> list[tuple[Sampled, Measurement]]:
        """Those whose weights alone act: of the others V is noise."""
        return [(sampled, unit) for sampled, unit in self._adapters if unit.acts and len(unit.rows)]

    def _own_picture_s(self) -> float:
        return float(np.mean([unit.picture_s for _, unit in self._adapters]))

    def _likeness(self, measured: dict[str, Measurement], probes: int) -> Likeness | None:
        """Of the adapters that were measured so, with the first probes, to their own drawing with all."""
        pairs = [(unit, measured[_key(s)]) for s, unit in self._comparable() if _key(s) in measured]
        if not pairs:
            return None
        mine = [unit.differences.astype(np.float64) for unit, _ in pairs]
        others = np.stack([_mean_of_first(other, probes) for _, other in pairs])
        return compare(mine, others.astype(np.float64), self._base.levels)

    def _add(self, found: BaseTrials, drawing: Drawing, measured: dict[str, Measurement]) -> None:
        """Its rates and candidates, for each number of probes."""
        base, recipe, own = self._base, self._settings.recipe, drawing == self._base.own
        for probes in probe_counts(recipe):
            likeness = None if own and probes == base.probes else self._likeness(measured, probes)
            if likeness is None and not (own and probes == base.probes):
                continue
            rate = rate_of_units(
                base,
                recipe,
                drawing,
                probes,
                list(measured.values()),
                [unit for _, unit in self._adapters],
                (self._read - self._refused, self._read),
            )
            if likeness is not None:
                rate = rate.model_copy(update={"cosine": likeness.cosine, "agreement": likeness.agreement})
            cheaper = recipe.model_copy(update={"probe_count": probes})
            seconds = seconds_each(drawing.on(base.base_settings), pictures(cheaper, "plain", rate), rate).middle
            found.rates[drawing, probes] = rate
            found.candidates.append(Candidate(drawing.key, probes, seconds, likeness))
            if likeness is not None and probes == base.probes:
                found.trials.append(Trial(drawing, likeness, rate.picture_s))

    def _could_be_cheaper(self, drawing: Drawing, found: BaseTrials) -> bool:
        """Whether it would beat the cheapest that reaches the bounds, with the fewest probes."""
        base, recipe = self._base, self._settings.recipe
        reached = [c.seconds for c in found.candidates if c.likeness is None or c.likeness.reaches(self._bounds)]
        rate = found.rates[base.own, base.probes]
        fewest = recipe.model_copy(update={"probe_count": min(probe_counts(recipe))})
        least = seconds_each(drawing.on(base.base_settings), pictures(fewest, "plain", rate), rate).least
        return least < min(reached)


def _key(sampled: Sampled) -> str:
    return sampled.sha256


def _mean_of_first(unit: Measurement, probes: int) -> np.ndarray:
    """V of the usable ones among the first probes (D,); 0 where none is."""
    kept = unit.differences[unit.rows < probes]
    return kept.mean(0) if len(kept) else np.zeros(unit.differences.shape[1], np.float32)
