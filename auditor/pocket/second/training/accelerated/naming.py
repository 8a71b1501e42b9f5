"""The VLM on a GPU: the lessons of `second.vlm.train`, bounded by a clock, with every pool on the device."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch

from auditor.pocket.second.training.accelerated.effects import Studio
from auditor.pocket.second.training.accelerated.grouped import GroupedBase
from auditor.pocket.second.training.accelerated.paced import Pace, train_paced, wait_for
from auditor.pocket.second.training.accelerated.pools import rendered_pool, worded_pool
from auditor.pocket.second.vlm.architecture import build_model, parameter_count
from auditor.pocket.second.vlm.objective import Batch, Objective
from auditor.pocket.second.vlm.pairs import CONCEPTS, Pool, answer_text, read_pool
from auditor.pocket.second.vlm.train import (
    HELD_OUT_CASES,
    HELD_OUT_SEED,
    SEED,
    Student,
    held_out_accuracy,
    load_codec,
    save,
)
from auditor.pocket.training.loop import best_device

EYES_FIRST = 0.12
"""Share of the time in which only the vision tower learns."""
SHARES = {"rendered": 0.45, "worded": 0.25, "adapters": 0.3}


class _Resident:
    """A pool on the device."""

    def __init__(self, pool: Pool, device: torch.device) -> None:
        self.images = torch.from_numpy(np.ascontiguousarray(pool.images)).to(device)
        self.concepts = pool.concepts
        present = np.array([[c in case for c in CONCEPTS] for case in pool.concepts], dtype=np.float32)
        self.present = torch.from_numpy(present).to(device)


def sample(pools: Sequence[_Resident], shares: Sequence[float], size: int, rng: np.random.Generator) -> Batch:
    """As `objective.sample_batch`, with pictures gathered and jittered on the device."""
    pairs = int(rng.choice([1, 2, 3], p=[0.1, 0.1, 0.8]))
    counts = rng.multinomial(size, np.asarray(shares) / np.sum(shares))
    pictures, present, concepts = [], [], []
    for pool, count in zip(pools, counts, strict=True):
        cases = torch.from_numpy(rng.integers(len(pool.concepts), size=count))
        first = int(rng.integers(pool.images.shape[1] - pairs + 1))
        pictures.append(pool.images[cases, first : first + pairs])
        present.append(pool.present[cases])
        concepts += [pool.concepts[int(c)] for c in cases]
    return Batch(_jitter(torch.cat(pictures)), torch.cat(present),
                 tuple(answer_text(c, rng) for c in concepts), tuple(concepts))  # fmt: skip


def _jitter(images: torch.Tensor) -> torch.Tensor:
    shape = (*images.shape[:3], 1, 1, 1)
    x = images.float() / 255
    gain = 1 + 0.015 * torch.randn(shape, device=x.device)
    offset = 0.01 * torch.randn(shape, device=x.device)
    sigma = 0.015 * torch.rand(shape, device=x.device)
    return (x * gain + offset + sigma * torch.randn_like(x)).clamp(0, 1)


def _through(codec_folder: Path, pool: Pool) -> Pool:
    """Every second case as the base's autoencoder shows it."""
    codec = load_codec(codec_folder)
    images = pool.images.copy()
    for start in range(1, len(images), 500):
        part = images[start : start + 500 : 2]
        images[start : start + 500 : 2] = codec(part.reshape(-1, 64, 64, 3)).reshape(part.shape)
    return Pool(images, pool.concepts)


def render_cases(work: Path, cases: int) -> None:
    """Draw the rendered pools, while other models train."""
    for name, count, seed in (("vlm-drawn", cases, SEED), ("vlm-drawn-held-out", HELD_OUT_CASES, HELD_OUT_SEED)):
        with ProcessPoolExecutor() as workers:
            pool = rendered_pool(workers, count, seed)
        folder = work / name
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "images.npy", pool.images)
        (folder / "concepts.json").write_text(json.dumps(pool.concepts))


def train_vlm(work: Path, weights: Path, seconds: float, worded: int = 3000, size: int = 96) -> None:
    """Train and save the VLM; the adapters' pairs join when they are there."""
    torch.manual_seed(SEED)
    device = best_device()
    vae = weights / "base" / "vae"
    held_out = _through(vae, read_pool(work / "vlm-drawn-held-out"))
    pools = {"rendered": _Resident(_through(vae, read_pool(work / "vlm-drawn")), device)}
    base = GroupedBase(weights / "base")
    studio = Studio(base, weights / "clip", "pocket-2", 1)
    pools["worded"] = _Resident(worded_pool(base, studio, worded), device)
    del base, studio
    model, processor = build_model(SEED)
    student = Student(model).to(device)
    objective = Objective(model, processor)
    rng = np.random.default_rng(SEED)
    taken = [0]
    start = time.monotonic()

    def loss() -> torch.Tensor:
        taken[0] += 1
        if "adapters" not in pools and taken[0] % 50 == 0 and wait_for(work / "vlm-adapters" / "concepts.json", 0):
            pools["adapters"] = _Resident(read_pool(work / "vlm-adapters"), device)
            print(f"vlm step {taken[0]}: adapters' pairs join", file=sys.stderr, flush=True)
        batch = sample(list(pools.values()), [SHARES[name] for name in pools], size, rng)
        seen, said = objective.losses(batch, student.head, vision_only=time.monotonic() - start < EYES_FIRST * seconds)
        return 0.1 * seen + said

    pace = Pace(seconds, rate=1.2e-3, average=0.995, weight_decay=0.02, graph=False)

    def keep(averaged: torch.nn.Module) -> None:
        assert isinstance(averaged, Student)
        save(deepcopy(averaged.model), processor, weights / "vlm", {"parameters": parameter_count(averaged.model)})

    trained, steps = train_paced(student, loss, pace, "vlm", keep)
    final = Objective(trained.model, processor)
    figures: dict[str, float | int] = {
        "parameters": parameter_count(final.model),
        "steps": steps,
        "held_out_cases": HELD_OUT_CASES // 2,
        "first_concept_right": round(held_out_accuracy(final, held_out, HELD_OUT_CASES // 2, 20), 4),
    }
    save(final.model, processor, weights / "vlm", figures)
    print(figures, flush=True)
