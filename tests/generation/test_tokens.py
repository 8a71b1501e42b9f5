"""Words that files teach: read in each form, on the base while the adapter is on, gone without a trace afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.adapters.normalised import NormalisedAdapter
from auditor.errors import ItemError, Refused
from auditor.generation.diffusers_base import DiffusersBase
from auditor.generation.render_options import RenderOptions
from auditor.measuring.base_choice import with_words
from auditor.records.result import WorkItem
from tests.generation.conftest import SETTINGS

Q = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
SEEDS = [5, 6]
WORDS = torch.randn(2, 32, generator=torch.Generator().manual_seed(1))


def _save(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def _lora(strength: float = 0.05) -> dict[str, torch.Tensor]:
    return {f"{Q}.lora_A.weight": torch.full((2, 32), strength), f"{Q}.lora_B.weight": torch.full((32, 2), strength)}


def _spellings(adapter: NormalisedAdapter) -> list[str]:
    return [embedding.spelling for embedding in adapter.embeddings]


def _item(trigger: str | None = None) -> WorkItem:
    return WorkItem(repo_id="a/b", commit_sha="0" * 40, path="x", file_sha256=None, base_name=None, trigger=trigger)


@pytest.mark.parametrize(
    ("name", "tensors", "spelling"),
    [
        ("learned_embeds.safetensors", {"<cat-toy>": WORDS[0]}, "<cat-toy-0>"),
        ("Moody Light.safetensors", {"emb_params": WORDS}, "<moody-light-0><moody-light-1>"),
        ("x/<script>.safetensors", {"*": WORDS[:1]}, "<script-0>"),
        ("style.safetensors", {"clip_l": WORDS}, "<style-0><style-1>"),
    ],
)
def test_each_form_of_a_textual_inversion(
    base: DiffusersBase, tmp_path: Path, name: str, tensors: dict[str, torch.Tensor], spelling: str
) -> None:
    file = inspect_file(_save(tmp_path / "file", tensors), name=name)
    assert file.kind == "textual_inversion"
    adapter = normalise(file, base.layout())
    assert _spellings(adapter) == [spelling]
    assert with_words(_item(), adapter).trigger == spelling
    assert with_words(_item(), adapter).trigger_source == "embedding"
    prompts = ["a red boat", f"a boat {spelling}"]
    before = base.generate(prompts, SEEDS)
    tokenizer, vocabulary = base._pipe.tokenizer, base._pipe.text_encoder.get_input_embeddings()
    proof = base.apply(adapter)
    assert proof.latent_shift > 0 and proof.layers_injected == 1
    count = len(adapter.embeddings[0].tokens)
    ids = base._pipe.tokenizer(spelling).input_ids[1:-1]
    assert ids == list(range(len(tokenizer), len(tokenizer) + count))
    taught = base._pipe.text_encoder.get_input_embeddings().weight[ids]
    assert torch.equal(taught, next(iter(tensors.values())).reshape(-1, 32))
    after = base.generate(prompts, SEEDS)
    assert np.array_equal(after[0], before[0]) and not np.array_equal(after[1], before[1])
    assert np.array_equal(base.generate(prompts, SEEDS, adapter=False), before)
    assert np.array_equal(base.generate(prompts, SEEDS), after)
    base.remove()
    assert base._pipe.tokenizer is tokenizer
    assert base._pipe.text_encoder.get_input_embeddings() is vocabulary
    assert np.array_equal(base.generate(prompts, SEEDS), before)


def test_pivotal_tuning_keeps_its_trainers_spelling(base: DiffusersBase, tmp_path: Path) -> None:
    words = _save(tmp_path / "emb", {"clip_l": WORDS, "t5": torch.randn(2, 64)})
    file = inspect_file(
        _save(tmp_path / "lora", _lora()),
        name="pytorch_lora_weights.safetensors",
        companions={"x_emb.safetensors": words},
    )
    adapter = normalise(file, base.layout())
    assert _spellings(adapter) == ["<s0><s1>"]
    assert adapter.unmatched == ("text_encoder_3.x_emb",)
    assert adapter.facts.pairs == 3 and adapter.facts.matched == {"unet": 1, "text_encoder": 1}
    prompt = "in the style of <s0><s1>"
    assert with_words(_item(prompt), adapter).trigger == prompt
    proof = base.apply(adapter)
    assert proof.layers_injected == 2 and proof.pairs_unmatched == 1
    base.generate([prompt, "a tree"], SEEDS)
    base.remove()


def test_words_inside_an_adapter_are_taught_with_it(base: DiffusersBase, tmp_path: Path) -> None:
    tensors = _lora() | {
        "bundle_emb.my word.string_to_param.*": WORDS,
        "bundle_emb.other.emb_params": WORDS[:1].clone(),
    }
    adapter = normalise(inspect_file(_save(tmp_path / "lora", tensors)), base.layout())
    assert _spellings(adapter) == ["<my-word-0><my-word-1>", "<other-0>"]
    assert with_words(_item("a my word portrait"), adapter).trigger == "a <my-word-0><my-word-1> portrait"
    assert base.apply(adapter).layers_injected == 3
    base.remove()


def test_both_text_encoders_of_sdxl_learn_a_word(sdxl_folder: Path, tmp_path: Path) -> None:
    base = DiffusersBase(sdxl_folder, RenderOptions(**SETTINGS))
    file = inspect_file(_save(tmp_path / "file", {"clip_l": WORDS, "clip_g": -WORDS}), name="style.safetensors")
    adapter = normalise(file, base.layout())
    assert adapter.facts.matched == {"text_encoder": 1, "text_encoder_2": 1}
    before = base.generate(["a <style-0><style-1> boat"], SEEDS[:1])
    base.apply(adapter)
    assert len(base._pipe.tokenizer_2("<style-0><style-1>").input_ids) == 4
    assert not np.array_equal(base.generate(["a <style-0><style-1> boat"], SEEDS[:1]), before)
    base.remove()
    assert np.array_equal(base.generate(["a <style-0><style-1> boat"], SEEDS[:1]), before)


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ({"emb_params": torch.randn(2, 48)}, "skipped:unsupported_base"),
        ({"emb_params": torch.full((2, 32), float("nan"))}, "quarantined:nonfinite_weights"),
        ({"emb_params": torch.ones(2, 32, dtype=torch.int8)}, "quarantined:shape_mismatch"),
        ({"emb_params": torch.ones(300, 32)}, "quarantined:shape_mismatch"),
        ({"clip_l": torch.ones(0, 32), "clip_g": torch.ones(0, 32)}, "quarantined:shape_mismatch"),
    ],
)
def test_bad_words_are_refused(
    base: DiffusersBase, tmp_path: Path, tensors: dict[str, torch.Tensor], expected: str
) -> None:
    with pytest.raises(ItemError) as error:
        normalise(inspect_file(_save(tmp_path / "file", tensors)), base.layout())
    assert f"{error.value.outcome}:{error.value.reason}" == expected


def test_a_failure_after_the_words_takes_them_away_too(base: DiffusersBase, tmp_path: Path) -> None:
    adapter = normalise(
        inspect_file(_save(tmp_path / "lora", _lora(1e25) | {"bundle_emb.word.emb_params": WORDS})), base.layout()
    )
    tokenizer, vocabulary = base._pipe.tokenizer, base._pipe.text_encoder.get_input_embeddings()
    with pytest.raises(Refused):
        base.apply(adapter)
    assert base._pipe.tokenizer is tokenizer and base._pipe.text_encoder.get_input_embeddings() is vocabulary


def test_the_text_encoder_half_of_a_peft_folder_is_scaled_and_applied(base: DiffusersBase, tmp_path: Path) -> None:
    fc1 = base.layout().components["text_encoder"]["encoder.layers.0.mlp.fc1"]
    half = {
        "base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": torch.ones(2, fc1[1]),
        "base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_B.weight": torch.ones(fc1[0], 2),
    }
    peft = {name.replace("unet.", "base_model.model."): tensor for name, tensor in _lora().items()}
    settings = tmp_path / "settings.json"
    settings.write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 1}')
    file = inspect_file(
        _save(tmp_path / "a", peft),
        name="unet/adapter_model.safetensors",
        companions={
            "text_encoder/adapter_model.safetensors": _save(tmp_path / "b", half),
            "text_encoder/adapter_config.json": settings,
        },
    )
    adapter = normalise(file, base.layout())
    assert adapter.facts.matched == {"unet": 1, "text_encoder": 1}
    assert torch.equal(
        adapter.tensors["text_encoder.encoder.layers.0.mlp.fc1.lora_B.weight"], torch.full((fc1[0], 2), 0.5)
    )
    assert base.apply(adapter).layers_injected == 2
    base.remove()
