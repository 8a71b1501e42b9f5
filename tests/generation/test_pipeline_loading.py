from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import transformers

from auditor.errors import PrerequisiteMissing, UserError
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.render_options import RenderOptions
from tests.generation.conftest import SETTINGS
from tests.small_pipelines import save


def _copy(folder: Path, tmp_path: Path, **changes: object) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(folder, target)
    index = json.loads((target / "model_index.json").read_text())
    (target / "model_index.json").write_text(json.dumps(index | changes))
    return target


@pytest.mark.parametrize(
    "changes",
    [
        {"_class_name": "EvilPipeline"},
        {"_class_name": ["pipeline", "EvilPipeline"]},
        {"unet": ["my_unet", "EvilUNet"]},
        {"scheduler": ["os", "system"]},
    ],
)
def test_the_folder_does_not_choose_the_code(sd_folder: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    folder = _copy(sd_folder, tmp_path, **changes)
    (folder / "my_unet.py").write_text("raise SystemExit('code from the folder ran')")
    with pytest.raises(UserError):
        DiffusersBase(folder, RenderOptions(**SETTINGS))


def test_a_missing_base_or_pickled_weights_are_a_prerequisite(sd_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteMissing, match="model_index"):
        DiffusersBase(tmp_path / "nowhere", RenderOptions(**SETTINGS))
    folder = _copy(sd_folder, tmp_path)
    for text in ("[]", "{"):
        (tmp_path / "model_index.json").write_text(text)
        with pytest.raises(PrerequisiteMissing, match="does not describe a pipeline"):
            DiffusersBase(tmp_path, RenderOptions(**SETTINGS))
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(PrerequisiteMissing):
        DiffusersBase(folder, RenderOptions(**SETTINGS))


def test_the_settings_offer_what_can_be_loaded():
    from typing import get_args

    from auditor.families.table import PIPELINES
    from auditor.generation.pipeline_loading import SAMPLERS
    from auditor.settings.base_model_settings import PipelineName, SamplerName

    assert set(get_args(PipelineName)) == set(PIPELINES)
    assert set(get_args(SamplerName)) == {"default", *SAMPLERS}


@pytest.mark.parametrize("changes", [{"sampler": "magic"}, {"sampler": "flow_euler"}, {"dtype": "int4"}])
def test_unknown_settings_are_named(sd_folder: Path, changes: dict[str, str]) -> None:
    with pytest.raises(UserError, match=next(iter(changes.values()))):
        DiffusersBase(sd_folder, RenderOptions(**SETTINGS | changes))


def test_layout_lists_denoiser_and_text_encoder(shared_base: DiffusersBase) -> None:
    components = shared_base.layout().components
    assert set(components) == {"unet", "text_encoder"}
    assert components["unet"]["mid_block.resnets.0.conv1"] == (64, 64, 3, 3)
    assert len(components["text_encoder"]) == 2 * 6


def _pixart_with_pieces(folder: Path) -> Path:
    """PixArt as its authors publish it: the tokenizer's vocabulary is a SentencePiece model and nothing else."""
    import sentencepiece

    save("PixArtAlphaPipeline", folder)
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").mkdir()
    sentences = [f"a {colour} {thing} on grass, number {n}" for n in range(40) for colour in ("red", "blue")
                 for thing in ("dog", "boat", "tree", "car")]  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_prefix=str(folder / "tokenizer" / "spiece"),
        vocab_size=50,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "model_max_length": 77, "pad_token": "<pad>",
                "eos_token": "</s>", "unk_token": "<unk>"}  # fmt: skip
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    index = json.loads((folder / "model_index.json").read_text())
    index["tokenizer"] = ["transformers", "T5Tokenizer"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


PIXART = RenderOptions(pipeline="PixArtAlphaPipeline", sampler="dpmsolver++", steps=1, size=64)


def test_a_tokenizer_of_pieces_alone_is_read(tmp_path: Path) -> None:
    base = DiffusersBase(_pixart_with_pieces(tmp_path / "base"), PIXART)
    tokens = [base._pipe.tokenizer(text).input_ids for text in ("a red dog", "a blue boat")]
    assert tokens[0] != tokens[1] and not {2} & {*tokens[0], *tokens[1]}


@pytest.mark.parametrize("package", ["sentencepiece", "protobuf"])
def test_a_package_that_a_base_needs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    known = transformers.utils.import_utils.BACKENDS_MAPPING
    monkeypatch.setitem(known, package, (lambda: False, f"{{0}} requires {package}: pip install {package}"))
    with pytest.raises(PrerequisiteMissing, match=r"sentencepiece|protobuf|tiktoken"):
        DiffusersBase(_pixart_with_pieces(tmp_path / "base"), PIXART)


def test_a_tokenizer_without_its_vocabulary_is_refused(tmp_path: Path) -> None:
    """It loads without a word, and every prompt would be the same."""
    folder = _pixart_with_pieces(tmp_path / "base")
    (folder / "tokenizer" / "spiece.model").unlink()
    with pytest.raises(PrerequisiteMissing, match="vocabulary"):
        DiffusersBase(folder, PIXART)


def test_no_call_looks_for_offloaded_modules(sd_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is offloaded, and the library's search walks all modules, several times a call."""

    def searched(*_: object) -> None:
        raise AssertionError("all modules were walked")

    base = DiffusersBase(sd_folder, RenderOptions(**SETTINGS))
    monkeypatch.setattr("diffusers.hooks.group_offloading._get_group_onload_device", searched)
    assert base.generate(["a boat"], [1]).any()
