"""Audits of trained adapters with known content, made by the production code and kept as result files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.adapters.adapter_file import inspect_file
from auditor.audit.opening import open_base
from auditor.errors import UserError
from auditor.evaluation.trainings import AnyLesson
from auditor.evaluation.worlds import world_of
from auditor.families.generator_kinds import GeneratorKind
from auditor.measuring.base_choice import BaseChoice
from auditor.measuring.explanations import propose_and_explain
from auditor.measuring.measure_file import audit_file
from auditor.measuring.opened_base import OpenedBase
from auditor.pocket.ways_of_drawing import Way
from auditor.records.result import WorkItem
from auditor.results.result_file import Result, read_result, result_path, write_result
from auditor.settings import BaseModelSettings, ProposerSettings, Settings

Note = Callable[[str], None]


@dataclass(frozen=True)
class TrainedAdapter:
    """One trained adapter: a lesson, stopped at a step."""

    lesson: AnyLesson
    step: int


def own_bases(settings: Settings, kind: GeneratorKind) -> dict[str, BaseModelSettings]:
    """Bases of a kind by name: those that are on, and of kinds that the profile leaves off those of our own too.

    Of these latter kinds it is the profile's first alone: the trained copies, kept by lesson, are copies of that one.
    """
    bases = {name: base for name, base in settings.recipe.bases.items() if base.kind == kind}
    if kind == "diffusers":
        return {name: base for name, base in bases.items() if base.enabled}
    own = [(name, base) for name, base in bases.items() if base.enabled or base.path is not None]
    return dict(own[:1])


class Bank:
    """Trains what is missing, audits what is missing, reads back the rest."""

    def __init__(self, settings: Settings, *, proposals: bool = True, kind: GeneratorKind = "diffusers") -> None:
        """Fix what is audited.

        Args:
            settings: With one base of our own of that kind. One of another kind than `diffusers` may be switched off,
                as in the pocket profile: it is switched on here.
            proposals: Without, no VLM is asked; shared scores do not depend on it, `paper` does.
            kind: Of the base's generator.
        """
        bases = own_bases(settings, kind)
        if len(bases) != 1 or next(iter(bases.values())).path is None:
            raise UserError("the evaluation trains its own adapters and needs the pocket profile: --profile pocket")
        # Neither the dose response nor triggers are part of these experiments; the pictures they cost are saved.
        switched_on = {name: base.model_copy(update={"enabled": True}) for name, base in bases.items()}
        recipe = settings.recipe.model_copy(
            update={
                "bases": settings.recipe.bases | switched_on,
                "dose_scales": (),
                "trigger_arms": False,
                "looks": (),
            }
        )
        if not proposals:
            recipe = recipe.model_copy(update={"proposer": ProposerSettings(kind="none")})
        self.settings = settings.model_copy(update={"recipe": recipe})
        self.base_name, base = next(iter(bases.items()))
        self.world = world_of(base.repo)
        self.trainings = self.world.trainings[kind]
        self.base_path = Path(str(base.path))
        self.folder = settings.work.dir / "evaluation"
        self.results_folder = self.folder / "results"
        self._opened: OpenedBase | None = None

    @property
    def opened(self) -> OpenedBase:
        """The base, opened when first needed."""
        if self._opened is None:
            self._opened = open_base(self.settings, self.base_name)
        return self._opened

    def ensure(self, lessons: Sequence[AnyLesson]) -> None:
        """Train what was not trained yet."""
        self.trainings.ensure(self.base_path, self.folder, lessons)

    def path(self, case: TrainedAdapter) -> Path:
        """Where an adapter's file lies once it is trained."""
        return self.trainings.path(self.folder, case.lesson, case.step)

    def ladder(self, style: str, steps: Sequence[int], way: Way = "renderer") -> list[TrainedAdapter]:
        """One style, or a painter's hand, at several training lengths."""
        drawn = () if way == "renderer" else (way,)
        return [TrainedAdapter(self.trainings.ladder(style, *drawn), step) for step in steps]

    def results(self, cases: Sequence[TrainedAdapter], note: Note | None = None) -> dict[TrainedAdapter, Result]:
        """Audit every case that was not audited yet; return all of them."""
        self.ensure(list({case.lesson.name: case.lesson for case in cases}.values()))
        found: dict[TrainedAdapter, Result] = {}
        for case in cases:
            if case not in found:
                found[case] = self._result(case)
                if note is not None:
                    note(f"{case.lesson.name} at {case.step}")
        return found

    def _result(self, case: TrainedAdapter) -> Result:
        path = self.path(case)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        kept = result_path(self.results_folder, sha256, self.opened.recipe.recipe_id)
        if kept.exists():
            return read_result(kept)
        item = WorkItem(
            repo_id=f"evaluation/{case.lesson.name}",
            commit_sha="0" * 40,
            path=path.name,
            file_sha256=sha256,
            size_bytes=path.stat().st_size,
            base_name=self.base_name,
        )
        audited = audit_file(self.opened, item, inspect_file(path), sha256, BaseChoice(self.base_name, False, False))
        result = propose_and_explain(self.opened.scorer, self.opened.proposer, audited)
        write_result(self.results_folder, result)
        return result
