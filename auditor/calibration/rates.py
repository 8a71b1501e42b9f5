"""From measured adapters to the rates that estimates go by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import fmean

from auditor.calibration.choice import mean_interval, share_interval
from auditor.calibration.drawing import Drawing, looks_within
from auditor.calibration.kept import Measurement
from auditor.calibration.trial_base import TrialBase
from auditor.finexl.divergence import next_look
from auditor.planning.local_models import device_name, peak_memory
from auditor.settings import MeasuredRate, RecipeSettings


def rate_of_units(
    base: TrialBase,
    recipe: RecipeSettings,
    drawing: Drawing,
    probes: int,
    measured: Sequence[Measurement],
    audited: Sequence[Measurement],
    drawn: tuple[int, int],
) -> MeasuredRate:
    """The rate of one way of drawing with at most so many probes.

    Args:
        base: That it was measured on.
        recipe: In force; says when sampling stops.
        drawing: The way of drawing.
        probes: Most probes.
        measured: Adapters drawn so, at least one.
        audited: Adapters audited whole, in the base's own way of drawing; at least one.
        drawn: Files that are drawn with, of how many.
    """
    looks = looks_within(recipe, probes)
    stops = [stopping_at(unit, probes, looks, recipe.cosine_error_target) for unit in measured if len(unit.rows)]
    named = [unit.stages["propose"] for unit in audited if "propose" in unit.stages]
    stages = {name for unit in audited for name in unit.stages}
    return MeasuredRate(
        device=device_name(),
        measured_at=datetime.now(UTC).strftime("%Y-%m-%d"),
        adapters=len(audited),
        size=drawing.size,
        steps=drawing.steps,
        guidance=drawing.guidance,
        guidance_interval=drawing.guidance_interval,
        picture_s=fmean(unit.picture_s for unit in measured),
        base_picture_s=base.base_picture_s(drawing),
        fixed_s=fmean(unit.stages["fixed"] for unit in audited),
        naming_s=fmean(named) if named else None,
        load_s=base.load_s,
        batch_size=base.generator.batch_size,
        peak_bytes=peak_memory(),
        probes=mean_interval(stops, float(min((*looks, probes))), float(probes)),
        acting=share_interval(sum(unit.scored for unit in audited), len(audited)),
        drawn=share_interval(*drawn),
        stages={name: fmean(unit.stages.get(name, 0.0) for unit in audited) for name in sorted(stages)},
    )


def stopping_at(unit: Measurement, probes: int, looks: Sequence[int], target: float) -> float:
    """After how many probes an audit of the adapter would stop, as `measure_plain` decides it."""
    for look in looks:
        seen = unit.differences[unit.rows < look]
        if len(seen) and next_look(seen, target=target, looks=looks).next_probes is None:
            return float(look)
    return float(probes)
