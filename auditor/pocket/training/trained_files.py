"""Adapters and copies that are trained once and kept on disk, whatever the kind of their base."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from safetensors.torch import save_file

from auditor.common.atomic_files import replacing
from auditor.pocket.training.lora import Lesson, Tensors

Train = Callable[[Lesson], Mapping[int, Tensors]]
"""A lesson → the weights at its last step and at each snapshot, by step."""


def ensure_files(
    lessons: Sequence[Lesson],
    path: Callable[[Lesson, int], Path],
    open_trainer: Callable[[], Train],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Train what is missing, and say so on stderr.

    Args:
        lessons: Wanted.
        path: Where a lesson lies that was stopped at a step. The file of its last step marks it done.
        open_trainer: Loads the base; called only where something is missing.
        metadata: Of each file.
    """
    missing = [lesson for lesson in lessons if not path(lesson, lesson.steps).exists()]
    if not missing:
        return
    train = open_trainer()
    for number, lesson in enumerate(missing, 1):
        began = time.monotonic()
        states = train(lesson)
        for step in sorted(states):
            with replacing(path(lesson, step)) as temporary:
                save_file(states[step], temporary, metadata=dict(metadata) if metadata else None)
        print(f"{number}/{len(missing)} {lesson.name} {time.monotonic() - began:.0f} s", file=sys.stderr)
