"""Encoders of transformers: the library's own values, windows and preprocessing, and files that are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from auditor.encoding.encoder_kinds import ENCODER_KINDS, encoder_class
from auditor.encoding.open_clip_encoder import OpenClipEncoder
from auditor.encoding.transformers_encoder import WINDOWS, TransformersEncoder
from auditor.errors import PrerequisiteMissing, UserError
from auditor.planning.encoder_opening import open_encoder
from auditor.settings import EncoderSettings
from tests.tiny_encoders import SAVE
from tests.tiny_models import LINES


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: save(tmp_path_factory.mktemp(kind)) for kind, save in SAVE.items()}


def _waves(height: int, width: int, count: int = 3) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / (5 + i) + c) + np.cos(y / (7 + c) + i) for i in range(count) for c in range(3)]
    stacked = np.stack(waves).reshape(count, 3, height, width).transpose(0, 2, 3, 1)
    return ((stacked + 2) / 4 * 255).astype(np.uint8)


def test_every_supported_type_is_tested() -> None:
    assert set(SAVE) == set(WINDOWS)


@pytest.mark.parametrize("kind", SAVE)
@pytest.mark.parametrize("size", [(32, 32), (50, 71)])
def test_pictures_become_what_the_library_makes_of_them(
    folders: dict[str, Path], kind: str, size: tuple[int, int]
) -> None:
    images, encoder = _waves(*size), TransformersEncoder(folders[kind], batch_size=2)
    model = AutoModel.from_pretrained(folders[kind]).eval()
    pictures = AutoImageProcessor.from_pretrained(folders[kind])
    with torch.inference_mode():
        inputs = pictures([Image.fromarray(image) for image in images], return_tensors="pt")
        expected = torch.nn.functional.normalize(model.get_image_features(**inputs).pooler_output, dim=-1).numpy()
    embedded = encoder.encode_images(images)
    np.testing.assert_allclose(embedded, expected, atol=3e-6)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-6)
    assert embedded.dtype == np.float32 and embedded.shape == (3, encoder.dimension)
    assert np.ptp(embedded, axis=0).max() > 1e-3  # the pictures are told apart


@pytest.mark.parametrize("kind", SAVE)
def test_texts_are_padded_to_the_window_that_the_model_was_trained_with(folders: dict[str, Path], kind: str) -> None:
    encoder = TransformersEncoder(folders[kind], batch_size=2)
    model, tokenizer = AutoModel.from_pretrained(folders[kind]).eval(), AutoTokenizer.from_pretrained(folders[kind])
    window = {"clip": 16, "siglip": 16, "siglip2": 64, "align": 64}[kind]
    with torch.inference_mode():
        inputs = tokenizer(list(LINES), padding="max_length", max_length=window, truncation=True, return_tensors="pt")
        expected = torch.nn.functional.normalize(model.get_text_features(**inputs).pooler_output, dim=-1).numpy()
    together = encoder.encode_texts(LINES)
    np.testing.assert_allclose(together, expected, atol=2e-6)
    np.testing.assert_allclose(np.concatenate([encoder.encode_texts([line]) for line in LINES]), together, atol=2e-6)
    assert np.isfinite(encoder.encode_texts(["boat " * 500])).all()
    assert encoder.encode_texts([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize("kind", SAVE)
def test_identity_follows_weights_preprocessing_and_words(folders: dict[str, Path], kind: str, tmp_path: Path) -> None:
    identity = TransformersEncoder(folders[kind]).identity
    other = tmp_path / "other"
    shutil.copytree(folders[kind], other)
    (other / "README.md").write_text("says nothing that is computed")
    assert TransformersEncoder(other).identity == identity
    weights = load_file(other / "model.safetensors")
    name = next(name for name, tensor in weights.items() if tensor.dim() == 2)
    weights[name][0, 0] += 1e-3
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    seen = {identity, TransformersEncoder(other).identity}
    shutil.copy(folders[kind] / "model.safetensors", other)
    for file in ("preprocessor_config.json", "tokenizer_config.json"):
        config = json.loads((other / file).read_text())
        (other / file).write_text(json.dumps(config | {"image_mean": [0, 0, 0], "extra": 1}))
        seen.add(TransformersEncoder(other).identity)
    assert len(seen) == 4
    assert TransformersEncoder(folders[kind], dtype="bfloat16").identity not in seen


@pytest.mark.parametrize("kind", ["siglip", "siglip2"])
def test_the_librarys_own_odd_defaults_are_no_fault_of_the_model(folders: dict[str, Path], kind: str) -> None:
    transformers_logging.warning_once.cache_clear()  # it says so once in a process
    TransformersEncoder(folders[kind])


def test_what_is_missing_or_strange_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteMissing, match=r"config\.json is missing"):
        TransformersEncoder(tmp_path)
    with pytest.raises(UserError, match="int4"):
        TransformersEncoder(folders["clip"], dtype="int4")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UserError, match="'bert' is not supported"):
        TransformersEncoder(tmp_path)
    cut = tmp_path / "cut"
    shutil.copytree(folders["siglip"], cut)
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(PrerequisiteMissing, match="cannot be loaded"):
        TransformersEncoder(cut)


def test_weights_that_are_not_there_are_not_made_up(folders: dict[str, Path], tmp_path: Path) -> None:
    less = tmp_path / "less"
    shutil.copytree(folders["siglip"], less)
    weights = load_file(less / "model.safetensors")
    weights.pop(next(name for name in weights if name.startswith("vision_model")))
    save_file(weights, less / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PrerequisiteMissing, match="warning of its library"):
        TransformersEncoder(less)


def test_pickled_weights_and_code_of_the_folder_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(folders["clip"], pickled)
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(PrerequisiteMissing):
        TransformersEncoder(pickled)
    coded = tmp_path / "coded"
    shutil.copytree(folders["clip"], coded)
    config = json.loads((coded / "config.json").read_text())
    (coded / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    (coded / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('x')\nclass Model: pass\n")
    TransformersEncoder(coded)
    assert not (tmp_path / "ran").exists()


def test_the_setting_chooses_the_kind(folders: dict[str, Path]) -> None:
    chosen = EncoderSettings(kind="transformers", name="small", path=folders["align"])
    opened = open_encoder(chosen)
    assert isinstance(opened, TransformersEncoder) and opened.identity == TransformersEncoder(folders["align"]).identity
    assert encoder_class("open_clip") is OpenClipEncoder and set(ENCODER_KINDS) == {"open_clip", "transformers"}
    with pytest.raises(ValidationError, match="choose one of open_clip, transformers"):
        EncoderSettings(kind="clip", name="x", path=folders["clip"])
    with pytest.raises(ValidationError, match="`path` or `pretrained`"):
        EncoderSettings(kind="open_clip", name="ViT-B-32")
    with pytest.raises(PrerequisiteMissing, match=r"hf download nobody/nothing --revision main .*safetensors"):
        open_encoder(EncoderSettings(kind="transformers", name="nobody/nothing"))
