"""Train many adapters, keeping each on disk when it is done: the zoo's and the evaluation's.

    python -m auditor.pocket.training.adapters --base weights/base --work .auditor/training --share 0/2

An adapter that lies in WORK/adapters is not trained again. `--share i/n` splits the list between n processes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from auditor.pocket.training.lessons import PAIRS_HELD_OUT, evaluation_lessons, zoo_lessons
from auditor.pocket.training.lora import Lesson, Trainer
from auditor.pocket.training.trained_files import Train, ensure_files


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
    ensure_files(mine, partial(trained_path, folder), lambda: _trainer(base))


def _trainer(base: Path) -> Train:
    trainer = Trainer(base)
    return lambda lesson: {
        step: {f"unet.{name}": value.half().contiguous() for name, value in state.items()}
        for step, state in trainer.train(lesson).items()
    }


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
