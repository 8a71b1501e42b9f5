"""One base, opened to measure adapters in several ways of drawing with the code of an audit.

An audit reads scores on both sides of each concept, and the image side takes thousands of pictures of the base. Here
levels are read on the text side alone, the same for all ways of drawing, so that what differs is the pictures.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from auditor.adapters.adapter_file import AdapterFile
from auditor.adapters.normalise import normalise
from auditor.audit.opening import guided_in, load_base, make_recipe, probes_for, subject_contexts
from auditor.calibration.drawing import Drawing, own_drawing
from auditor.calibration.kept import NOT_DRAWN, Measurement, kept_for
from auditor.common.device_memory import out_of_memory
from auditor.encoding.encoder import Encoder
from auditor.errors import BaseDamaged, ItemError, MemoryTooSmall
from auditor.finexl.concepts import ConceptDirections
from auditor.lexicons.loader import load_lexicon
from auditor.measuring.arms import measure_plain
from auditor.measuring.base_choice import BaseChoice
from auditor.measuring.explanations import propose_and_explain
from auditor.measuring.measure_file import audit_file
from auditor.measuring.opened_base import OpenedBase
from auditor.measuring.reference import Reference, ReferenceMaker
from auditor.measuring.scoring import make_scorer
from auditor.measuring.subject_arm import SubjectMeter
from auditor.planning.local_models import device_name, peak_memory
from auditor.proposing.proposer import Proposer
from auditor.records.result import WorkItem
from auditor.results.failures import ends_the_process
from auditor.results.workspace import Workspace
from auditor.settings import Settings

log = structlog.get_logger(__name__)
_DRAWING_STAGES = ("generate", "trigger", "dose", "propose")


class TrialBase:
    """A base to measure on.

    Attributes:
        own: The way of drawing of the settings.
        kept: What was measured before, and is now.
        load_s: Seconds that loading took.
        levels: Matrix that makes levels of V (k, D).
    """

    def __init__(self, settings: Settings, base_name: str, encoder: Encoder, proposer: Proposer | None) -> None:
        """Load the base and draw, or read back, its own pictures.

        Args:
            settings: Of the run.
            base_name: A key of `recipe.bases`.
            encoder: Of the recipe.
            proposer: To be timed too; one in this process.
        """
        began = time.monotonic()
        solver = settings.recipe.solver.model_copy(update={"basis": "text", "length": "text"})
        # All probes of every adapter are drawn: where sampling would stop is reckoned afterwards.
        chosen = settings.recipe.model_copy(update={"looks": (), "solver": solver})
        self._settings = settings.model_copy(update={"recipe": chosen})
        self.base_name, self.base_settings = base_name, chosen.active_bases[base_name]
        self.own = own_drawing(self.base_settings)
        self._encoder, self._proposer = encoder, proposer
        self.generator = load_base(self.base_settings, chosen.application)
        self.load_s = time.monotonic() - began
        self._lexicon = load_lexicon(chosen.lexicon, chosen.concept_template)
        self._all_probes = probes_for(chosen.probes, chosen.seed)
        self._probes = self._all_probes.first(chosen.probe_count)
        self._recipe = make_recipe(
            self._settings, base_name, self.generator, encoder, proposer, self._lexicon, self._probes
        )
        self.kept = kept_for(Workspace(settings.work.dir).calibration, self._recipe.recipe_id, device_name())
        peak_memory(forget=True)
        self._opened: dict[Drawing, OpenedBase] = {}
        self._base_s: dict[Drawing, float] = {}
        self.levels = self.opened(self.own).scorer.level_map.matrix

    @property
    def probes(self) -> int:
        """Probes per adapter."""
        return len(self._probes)

    def base_picture_s(self, drawing: Drawing) -> float:
        """Seconds per picture without an adapter."""
        self.opened(drawing)
        return self._base_s[drawing]

    def has_base_pictures(self, drawing: Drawing) -> bool:
        """Whether the base's own pictures of a way of drawing are there."""
        return drawing in self._opened or self.kept.arrays(f"base-{drawing.key}") is not None

    def opened(self, drawing: Drawing) -> OpenedBase:
        """The base, drawing so from now on."""
        self.generator.draw_as(**asdict(drawing))
        if drawing not in self._opened:
            self._opened[drawing] = self._open(drawing)
        return self._opened[drawing]

    def audit(self, item: WorkItem, adapter: AdapterFile, sha256: str, choice: BaseChoice) -> Measurement:
        """One adapter, audited as a night would, in the base's own way of drawing.

        One that damages the base, or brings out a bug, counts as not drawn with, as a night gives it up.
        """
        began = time.monotonic()
        opened = self.opened(self.own)
        try:
            audited = audit_file(opened, item, adapter, sha256, choice)
            result = propose_and_explain(opened.scorer, opened.proposer, audited)
        except Exception as error:
            if ends_the_process(error) or isinstance(error, MemoryTooSmall) or out_of_memory(error):
                raise
            log.exception("left out of the sample", repo_id=item.repo_id, path=item.path)
            self.generator.rebuild()
            return NOT_DRAWN
        record = result.record
        if record.effect is None:
            return NOT_DRAWN
        stages = dict(record.timings_s)
        stages["fixed"] = time.monotonic() - began - sum(stages.get(name, 0.0) for name in _DRAWING_STAGES)
        differences = result.arrays["differences"].astype(np.float32)
        acts = record.effect.status != "no_effect"
        # of an adapter with unusable pictures it is not known which; it counts for rates, not for comparisons
        rows = np.arange(len(differences)) if len(differences) == self.probes else np.zeros(0, np.intp)
        scored = record.outcome != "no_effect"
        return Measurement(differences, rows, stages["generate"] / self.probes, True, acts, scored, stages)

    def measure(self, drawing: Drawing, adapter: AdapterFile) -> Measurement:
        """One adapter's plain arm, in some way of drawing."""
        opened = self.opened(drawing)
        self.generator.apply(normalise(adapter, self.generator.layout()))
        try:
            began = time.monotonic()
            measured = measure_plain(opened)
            seconds = (time.monotonic() - began) / self.probes
        except ItemError:  # drawn so it breaks, which is as unlike as can be
            width = opened.reference.features.shape[1]
            return Measurement(np.zeros((self.probes, width), np.float32), np.arange(self.probes))
        finally:
            try:
                self.generator.remove()
            except BaseDamaged:
                self.generator.rebuild()
        return Measurement(measured.differences, measured.rows, seconds)

    def _open(self, drawing: Drawing) -> OpenedBase:
        drawn = {"size": drawing.size, "steps": drawing.steps, "guidance": drawing.guidance}
        as_it_was = {k: v for k, v in self._recipe.generation.items() if k != "guidance_interval"}
        recipe = self._recipe.model_copy(
            update={"generation": as_it_was | drawn | guided_in(drawing.guidance_interval)}
        )
        maker = ReferenceMaker(recipe, self.generator, self._encoder, self._probes, self._lexicon)
        base = self._part(maker, "base", f"base-{drawing.key}")
        own = drawing == self.own
        if own:
            noise, text = self._part(maker, "noise", "noise"), self._part(maker, "text", "text")
        # timed on the second round of the base's own pictures: in the first, a device warms up
        self._base_s[drawing] = float((noise if own else base)["seconds"][0]) / self.probes
        if not own:
            return replace(
                self._opened[self.own],
                recipe=recipe,
                reference=replace(self._opened[self.own].reference, images=base["images"], features=base["features"]),
            )
        reference = self._reference(base, noise, text)
        chosen, solver = self._settings.recipe, self._settings.recipe.solver
        scorer = make_scorer(solver, self._lexicon, self._probes.prompts, reference, self._encoder)
        contexts = subject_contexts(self._settings)
        return OpenedBase(
            self.base_name,
            recipe,
            self.generator,
            self._encoder,
            self._proposer,
            self._probes,
            self._all_probes,
            self._lexicon,
            reference,
            scorer,
            chosen.proposer.pairs_per_request * chosen.proposer.requests,
            chosen.proposer.max_side,
            SubjectMeter(self.generator, self._encoder, scorer, recipe, contexts) if contexts else None,
        )

    def _part(self, maker: ReferenceMaker, part: str, name: str) -> dict[str, NDArray[Any]]:
        if (known := self.kept.arrays(name)) is not None:
            return known
        began = time.monotonic()
        arrays = dict(maker.part(part))
        arrays["seconds"] = np.asarray([time.monotonic() - began])
        self.kept.keep(name, arrays)
        return arrays

    def _reference(
        self, base: dict[str, NDArray[Any]], noise: dict[str, NDArray[Any]], text: dict[str, NDArray[Any]]
    ) -> Reference:
        k = len(self._lexicon.names)
        side = ConceptDirections(text["vectors"][:k].astype(np.float64), text["noise"][:k].astype(np.float64))
        neutral = text["vectors"][k:]
        return Reference(
            base["images"],
            base["features"],
            noise["features"] - base["features"],
            text["plain"],
            side,
            side,
            neutral,
            neutral,
        )
