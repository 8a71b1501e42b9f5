"""Training pairs drawn by the pocket generator itself, as the pairs of an audit are.

    python -m auditor.pocket.vlm.generated --kind restyled --out .auditor/training/vlm-restyled
    python -m auditor.pocket.vlm.generated --kind worded --out .auditor/training/vlm-worded
    python -m auditor.pocket.vlm.generated --kind adapters --out .auditor/training/vlm-adapters

`restyled`: the base's pictures, and the same with styles of any kind drawn onto them. `worded`: the base asked for a
scene, and for the same with words of styles or edits in the prompt. `adapters`: the base without and with an adapter of
one or two development styles at a random strength. Adapters of held-out styles are for the evaluation alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.audit.opening import load_base
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.generator import Generator
from auditor.pocket.corpus import caption_with, word_for
from auditor.pocket.drawn_subjects import EDITS, SIZE, SUBJECTS
from auditor.pocket.scenes import Scene, sample_scene
from auditor.pocket.styles import apply_style
from auditor.pocket.training.adapters import ensure_trained, trained_path
from auditor.pocket.training.lessons import development_lessons
from auditor.pocket.vlm.pairs import PAIRS_PER_CASE, Pool, read_pool, sample_case
from auditor.pocket.vlm.train import load_codec
from auditor.settings import resolve

SCENES = 384
"""Base pictures, shared by all cases of a pool."""
SCENE_SEED = 41
CASES_AT_ONCE = 12
"""Cases whose pictures are generated together."""


@dataclass(frozen=True)
class Scenes:
    """Scenes with their prompts and noise seeds, and the base's pictures of them (n, 64, 64, 3) uint8."""

    scenes: tuple[Scene, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    images: NDArray[np.uint8]


def pocket_base() -> tuple[DiffusersBase, Path]:
    """The pocket profile's base, rendering as in an audit, and its folder."""
    chosen = next(iter(resolve(profile="pocket").settings.recipe.active_bases.values()))
    return load_base(chosen), Path(str(chosen.path))


def draw_scenes(base: Generator, count: int, seed: int) -> Scenes:
    """Sample scenes that no probe set holds the noise of, and let the bare base draw them."""
    rng = np.random.default_rng(seed)
    scenes = tuple(sample_scene(rng) for _ in range(count))
    prompts = tuple(scene.caption() for scene in scenes)
    seeds = tuple(int(s) for s in rng.integers(2**40, 2**41, count))
    return Scenes(scenes, prompts, seeds, base.generate(prompts, seeds, adapter=False))


def build_restyled(folder: Path, count: int, seed: int) -> Pool:
    """The base's own pictures with styles drawn onto them, as the base's decoder can show them."""
    base, base_folder = pocket_base()
    codec = load_codec(base_folder / "vae")
    scenes = draw_scenes(base, SCENES, SCENE_SEED)

    def cases() -> Iterator[tuple[tuple[str, ...], NDArray[np.uint8]]]:
        rng = np.random.default_rng(seed)
        for _ in range(count):
            case = sample_case(rng, edits=False)
            rows = rng.choice(SCENES, PAIRS_PER_CASE, replace=False)
            styled = [scenes.images[r].astype(np.float32) / 255 for r in rows]
            for name, strength in case.concepts:
                styled = [apply_style(image, name, strength, rng) for image in styled]
            shown = codec(np.round(np.stack(styled) * 255).astype(np.uint8))
            yield case.names, _pairs(scenes, rows, shown)

    return _write(folder, cases(), count)


def build_worded(folder: Path, count: int, seed: int) -> Pool:
    """Pairs of the base's pictures without and with words of styles or edits in the prompt, on the same noise."""
    base, _ = pocket_base()
    scenes = draw_scenes(base, SCENES, SCENE_SEED)
    shows = {s: np.array([i for i, scene in enumerate(scenes.scenes) if scene.subject == s]) for s in SUBJECTS}

    def cases() -> Iterator[tuple[tuple[str, ...], NDArray[np.uint8]]]:
        rng = np.random.default_rng(seed)
        for start in range(0, count, CASES_AT_ONCE):
            drawn = [sample_case(rng).names for _ in range(min(CASES_AT_ONCE, count - start))]
            asked = [(names, row) for names in drawn for row in _fitting(names, shows, rng)]
            prompts = [
                caption_with(scenes.scenes[row], tuple(word_for(name, rng) for name in names), rng)
                for names, row in asked
            ]
            rows = np.array([row for _, row in asked])
            shown = base.generate(prompts, [scenes.seeds[row] for row in rows], adapter=False)
            pairs = _pairs(scenes, rows, shown).reshape(len(drawn), PAIRS_PER_CASE, 2, SIZE, SIZE, 3)
            yield from zip(drawn, pairs, strict=True)

    return _write(folder, cases(), count)


def _fitting(names: Sequence[str], shows: dict[str, NDArray[np.intp]], rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows of scenes whose subject can take the edit, if there is one."""
    subject = next((EDITS[name].subject for name in names if name in EDITS), None)
    return rng.choice(SCENES if subject is None else shows[subject], PAIRS_PER_CASE, replace=False)


def build_adapted(folder: Path, work: Path, per_adapter: int, seed: int) -> Pool:
    """Pairs of the base without and with development adapters; trains those that `work` lacks."""
    base, base_folder = pocket_base()
    lessons = development_lessons()
    ensure_trained(base_folder, work, lessons)
    scenes = draw_scenes(base, SCENES, SCENE_SEED)

    def cases() -> Iterator[tuple[tuple[str, ...], NDArray[np.uint8]]]:
        rng = np.random.default_rng(seed)
        for lesson in lessons:
            with with_adapter(base, trained_path(work, lesson)):
                for _ in range(per_adapter):
                    rows = rng.choice(SCENES, PAIRS_PER_CASE, replace=False)
                    shown = base.generate(
                        [scenes.prompts[r] for r in rows],
                        [scenes.seeds[r] for r in rows],
                        scale=float(rng.uniform(0.55, 1.1)),
                    )
                    yield lesson.styles, _pairs(scenes, rows, shown)

    return _write(folder, cases(), per_adapter * len(lessons))


@contextmanager
def with_adapter(base: Generator, path: Path) -> Iterator[None]:
    """The adapter in a file is on the base inside the block."""
    base.apply(normalise(inspect_file(path), base.layout()))
    try:
        yield
    finally:
        base.remove()


def _pairs(scenes: Scenes, rows: NDArray[np.intp], shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([scenes.images[rows], shown], axis=1)


def _write(folder: Path, cases: Iterator[tuple[tuple[str, ...], NDArray[np.uint8]]], count: int) -> Pool:
    folder.mkdir(parents=True, exist_ok=True)
    shape = (count, PAIRS_PER_CASE, 2, SIZE, SIZE, 3)
    images = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    concepts = []
    for row, (names, pairs) in enumerate(cases):
        images[row] = pairs
        concepts.append(names)
    images.flush()
    (folder / "concepts.json").write_text(json.dumps(concepts))  # written last: its presence marks the pool complete
    return read_pool(folder)


def main() -> None:
    """Make one pool, unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pool")
    parser.add_argument("--kind", choices=("restyled", "worded", "adapters"), required=True)
    parser.add_argument("--work", type=Path, default=Path(".auditor/training"), help="folder of trained adapters")
    parser.add_argument("--cases", type=int, default=4000, help="cases of a restyled pool; of a worded one half")
    parser.add_argument("--per-adapter", type=int, default=16, help="cases of each adapter")
    arguments = parser.parse_args()
    if (arguments.out / "concepts.json").exists():
        return
    if arguments.kind == "restyled":
        build_restyled(arguments.out, arguments.cases, seed=43)
    elif arguments.kind == "worded":
        build_worded(arguments.out, arguments.cases // 2, seed=45)
    else:
        build_adapted(arguments.out, arguments.work, arguments.per_adapter, seed=44)


if __name__ == "__main__":
    main()
