"""Training pairs of the VLM, drawn by the base on a GPU: words in the prompt, and adapters of development styles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.pocket.second.corpus import caption_with, word_for
from auditor.pocket.second.scenes import EDITS, SIZE, sample_scene
from auditor.pocket.second.training.accelerated.effects import Studio, noise_of
from auditor.pocket.second.training.accelerated.grouped import Factors, GroupedBase
from auditor.pocket.second.training.lessons import development_lessons
from auditor.pocket.second.training.lora import Lesson
from auditor.pocket.second.vlm.pairs import PAIRS_PER_CASE, Pool, draw_case, sample_case

SCENES = 384
SCENE_SEED = 41
CASES_PER_ADAPTER = 24


def _draw_cases(seed: int, start: int, end: int) -> tuple[NDArray[np.uint8], list[tuple[str, ...]]]:
    drawn, names = [], []
    for i in range(start, end):
        rng = np.random.default_rng([seed, i])
        case = sample_case(rng)
        drawn.append(draw_case(case, rng))
        names.append(case.names)
    return np.stack(drawn), names


def rendered_pool(pool: ProcessPoolExecutor, count: int, seed: int) -> Pool:
    """Cases drawn by the renderer, on many cores."""
    edges = list(range(0, count, 250))
    parts = list(pool.map(_draw_cases, [seed] * len(edges), edges, [min(e + 250, count) for e in edges]))
    return Pool(np.concatenate([images for images, _ in parts]), tuple(n for _, names in parts for n in names))


class Scenes:
    """Scenes that no probe set holds the noise of, and the bare base's pictures of them."""

    def __init__(self, base: GroupedBase, studio: Studio, count: int | None = None) -> None:
        count = count or SCENES
        rng = np.random.default_rng(SCENE_SEED)
        self.scenes = [sample_scene(rng) for _ in range(count)]
        self.prompts = [scene.caption() for scene in self.scenes]
        self.noise = noise_of([int(s) for s in rng.integers(2**40, 2**41, count)])
        self.text = base.embed(self.prompts)
        self.images = studio.draw(self.text, self.noise, None, 1)


def worded_pool(base: GroupedBase, studio: Studio, count: int, seed: int = 42) -> Pool:
    """The base's pictures without and with words of styles or edits in the prompt, on the same noise."""
    scenes = Scenes(base, studio)
    rng = np.random.default_rng(seed)
    names, rows, prompts = [], [], []
    for _ in range(count):
        case = sample_case(rng).names
        subject = next((EDITS[name].subject for name in case if name in EDITS), None)
        fitting = [i for i, scene in enumerate(scenes.scenes) if subject in (None, scene.subject)]
        chosen = rng.choice(fitting, PAIRS_PER_CASE, replace=False)
        prompts += [caption_with(scenes.scenes[r], tuple(word_for(n, rng) for n in case), rng) for r in chosen]
        rows += [int(r) for r in chosen]
        names.append(case)
    shown = np.concatenate([
        studio.draw(base.embed(prompts[i : i + 4096]), scenes.noise[rows[i : i + 4096]], None, 1)
        for i in range(0, len(prompts), 4096)
    ])  # fmt: skip
    pairs = np.stack([scenes.images[rows], shown], axis=1)
    return Pool(pairs.reshape(count, PAIRS_PER_CASE, 2, SIZE, SIZE, 3), tuple(names))


class AdapterPairs:
    """Collects pairs of the base without and with development adapters, at strengths of 0.55 to 1.1."""

    def __init__(self, base: GroupedBase, studio: Studio, folder: Path) -> None:
        self.base, self.studio, self.folder = base, studio, folder
        self.scenes = Scenes(base, studio)
        self.rng = np.random.default_rng(43)
        self.images: list[NDArray[np.uint8]] = []
        self.names: list[tuple[str, ...]] = []
        self.learned = {lesson.name for lesson in development_lessons()}

    def add(self, group: Sequence[Lesson], factors: Factors) -> int:
        """Draw for the lessons of the group that the VLM may learn from; returns how many these are."""
        learned = [number for number, lesson in enumerate(group) if lesson.name in self.learned]
        if not learned:
            return 0
        strength = torch.tensor(self.rng.uniform(0.55, 1.1, len(learned)), dtype=torch.float32)
        strength = strength.to(self.base.device)[:, None, None]
        worn = Factors({k: v[learned] for k, v in factors.down.items()},
                       {k: v[learned] * strength for k, v in factors.up.items()})  # fmt: skip
        each = min(CASES_PER_ADAPTER * PAIRS_PER_CASE, len(self.scenes.scenes))
        rows = np.concatenate([self.rng.choice(len(self.scenes.scenes), each, replace=False) for _ in learned])
        text = self.scenes.text[torch.from_numpy(rows).to(self.base.device)]
        shown = self.studio.draw(text, self.scenes.noise[rows], worn, 1)  # the batch is grouped by adapter already
        self.images.append(np.stack([self.scenes.images[rows], shown], axis=1))
        self.names += [group[number].styles for number in learned for _ in range(each // PAIRS_PER_CASE)]
        return len(learned)

    def close(self) -> None:
        """Write the pool, once."""
        if not self.names or (self.folder / "concepts.json").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        shape = (len(self.names), PAIRS_PER_CASE, 2, SIZE, SIZE, 3)
        np.save(self.folder / "images.npy", np.concatenate(self.images).reshape(shape))
        (self.folder / "concepts.json").write_text(json.dumps(self.names))  # last: its presence marks the pool complete
