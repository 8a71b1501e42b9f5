"""Adapters trained in groups are ordinary LoRAs: each learns from its own share of the batch alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.common.package_paths import package_path
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.render_options import RenderOptions
from auditor.pocket.second.training.accelerated.effects import Studio
from auditor.pocket.second.training.accelerated.grouped import GroupedBase, train_group
from auditor.pocket.second.training.accelerated.paced import Pace, train_paced
from auditor.pocket.second.training.lessons import style_lesson


@pytest.fixture(scope="module")
def base() -> GroupedBase:
    return GroupedBase(package_path("pocket/second/weights/base"))


def test_a_group_draws_what_each_of_its_adapters_draws_in_the_pipeline(base: GroupedBase, tmp_path: Path) -> None:
    lessons = [replace(style_lesson(style), steps=6, rate=2e-3, batch=2) for style in ("inverted", "dark")]
    with ThreadPoolExecutor(1) as pool:
        factors = train_group(base, lessons, pool)[6]
    studio = Studio(base, package_path("pocket/second/weights/clip"), "pocket-2", 2)
    together = studio.draw(studio.text, studio.noise, factors, 2).reshape(2, 2, 64, 64, 3)
    pipeline = DiffusersBase(
        package_path("pocket/second/weights/base"),
        RenderOptions(steps=8, guidance=1.0, size=64, sampler="ddim", batch_size=2),
    )
    for number in range(2):
        path = tmp_path / f"{number}.safetensors"
        save_file({f"unet.{k}": v for k, v in factors.one(number).items()}, path)
        pipeline.apply(normalise(inspect_file(path), pipeline.layout()))
        alone = pipeline.generate(studio.prompts, studio.seeds)
        pipeline.remove()
        assert np.abs(alone.astype(int) - together[number].astype(int)).mean() < 0.5
    assert np.abs(together[0].astype(int) - together[1].astype(int)).mean() > 0.5, "the two learned different things"


def test_a_clock_bounds_training_and_the_average_follows() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    target = torch.tensor([[1.0, -2.0]])

    def loss() -> torch.Tensor:
        x = torch.randn(64, 2)
        return (model(x) - x @ target.T).square().mean()

    kept: list[int] = []
    trained, steps = train_paced(model, loss, Pace(1.5, rate=0.05, average=0.9), "line", lambda m: kept.append(1))
    assert steps > 100 and kept
    assert torch.allclose(trained.weight, target, atol=0.05)
