"""Train many adapters, keeping each on disk when it is done: the zoo's and the evaluation's.

    python -m auditor.pocket.second.training.adapters --base weights/base --work .auditor/training --share 0/2

An adapter that lies in WORK/adapters is not trained again. `--share i/n` splits the list between n processes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from auditor.common.atomic_files import replacing
from auditor.pocket.second.training.lessons import PAIRS_HELD_OUT, evaluation_lessons, zoo_lessons
from auditor.pocket.second.training.lora import Lesson, Trainer


def trained_path(folder: Path, lesson: Lesson, step: int | None = None) -> Path:
    """Where an adapter lies (float16, `unet.<module>.lora_A.weight`); `step` names a snapshot."""
    return folder / "adapters" / f"{lesson.name}-{step or lesson.steps:06d}.safetensors"


def ensure_trained(base: Path, folder: Path, lessons: Sequence[Lesson], *, share: tuple[int, int] = (0, 1)) -> None:
    """Train what is missing.

    Args:
        base: Folder of the base pipeline.
        folder: Work folder of the trainings.
        lessons: Wanted adapters.
        share: (i, n): take every n-th lesson from the i-th.
    """
    mine = [lesson for number, lesson in enumerate(lessons) if number % share[1] == share[0]]
    missing = [lesson for lesson in mine if not trained_path(folder, lesson).exists()]
    if not missing:
        return
    trainer = Trainer(base)
    for number, lesson in enumerate(missing, 1):
        began = time.monotonic()
        states = trainer.train(lesson)
        for step in sorted(states):  # the last one, which marks the lesson done, comes last
            _save(trained_path(folder, lesson, step), states[step])
        print(f"adapter {number}/{len(missing)} {lesson.name} {time.monotonic() - began:.0f} s", file=sys.stderr)


def _save(path: Path, state: dict[str, torch.Tensor]) -> None:
    with replacing(path) as temporary:
        save_file({_published(k): v.half().contiguous() for k, v in state.items()}, temporary)


def _published(key: str) -> str:
    return key if key.startswith("text_encoder.") else f"unet.{key}"


def main() -> None:
    """Train the zoo's adapters and the evaluation's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--share", default="0/1")
    parser.add_argument("--zoo-only", action="store_true")
    arguments = parser.parse_args()
    index, count = (int(x) for x in arguments.share.split("/"))
    lessons = {lesson.name: lesson for lesson in zoo_lessons()}
    if not arguments.zoo_only:
        lessons |= {lesson.name: lesson for lesson in evaluation_lessons(PAIRS_HELD_OUT)}
    ensure_trained(arguments.base, arguments.work, list(lessons.values()), share=(index, count))


if __name__ == "__main__":
    main()
