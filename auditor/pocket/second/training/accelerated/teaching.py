"""The adapters on a GPU: trained in groups, and what each changes measured at once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from auditor.pocket.second.training.accelerated.effects import Studio
from auditor.pocket.second.training.accelerated.grouped import Factors, GroupedBase, train_group
from auditor.pocket.second.training.accelerated.pools import AdapterPairs
from auditor.pocket.second.training.adapters import ensure_trained
from auditor.pocket.second.training.lessons import development_lessons, measured_lessons, recipe_lessons, zoo_lessons
from auditor.pocket.second.training.lora import Lesson

GROUP = 128


def groups(lessons: Sequence[Lesson], size: int = GROUP) -> Iterator[list[Lesson]]:
    """Lessons that can be trained together, `size` at most at once."""
    kinds: dict[tuple[object, ...], list[Lesson]] = {}
    for lesson in lessons:
        kinds.setdefault((lesson.steps, lesson.snapshots, lesson.rate, lesson.rank, lesson.batch), []).append(lesson)
    for alike in kinds.values():
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def by_use(lessons: Sequence[Lesson]) -> list[Lesson]:
    """What the VLM learns from first, then what ships, then the rest as listed."""
    shipped = {lesson.name for lesson in zoo_lessons()}
    learned = {lesson.name for lesson in development_lessons()}
    return sorted(lessons, key=lambda n: (n.name not in learned, n.name not in shipped))


def train_adapters(
    work: Path, weights: Path, seconds: float, lessons: Sequence[Lesson] | None = None, probes: int = 48
) -> None:
    """Train every measured lesson, keep its factors and effects; stop when the time is over."""
    until = time.monotonic() + seconds
    pool = ProcessPoolExecutor(12)
    pool.submit(int).result()  # the workers are forked before the device is in use
    base = GroupedBase(weights / "base")
    studio = Studio(base, weights / "clip", "pocket-2", probes)
    pairs = AdapterPairs(base, studio, work / "vlm-adapters")
    (work / "effects").mkdir(parents=True, exist_ok=True)
    (work / "adapters-gpu").mkdir(parents=True, exist_ok=True)
    chosen = by_use(lessons if lessons is not None else measured_lessons())
    with pool:
        for number, group in enumerate(groups(chosen)):
            if time.monotonic() > until:
                print(f"out of time: {group[0].name} and all after it are missing", file=sys.stderr, flush=True)
                break
            began = time.monotonic()
            kept = train_group(base, group, pool)
            trained = time.monotonic()
            rows = {f"{n.name}@{step}": row for step, factors in kept.items()
                    for n, row in zip(group, studio.effects(factors, len(group)), strict=True)}  # fmt: skip
            np.savez(work / "effects" / f"{number:03d}.npz", **rows)
            _save(work / "adapters-gpu" / f"{number:03d}.safetensors", group, kept[group[0].steps])
            if not pairs.add(group, kept[group[0].steps]):
                pairs.close()
            print(f"adapters group {number}: {len(group)} x {group[0].steps} steps {trained - began:.1f} s, effects "
                  f"{time.monotonic() - trained:.1f} s", file=sys.stderr, flush=True)  # fmt: skip
    pairs.close()
    (work / "adapters.done").touch()


def train_recipes(work: Path, weights: Path) -> None:
    """The adapters of other recipes, one at a time."""
    ensure_trained(weights / "base", work, recipe_lessons())


def _save(path: Path, group: Sequence[Lesson], factors: Factors) -> None:
    tensors = {f"{name}.down": v.half().cpu().contiguous() for name, v in factors.down.items()}
    tensors |= {f"{name}.up": v.half().cpu().contiguous() for name, v in factors.up.items()}
    save_file(tensors, path, metadata={"lessons": json.dumps([n.name for n in group]), "steps": str(group[0].steps)})


def smoke_lessons() -> list[Lesson]:
    """A few short lessons of each kind."""
    chosen = [*development_lessons()[:2], *(n for n in measured_lessons() if n.name.startswith("ladder-"))][:4]
    return [replace(n, steps=4, snapshots=(2, 4) if n.snapshots else ()) for n in chosen]
