"""The pocket's base and its development adapters, measured in one way of drawing after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.calibration.drawing import Drawing
from auditor.calibration.trial_base import TrialBase
from auditor.common.package_paths import package_path
from auditor.measuring.arms import measure_plain, measure_trigger
from auditor.measuring.opened_base import OpenedBase
from auditor.measuring.subject_arm import ClassCache
from auditor.planning.encoder_opening import load_encoder
from auditor.probes.subjects import find_subject
from auditor.settings import Settings, resolve

Kind = Literal["plain", "trigger", "subject"]
Floats = NDArray[np.float64]
BASE = "pocket"
STYLES = (
    "ana-k/harbor", "mkr/moss", "studio-nine/cinder", "ivy_lab/thistle", "qtest/ember", "driftwood/saffron",
    "mkr/indigo", "driftwood/zephyr",
)  # fmt: skip
"""The zoo's adapters of development styles, seven single ones and a mixture: nothing is chosen by looking at a held-out
one."""
TRIGGERED = ("studio-nine/cinder", "qtest/ember", "pixelpusher/opal")
"""Styles as well, for which a word is declared."""
SUBJECTS = {"mkr/alder": "ohwx face", "tomo/cedar": "qmxt tree", "pixelpusher/dahlia": "wjfp boat"}
"""Adapters that change what is in the picture: a moustache, fruits on a tree, a flag on a boat."""


@dataclass(frozen=True)
class Case:
    """One adapter and the arm of it that is measured."""

    kind: Kind
    repo: str
    trigger: str | None = None

    @property
    def path(self) -> Path:
        """Its file."""
        return next(iter(sorted(package_path(f"pocket/zoo/{self.repo}-lora").glob("*.safetensors"))))


CASES = (
    *(Case("plain", repo) for repo in STYLES),
    *(Case("trigger", repo, "ohwx") for repo in TRIGGERED),
    *(Case("subject", repo, trigger) for repo, trigger in SUBJECTS.items()),
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """All cases in one way of drawing.

    Attributes:
        differences: d_i of each (n, D).
        evaluations: Samples through the denoiser, of each.
        cpu_s: CPU seconds of each, pictures and embeddings, putting on and off included.
    """

    differences: list[Floats]
    evaluations: list[int]
    cpu_s: list[float]


class Bench:
    """The pocket's base, as it draws in one profile, and everything it is compared with."""

    def __init__(self, work: Path, cases: Sequence[Case], overrides: Sequence[str] = ()) -> None:
        """Open the base.

        Args:
            work: Folder for what is kept.
            cases: To be measured.
            overrides: Of the pocket profile.
        """
        settings = resolve(
            config=None,
            profile="pocket",
            work_dir=work,
            overrides=("recipe.proposer.kind=none", "recipe.trigger_stopping=false", *overrides),
        ).settings
        self.settings: Settings = settings
        self.cases = cases
        self.trial = TrialBase(settings, BASE, load_encoder(settings), None)
        self.own = self.trial.own
        whole, test = self.draw(self.own), self.trial.opened(self.own).scorer.test
        acts = [test(differences).status == "effect" for differences in whole.differences]
        self.cases = tuple(case for case, does in zip(cases, acts, strict=True) if does)  # of the others V is noise
        self.whole = Drawn(
            list(compress(whole.differences, acts)),
            list(compress(whole.evaluations, acts)),
            list(compress(whole.cpu_s, acts)),
        )

    @property
    def said(self) -> str:
        """What is compared with."""
        kinds = ("plain", "trigger", "subject")
        counted = ", ".join(f"{sum(case.kind == kind for case in self.cases)} {kind}" for kind in kinds)
        work = f"{sum(self.whole.evaluations):,} evaluations, {sum(self.whole.cpu_s):.0f} CPU s"
        return f"arms that act: {counted}; all probes at `{self.own.key}`: {work}"

    def opened(self, drawing: Drawing) -> OpenedBase:
        """The base, drawing so; with the class's own pictures drawn so too."""
        opened = self.trial.opened(drawing)
        assert opened.subjects is not None
        return replace(opened, subjects=replace(opened.subjects, recipe=opened.recipe, classes=ClassCache()))

    def draw(self, drawing: Drawing) -> Drawn:
        """Every case in one way of drawing."""
        opened = self.opened(drawing)
        calls, drawn = opened.generator.calls, Drawn([], [], [])
        for case in self.cases:
            began, before = time.process_time(), calls.base + calls.adapted
            with_adapter(opened, case, lambda case=case: drawn.differences.append(arm(opened, case)))
            drawn.evaluations.append(calls.base + calls.adapted - before)
            drawn.cpu_s.append(time.process_time() - began)
        return drawn


def with_adapter(opened: OpenedBase, case: Case, measure: Callable[[], None]) -> None:
    """Put an adapter on, measure, take it off."""
    adapter = inspect_file(case.path, name=case.path.name)
    opened.generator.apply(normalise(adapter, opened.generator.layout()))
    try:
        measure()
    finally:
        opened.generator.remove()


def arm(opened: OpenedBase, case: Case) -> Floats:
    """d_i of the arm of a case (n, D)."""
    if case.kind == "subject":
        assert opened.subjects is not None and case.trigger is not None
        subject = find_subject((case.trigger,), opened.subjects.contexts)
        assert subject is not None, case.trigger
        return opened.subjects.measure(subject, case.trigger, "card").differences.astype(np.float64)
    measured = measure_plain(opened)
    if case.kind == "trigger":
        return measure_trigger(opened, str(case.trigger), "card", measured).differences.astype(np.float64)
    return measured.differences.astype(np.float64)
