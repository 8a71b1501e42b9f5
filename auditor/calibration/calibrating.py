"""A calibration from plan to recipe: every base in turn within one budget, then the cheapest recipe for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from auditor.audit.proposers import load_proposer
from auditor.audit.signals import stop_signals
from auditor.calibration.choice import Bounds, Candidate, chosen
from auditor.calibration.drawing import Drawing
from auditor.calibration.sample import draw_sample
from auditor.calibration.trial_base import TrialBase
from auditor.calibration.trials import BaseTrials, Step, TimeBudget, Trials
from auditor.common.device_memory import memory_named
from auditor.errors import MemoryTooSmall, PrerequisiteMissing, UserError
from auditor.generation.trouble import release
from auditor.hub.client import HubClient
from auditor.planning.encoder_opening import load_encoder
from auditor.planning.local_models import use_own_cpus
from auditor.planning.manifest import read_manifest
from auditor.results.workspace import Workspace
from auditor.settings import MeasuredRate, Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Options:
    """What a calibration may cost and has to reach.

    Attributes:
        seconds: For all bases together.
        adapters: Per base.
        seed: Of the sample.
        bounds: That a cheaper recipe has to reach.
    """

    seconds: float = 600.0
    adapters: int = 8
    seed: int = 0
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True)
class Calibration:
    """What was found.

    Attributes:
        bases: Measurements by base.
        taken: The way of drawing and number of probes to take, by base.
        absent: Bases that could not be measured, and why.
        options: That it was made with.
        files: Distinct files of the plan, by base.
    """

    bases: Mapping[str, BaseTrials]
    taken: Mapping[str, tuple[Drawing, int]]
    absent: Mapping[str, str]
    options: Options
    files: Mapping[str, int]

    @property
    def rates(self) -> dict[str, MeasuredRate]:
        """Of what is taken, by base."""
        return {name: self.bases[name].rates[taken] for name, taken in self.taken.items()}

    @property
    def whole(self) -> bool:
        """Whether the time sufficed for all that was to be measured."""
        return all(trials.whole for trials in self.bases.values())


def calibrate(
    settings: Settings, client: HubClient | None, options: Options, on_step: Step = lambda what: None
) -> Calibration:
    """Measure a sample of the plan. What was measured before is read back.

    Args:
        settings: Of the run; their recipe is what cheaper ones are compared with.
        client: Fetches what is not here; None: only what was prefetched is measured.
        options: TimeBudget, sample and bounds.
        on_step: Told what is measured.

    Raises:
        UserError: The recipe is a calibrated one, or the plan holds nothing to measure.
        PrerequisiteMissing: The encoder or the proposer is not here.
    """
    if any(rate.cosine is not None for rate in settings.measured.values()):
        raise UserError(
            "this recipe was made cheaper by a calibration, and a second one would go on from there; "
            "leave the first one out: auditor --set include=[] calibrate"
        )
    items = read_manifest(Workspace(settings.work.dir).manifest).items
    calibrated = [name for name, base in settings.recipe.active_bases.items() if base.kind == "diffusers"]
    samples = {name: draw_sample(items, name, options.seed) for name in calibrated}
    named = {item.base_name for item in items}
    samples = {name: sample for name, sample in samples.items() if name in named}
    if not samples:
        raise UserError("the plan holds no file for a base that is switched on; run: auditor plan")
    whole = TimeBudget(options.seconds)
    use_own_cpus()
    encoder = load_encoder(settings)
    # a server's time is not this device's
    proposer = load_proposer(settings) if settings.recipe.proposer.kind == "transformers" else None
    bases: dict[str, BaseTrials] = {}
    absent: dict[str, str] = {}
    with stop_signals(lambda: setattr(whole, "stopped", True)):
        for number, (name, sample) in enumerate(samples.items()):
            budget = TimeBudget(whole.left / (len(samples) - number), whole)
            base = None
            try:
                on_step(f"loading {name}")
                with memory_named(f"The base {name}"):
                    base = TrialBase(settings, name, encoder, proposer)
                    trials = Trials(settings, client, base, options.bounds, budget, on_step)
                    bases[name] = trials.run(sample, options.adapters)
            except (PrerequisiteMissing, MemoryTooSmall) as error:
                log.warning("base left out", base=name, error=str(error))
                absent[name] = str(error)
            finally:
                del base
                release()
    files = {name: sum(item.base_name == name for item in sample) for name, sample in samples.items()}
    return choose(settings, bases, absent, options, files)


def choose(
    settings: Settings,
    bases: Mapping[str, BaseTrials],
    absent: Mapping[str, str],
    options: Options,
    files: Mapping[str, int],
) -> Calibration:
    """The cheapest recipe, from what was measured.

    A base of which nothing was measured keeps its way of drawing, and the number of probes then stays as it is.
    """
    measured = {name: trials for name, trials in bases.items() if trials.candidates}
    candidates: dict[str, list[Candidate]] = {name: trials.candidates for name, trials in measured.items()}
    probes = settings.recipe.probe_count
    if measured.keys() != settings.recipe.active_bases.keys() & files.keys():
        candidates = {name: [c for c in found if c.probes == probes] for name, found in candidates.items()}
    taken = {
        name: (_drawing(measured[name], candidate), candidate.probes)
        for name, candidate in chosen(candidates, files, options.bounds).items()
    }
    return Calibration(bases, taken, absent, options, files)


def _drawing(trials: BaseTrials, candidate: Candidate) -> Drawing:
    return next(d for d, probes in trials.rates if d.key == candidate.drawing and probes == candidate.probes)
