"""Pairs of the pocket generator: what the labels say is what the pictures show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auditor.common.package_paths import package_path
from auditor.evaluation.captions import evaluate_captions
from auditor.generation.diffusers_base import DiffusersBase
from auditor.pocket.drawn_subjects import SIZE
from auditor.pocket.vlm import generated
from auditor.pocket.vlm.generated import build_restyled, build_worded, draw_scenes, pocket_base, with_adapter
from auditor.settings import resolve


@pytest.fixture(scope="module")
def rough_base() -> tuple[DiffusersBase, Path]:
    """The pocket's base in a quarter of its steps: how two of its pictures compare does not hang on them."""
    base, folder = pocket_base()
    base.draw_as(size=SIZE, steps=2, guidance=base.options.guidance)
    return base, folder


@pytest.fixture
def drawing(rough_base: tuple[DiffusersBase, Path], monkeypatch: pytest.MonkeyPatch) -> DiffusersBase:
    """The base that pools are drawn with."""
    monkeypatch.setattr(generated, "pocket_base", lambda: rough_base)
    return rough_base[0]


def test_restyled_pairs_differ_where_a_concept_is_named(
    monkeypatch: pytest.MonkeyPatch, drawing: DiffusersBase, tmp_path: Path
) -> None:
    monkeypatch.setattr(generated, "SCENES", 6)
    pool = build_restyled(tmp_path, 24, seed=3)
    change = np.abs(pool.images[:, :, 1].astype(int) - pool.images[:, :, 0]).mean((1, 2, 3, 4))
    named = np.array([bool(c) for c in pool.concepts])
    assert 0 < named.sum() < len(named)
    assert change[named].min() > change[~named].max()
    assert {tuple(np.ravel(image)) for image in pool.images[:, :, 0].reshape(-1, 64 * 64 * 3)[:, ::997]} <= {
        tuple(image) for image in draw_scenes(drawing, 6, 41).images.reshape(6, -1)[:, ::997]
    }, "the base pictures are the generator's own"


def test_worded_pairs_are_one_scene_on_one_noise(
    monkeypatch: pytest.MonkeyPatch, drawing: DiffusersBase, tmp_path: Path
) -> None:
    monkeypatch.setattr(generated, "SCENES", 72)  # four of every subject that edits need
    pool = build_worded(tmp_path, 16, seed=3)
    change = np.abs(pool.images[:, :, 1].astype(int) - pool.images[:, :, 0]).mean((1, 2, 3, 4))
    named = np.array([bool(c) for c in pool.concepts])
    assert 0 < named.sum() < len(named)
    assert (change[~named] <= 1).all(), "without a word the second picture is the first one again"
    assert change[named].min() > 2


def test_an_adapter_is_worn_inside_the_block_only(rough_base: tuple[DiffusersBase, Path]) -> None:
    base, _ = rough_base
    file = next(package_path("pocket/zoo").glob("*/*/pytorch_lora_weights.safetensors"))
    scenes = draw_scenes(base, 2, seed=5)
    with with_adapter(base, file):
        assert (base.generate(scenes.prompts, scenes.seeds) != scenes.images).any()
    assert (base.generate(scenes.prompts, scenes.seeds) == scenes.images).all()


def test_most_pictures_of_the_base_are_recognised() -> None:
    found = evaluate_captions(resolve(profile="pocket").settings, 16)
    assert found.right.cases == 16 and found.right.right >= 10 and found.chance == 1 / 16
    assert found.right.right + len(found.mistakes) == 16
