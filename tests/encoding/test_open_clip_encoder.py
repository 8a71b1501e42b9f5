from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from auditor.encoding.open_clip_encoder import OpenClipEncoder
from auditor.encoding.preprocessing import Preprocessing
from auditor.errors import PrerequisiteMissing, UserError
from auditor.settings import resolve
from tests.tiny_models import LINES, save_open_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_open_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> OpenClipEncoder:
    return OpenClipEncoder(folder, batch_size=2)


def _images(size: tuple[int, int], count: int = 3) -> np.ndarray:
    """Smooth pictures: resizing noise would compare rounding only."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    waves = [np.sin(x / (5 + i) + c) + np.cos(y / (7 + c) + i) for i in range(count) for c in range(3)]
    stacked = np.stack(waves).reshape(count, 3, *size).transpose(0, 2, 3, 1)
    return ((stacked + 2) / 4 * 255).astype(np.uint8)


def test_rows_have_length_one_and_the_librarys_values(folder: Path, encoder: OpenClipEncoder) -> None:
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model.eval()
    images = _images((32, 32), 5)
    with torch.inference_mode():
        pixels = torch.stack([preprocess(Image.fromarray(image)) for image in images])
        expected = model.encode_image(pixels, normalize=True).numpy()
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(list(LINES))
        expected_texts = model.encode_text(tokens, normalize=True).numpy()
    embedded = encoder.encode_images(images)
    np.testing.assert_allclose(embedded, expected, atol=2e-6)
    np.testing.assert_allclose(encoder.encode_texts(LINES), expected_texts, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-6)
    assert embedded.dtype == np.float32 and embedded.shape == (5, encoder.dimension)


@pytest.mark.parametrize("size", [(64, 64), (24, 24), (50, 71), (90, 33)])
def test_resizing_is_open_clips(folder: Path, encoder: OpenClipEncoder, size: tuple[int, int]) -> None:
    _, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    images = _images(size)
    expected = torch.stack([preprocess(Image.fromarray(image)) for image in images])
    ours = encoder._preprocess(torch.from_numpy(images))
    levels = (ours - expected).abs() * 0.27 * 255
    assert ours.shape == expected.shape
    assert float(levels.max()) <= 2.5 and float(levels.mean()) < 0.3


def test_squash_ignores_the_aspect_ratio() -> None:
    squash = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3, resize_mode="squash")
    assert squash(torch.zeros(2, 20, 11, 3, dtype=torch.uint8)).shape == (2, 3, 8, 8)


def test_identity_follows_weights_and_configuration(folder: Path, encoder: OpenClipEncoder, tmp_path: Path) -> None:
    assert OpenClipEncoder(f"local-dir:{folder}").identity == encoder.identity
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    weights = load_file(other / "open_clip_model.safetensors")
    weights["visual.proj"][0, 0] += 1e-4
    save_file(weights, other / "open_clip_model.safetensors")
    changed = OpenClipEncoder(other)
    assert changed.identity != encoder.identity
    shutil.copy(folder / "open_clip_model.safetensors", other)
    config = other / "open_clip_config.json"
    config.write_text(config.read_text().replace('"size": 32}', '"size": 32, "mean": [0, 0, 0]}'))
    assert OpenClipEncoder(other).identity not in (encoder.identity, changed.identity)


def test_calls_are_counted_and_empty_input_is_fine(folder: Path) -> None:
    encoder = OpenClipEncoder(folder)
    encoder.encode_images(_images((32, 32), 4))
    encoder.encode_texts(LINES)
    assert (encoder.calls.images, encoder.calls.texts) == (4, 3)
    assert encoder.encode_images(np.zeros((0, 32, 32, 3), np.uint8)).shape == (0, encoder.dimension)
    assert encoder.encode_texts([]).shape == (0, encoder.dimension)


def test_long_texts_are_cut_not_refused(encoder: OpenClipEncoder) -> None:
    assert np.isfinite(encoder.encode_texts(["boat " * 500])).all()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteMissing, match="open_clip_config"):
        OpenClipEncoder(tmp_path)
    with pytest.raises(PrerequisiteMissing, match="no encoder"):
        OpenClipEncoder(tmp_path / "nowhere")
    with pytest.raises(UserError, match="random"):
        OpenClipEncoder("ViT-B-32")
    with pytest.raises(UserError, match="int4"):
        OpenClipEncoder(tmp_path, dtype="int4")


def test_only_uint8_rgb_is_taken(encoder: OpenClipEncoder) -> None:
    with pytest.raises(ValueError, match="uint8"):
        encoder.encode_images(np.zeros((1, 32, 32, 3), np.float32))  # type: ignore[arg-type]


@pytest.fixture
def tagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`ViT-tiny` and `ViT-tiny-quickgelu`, and weights of the tag `openai`, trained with QuickGELU, for both."""
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    for name, more in (("ViT-tiny", {}), ("ViT-tiny-quickgelu", {"quick_gelu": True})):
        config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text, **more}
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    open_clip.add_model_config(tmp_path)
    weights = tmp_path / "open_clip_model.safetensors"
    save_file(open_clip.create_model("ViT-tiny-quickgelu").state_dict(), weights)
    tag = {"url": "", "hf_hub": "nobody/tiny/", "quick_gelu": True}
    known = open_clip.pretrained._PRETRAINED
    monkeypatch.setitem(known, "ViT-tiny", {"openai": tag})
    monkeypatch.setitem(known, "ViT-tiny-quickgelu", {"openai": tag})
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: str(weights))
    return tmp_path


def test_weights_trained_with_another_activation_are_refused(tagged: Path) -> None:
    with pytest.raises(PrerequisiteMissing, match="QuickGELU mismatch"):
        OpenClipEncoder("ViT-tiny", pretrained="openai")
    model = OpenClipEncoder("ViT-tiny-quickgelu", pretrained="openai")._model
    assert type(model.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"


def test_the_hub_profiles_encoder_has_the_activation_of_its_weights() -> None:
    chosen = resolve(profile="hub", environment={}).settings.recipe.encoder
    trained = open_clip.get_pretrained_cfg(chosen.name, chosen.pretrained)["quick_gelu"]
    assert trained == open_clip.get_model_config(chosen.name).get("quick_gelu", False)
