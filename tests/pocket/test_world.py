"""The shipped pocket models do what their cards say. Bounds are below the cards' figures by their sampling error."""

from __future__ import annotations

import json

import numpy as np
import pytest

from auditor.common.package_paths import package_path
from auditor.encoding.open_clip_encoder import OpenClipEncoder
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.render_options import RenderOptions
from auditor.pocket.corpus import sample_example
from auditor.pocket.drawn_subjects import EDITS
from auditor.pocket.hub_server.made_up_counts import made_up_counts
from auditor.pocket.scenes import render, sample_scene
from auditor.pocket.styles import STYLES, apply_style

WORLD_LIMIT_BYTES = 22_000_000
"""Of the base, CLIP, the vision-language model and the zoo."""
OTHERS_LIMIT_BYTES = 12_000_000
"""Of the encoders, captioners and generators that are there to be compared with, and their copies."""
WORLD = ("weights/base", "weights/clip", "weights/vlm", "zoo")


@pytest.fixture(scope="module")
def clip() -> OpenClipEncoder:
    return OpenClipEncoder(package_path("pocket/weights/clip"))


def test_weights_and_zoo_stay_small() -> None:
    package = package_path("pocket")
    files = {p for folder in ("weights", "zoo", "copies") for p in (package / folder).rglob("*.safetensors")}
    world = {p for folder in WORLD for p in (package / folder).rglob("*.safetensors")}
    assert sum(p.stat().st_size for p in world) < WORLD_LIMIT_BYTES
    assert sum(p.stat().st_size for p in files - world) < OTHERS_LIMIT_BYTES


def test_what_a_repo_says_of_its_use_follows_from_its_name() -> None:
    """Publishing again changes no count by which the Hub's lists are ordered."""
    package = package_path("pocket")
    stated = [p for folder in ("zoo", "copies") for p in (package / folder).glob("*/*/.hub.json")]
    assert len(stated) > 40
    for path in stated:
        assert json.loads(path.read_text()) == made_up_counts("/".join(path.parent.parts[-2:]))


def test_clip_finds_the_caption_of_pictures_it_never_saw(clip: OpenClipEncoder) -> None:
    rng = np.random.default_rng(90_210)
    pictures: dict[str, np.ndarray] = {}
    while len(pictures) < 500:
        example = sample_example(rng)
        pictures.setdefault(example.caption, np.round(example.image * 255).astype(np.uint8))
    images, texts = clip.encode_images(np.stack(list(pictures.values()))), clip.encode_texts(list(pictures))
    assert ((images @ texts.T).argmax(1) == np.arange(500)).mean() >= 0.88


def test_base_draws_what_it_is_asked_for(clip: OpenClipEncoder) -> None:
    rng = np.random.default_rng(11)
    captions = list({sample_scene(rng).caption(): None for _ in range(130)})[:100]
    base = DiffusersBase(
        package_path("pocket/weights/base"),
        RenderOptions(steps=8, guidance=1.0, size=64, sampler="ddim", batch_size=25),
    )
    shown = base.generate(captions[:40], range(40))
    found = (clip.encode_images(shown) @ clip.encode_texts(captions).T).argmax(1)
    assert (found == np.arange(40)).mean() >= 0.7


@pytest.mark.parametrize("style", list(STYLES))
def test_styles_are_graded_and_stay_in_range(style: str) -> None:
    rng = np.random.default_rng(3)
    image = render(sample_scene(rng))
    far = [
        float(np.abs(apply_style(image, style, s, np.random.default_rng(5)) - image).mean()) for s in (0, 0.3, 0.6, 1)
    ]
    assert far[0] == 0 and far == sorted(far) and far[3] > 0.02
    styled = apply_style(image, style, 1.0, rng)
    assert styled.dtype == np.float32 and styled.min() >= 0 and styled.max() <= 1


@pytest.mark.parametrize("edit", list(EDITS))
def test_edits_touch_their_own_subject_only(edit: str) -> None:
    rng = np.random.default_rng(4)
    own = sample_scene(rng, EDITS[edit].subject)
    other = sample_scene(rng, next(e.subject for e in EDITS.values() if e.subject != EDITS[edit].subject))
    assert np.abs(render(own, edit) - render(own)).mean() > 0.002
    assert np.array_equal(render(other, edit), render(other))
