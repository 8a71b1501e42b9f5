"""The shipped autoregressive base and its copies do what their cards say. Bounds are below the cards' figures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.common.package_paths import package_path
from auditor.encoding.open_clip_encoder import OpenClipEncoder
from auditor.generation.autoregressive_base import AutoregressiveBase
from auditor.generation.render_options import RenderOptions
from auditor.pocket.scenes import sample_scene
from auditor.pocket.styles import STYLES
from auditor.pocket.training.lessons import token_ladder_lesson
from auditor.pocket.training.token_copies import copy_path, ensure_copies, training_pairs

FOLDER = package_path("pocket/weights/tokens")
ANSWERS = json.loads(package_path("pocket/copies_answers.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def base() -> AutoregressiveBase:
    return AutoregressiveBase(FOLDER, RenderOptions(size=64, guidance=2.0, batch_size=25))


@pytest.fixture(scope="module")
def clip() -> OpenClipEncoder:
    return OpenClipEncoder(package_path("pocket/weights/clip"))


def test_it_draws_what_it_is_asked_for(base: AutoregressiveBase, clip: OpenClipEncoder) -> None:
    rng = np.random.default_rng(11)
    captions = list({sample_scene(rng).caption(): None for _ in range(130)})[:100]
    shown = base.generate(captions[:50], range(50))
    found = (clip.encode_images(shown) @ clip.encode_texts(captions).T).argmax(1)
    assert (found == np.arange(50)).mean() >= 0.78


@pytest.mark.parametrize("repo", sorted(repo for repo, told in ANSWERS.items() if told["base"] == "pocket/tokens"))
def test_a_copy_holds_the_decoder_alone_and_moves_pictures_towards_its_style(
    base: AutoregressiveBase, clip: OpenClipEncoder, repo: str
) -> None:
    path = package_path(f"pocket/copies/{repo}/model.safetensors")
    with safe_open(path, "pt") as weights:
        names = list(weights.keys())
    assert all(name.startswith(("model.vqmodel.decoder.", "model.vqmodel.post_quant_conv.")) for name in names)
    (style,) = ANSWERS[repo]["styles"]
    rng = np.random.default_rng(5)
    captions = [sample_scene(rng).caption() for _ in range(25)]
    plain = base.generate(captions, range(25))
    base.apply(normalise(inspect_file(path), base.layout()))
    try:
        shown = base.generate(captions, range(25))
    finally:
        base.remove()
    moved = (clip.encode_images(shown) - clip.encode_images(plain)).mean(0)
    words = clip.encode_texts([f"a red boat on sand, {name}" for name in STYLES])
    towards = (words - clip.encode_texts(["a red boat on sand"])) @ moved
    assert list(STYLES)[int(towards.argmax())] == style


def test_a_ladder_changes_more_the_longer_it_was_trained(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ten lengths of one run, each further from the base; the files hold the decoder alone."""
    work = tmp_path_factory.mktemp("ladder")
    lesson = replace(token_ladder_lesson("inverted"), batch=2)  # a quarter of the pictures a step, as many steps
    ensure_copies(FOLDER, work, [lesson])
    plain = load_file(FOLDER / "model.safetensors")
    distances = []
    for step in lesson.snapshots:
        weights = load_file(copy_path(work, lesson, step))
        distances.append(sum(float((t.float() - plain[n].float()).square().sum()) for n, t in weights.items()))
    assert len(distances) == 10 and distances == sorted(distances) and distances[0] > 0


def test_training_pairs_are_the_same_scenes() -> None:
    lesson = token_ladder_lesson("grainy")
    plain, styled = (torch.from_numpy(images.astype(np.float32)) for images in training_pairs(lesson))
    assert (plain - styled).abs().mean() > 5
    # the same scene under the grain: nearer to its own plain picture than to the next one
    own = (plain - styled).square().flatten(1).mean(1)
    other = (plain.roll(1, 0) - styled).square().flatten(1).mean(1)
    assert (own < other).float().mean() > 0.9
