"""How the evaluation trains adapters of a base, by the kind of its generator, and where they lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from auditor.families.generator_kinds import GeneratorKind
from auditor.pocket.second.training import adapters as second_adapters
from auditor.pocket.second.training import lessons as second_lessons
from auditor.pocket.training import adapters, gan_copies, token_copies
from auditor.pocket.training.lessons import gan_ladder_lesson, ladder_lesson, token_ladder_lesson


class AnyLesson(Protocol):
    """What one training teaches, of either edition of the pocket world."""

    @property
    def name(self) -> str:
        """Unique among the lessons of an edition."""
        ...

    @property
    def styles(self) -> tuple[str, ...]:
        """Styles on the pictures."""
        ...

    @property
    def steps(self) -> int:
        """Length of the training."""
        ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Trainings:
    """Of one kind of generator.

    Attributes:
        ensure: Trains what is missing: folder of the base, work folder, lessons.
        path: Where an adapter lies: work folder, lesson, step.
        ladder: The lesson of one style whose snapshots are the training lengths; in the first edition also of one that
            is drawn in another way, or of a hand.
    """

    ensure: Callable[[Path, Path, Sequence[Any]], None]
    path: Callable[[Path, Any, int | None], Path]
    ladder: Callable[..., AnyLesson]


TRAININGS: Mapping[GeneratorKind, Trainings] = {
    "diffusers": Trainings(adapters.ensure_trained, adapters.trained_path, ladder_lesson),
    "autoregressive": Trainings(token_copies.ensure_copies, token_copies.copy_path, token_ladder_lesson),
    "gan": Trainings(gan_copies.ensure_copies, gan_copies.copy_path, gan_ladder_lesson),
}
"""Of the first edition: LoRAs of the denoiser, and copies whose weights take the place of the base's."""

SECOND_TRAININGS = Trainings(second_adapters.ensure_trained, second_adapters.trained_path, second_lessons.ladder_lesson)
"""LoRAs of the second edition's denoiser."""
