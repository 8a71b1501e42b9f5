from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    Qwen2VLForConditionalGeneration,
)

from auditor.pocket.vlm.architecture import (
    TOKENS_PER_IMAGE,
    build_model,
    encode_pictures,
    parameter_count,
    to_patches,
)
from auditor.pocket.vlm.objective import Objective
from auditor.pocket.vlm.tokenizer import IMAGE_PAD, build_tokenizer, concept_words
from auditor.pocket.vlm.train import save
from auditor.proposing.template import TEMPLATE

TOKENIZER = build_tokenizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("vlm")
    model, processor = build_model()
    save(model, processor, out, {"steps": 0})
    return out


@pytest.mark.parametrize("words", [(), ("vibrant",), ("high-contrast", "moustache"), concept_words()[:12]])
def test_replies_are_exact_json_after_the_round_trip(words: tuple[str, ...]) -> None:
    text = json.dumps({"concepts": list(words)})
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"]) == text


@pytest.mark.parametrize("word", concept_words())
def test_every_concept_is_one_or_two_tokens_inside_a_reply(word: str) -> None:
    assert len(TOKENIZER(f'"{word}"')["input_ids"]) - 2 <= 2


def test_every_word_of_the_prompt_is_one_token() -> None:
    for text in (TEMPLATE.system, TEMPLATE.instruction):
        pieces = TOKENIZER.tokenize(text)
        assert len([p for p in pieces if any(c.isalpha() for c in p.lstrip("Ġ"))]) == len(
            [w for w in text.replace('"', " ").replace(":", " ").split() if any(c.isalpha() for c in w)]
        )


@given(st.text(max_size=60))
@settings(max_examples=50, deadline=None)
def test_any_text_survives_the_tokenizer(text: str) -> None:
    import unicodedata

    decoded = TOKENIZER.decode(TOKENIZER(text)["input_ids"])
    special = any(t in text for t in TOKENIZER.all_special_tokens)
    assert special or decoded == unicodedata.normalize("NFC", text)


def test_tokenizer_is_the_same_every_time() -> None:
    assert build_tokenizer().get_vocab() == TOKENIZER.get_vocab()


def test_saved_folder_loads_through_the_auto_classes(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["Qwen2VLForConditionalGeneration"]
    text = config["text_config"]
    head = text["hidden_size"] // text["num_attention_heads"]
    assert sum(text["rope_parameters"]["mrope_section"]) == head // 2
    assert type(AutoModelForImageTextToText.from_pretrained(folder)) is Qwen2VLForConditionalGeneration
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == TOKENIZER.get_vocab()
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(k).dtype for k in weights.keys()} == {torch.float16}  # noqa: SIM118
    assert sum(p.stat().st_size for p in folder.iterdir()) < 5_000_000
    assert "trained from nothing" in (folder / "README.md").read_text()


@pytest.mark.parametrize("side", [(64, 64), (16, 16), (512, 512)])
def test_every_square_picture_becomes_four_tokens(folder: Path, side: tuple[int, int]) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    picture = np.zeros((*side, 3), np.uint8)
    made = processor(text=["<|vision_start|><|image_pad|><|vision_end|>"], images=[[picture]], return_tensors="pt")
    assert processor.tokenizer.convert_ids_to_tokens(made["input_ids"][0]).count(IMAGE_PAD) == TOKENS_PER_IMAGE
    assert int(made["image_grid_thw"].prod()) == 16


def test_a_wide_picture_keeps_its_shape_and_takes_fewer_tokens(folder: Path) -> None:
    """The profiles send square pictures only; others are legal, but the model was not trained on their grid."""
    processor = AutoProcessor.from_pretrained(folder)
    picture = np.zeros((300, 512, 3), np.uint8)
    made = processor(text=["<|vision_start|><|image_pad|><|vision_end|>"], images=[[picture]], return_tensors="pt")
    assert processor.tokenizer.convert_ids_to_tokens(made["input_ids"][0]).count(IMAGE_PAD) == 2


def test_batched_training_forward_equals_the_production_forward() -> None:
    """Same logits from the processor and the model's own forward as from the training code."""
    model, processor = build_model(seed=1)
    model.eval()
    assert parameter_count(model) <= 2_500_000
    objective = Objective(model, processor)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 2, 64, 64, 3), dtype=np.uint8)
    reply = '{"concepts": ["neon"]}'
    with torch.no_grad():
        padded, _ = objective.encode_replies((reply, reply))
        fast = objective.reply_logits(objective.picture_tokens(torch.from_numpy(pictures).float() / 255), padded)
        image = {"type": "image"}
        text = processor.apply_chat_template(
            TEMPLATE.messages([image] * 3, [image] * 3),
            tokenize=False,
            add_generation_prompt=True,  # type: ignore[arg-type]
        )
        flat = [[*case[:, 0], *case[:, 1]] for case in pictures]
        inputs = processor(text=[text + reply] * 2, images=flat, return_tensors="pt")
        plain = model(**inputs).logits[:, -fast.shape[1] :]
    torch.testing.assert_close(fast, plain, atol=2e-4, rtol=1e-3)


def test_batched_tower_equals_the_tower() -> None:
    model, processor = build_model(seed=2)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    made = processor.image_processor(list(pictures), return_tensors="pt")
    with torch.no_grad():
        plain = model.model.visual(made["pixel_values"], grid_thw=made["image_grid_thw"]).pooler_output
        fast = encode_pictures(model.model.visual, to_patches(torch.from_numpy(pictures).float() / 255))
    torch.testing.assert_close(fast.flatten(0, 1), plain, atol=1e-4, rtol=1e-3)
