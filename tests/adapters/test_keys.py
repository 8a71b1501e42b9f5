from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.adapters.keys import DENOISER, convention_of, parse_key

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"


@pytest.mark.parametrize(
    ("name", "part", "component", "module", "convention"),
    [
        (f"unet.{ATTENTION}.to_q.lora_A.weight", "down", "unet", f"{ATTENTION}.to_q", "diffusers"),
        (f"unet.{ATTENTION}.to_q.lora.up.weight", "up", "unet", f"{ATTENTION}.to_q", "diffusers"),
        (f"unet.{ATTENTION}.processor.to_out_lora.down.weight", "down", "unet", f"{ATTENTION}.to_out.0",
         "diffusers_processor"),
        (f"{ATTENTION}.processor.to_k_lora.up.weight", "up", None, f"{ATTENTION}.to_k", "diffusers_processor"),
        ("text_encoder_2.a.q_proj.lora_linear_layer.down.weight", "down", "text_encoder_2", "a.q_proj",
         "diffusers"),
        ("lora_unet_mid_block_resnets_0_conv1.lora_down.weight", "down", DENOISER, "mid_block_resnets_0_conv1",
         "kohya"),
        ("lora_te_text_model_x.alpha", "alpha", "text_encoder", "text_model_x", "kohya"),
        ("lora_te1_text_model_x.lora_up.weight", "up", "text_encoder", "text_model_x", "kohya"),
        ("lora_te2_text_model_x.lora_up.weight", "up", "text_encoder_2", "text_model_x", "kohya"),
        ("base_model.model.a.b.lora_B.weight", "up", None, "a.b", "peft"),
        ("text_encoder.base_model.model.a.b.lora_B.weight", "up", "text_encoder", "a.b", "peft"),
        ("base_model.model.unet.a.b.lora_B.weight", "up", "unet", "a.b", "peft"),
        ("a.b.lora_A.default.weight", "down", None, "a.b", "unprefixed"),
        ("diffusion_model.double_blocks.0.x.lora_A.weight", "down", DENOISER, "double_blocks.0.x", "comfyui"),
        ("lora_unet_x.dora_scale", "dora", DENOISER, "x", "kohya"),
        ("lora_unet_x.lora_mid.weight", "mid", DENOISER, "x", "kohya"),
        ("transformer.proj_out.weight", "other", "transformer", "proj_out.weight", "diffusers"),
    ],
)  # fmt: skip
def test_known_spellings(name: str, part: str, component: str | None, module: str, convention: str) -> None:
    key = parse_key(name)
    assert (key.part, key.component, key.module, key.convention) == (part, component, module, convention)


def test_adapter_name_inside_the_key_is_kept() -> None:
    assert parse_key("a.lora_A.default.weight").adapter_name == "default"
    assert parse_key("a.lora_A.weight").adapter_name is None


def test_two_schemes_in_one_file_are_mixed() -> None:
    keys = [parse_key("unet.a.lora_A.weight"), parse_key("lora_te_b.lora_down.weight")]
    assert convention_of(keys) == "mixed"


def test_alphas_and_strangers_do_not_say_how_changes_are_named() -> None:
    others = [parse_key("lora_unet_a.alpha"), parse_key("transformer.proj_out.weight")]
    assert convention_of(others) == "unknown"
    assert convention_of([*others, parse_key("unet.a.lora_A.weight")]) == "diffusers"


_PIECES = st.sampled_from([
    "unet.", "lora_unet_", "text_encoder.", "base_model.model.", ".lora_A", ".lora_B", ".default", ".weight",
    ".processor", ".to_q_lora", ".down", ".up", ".alpha", "lora_te_", ".lora_magnitude_vector", "", ".",
])  # fmt: skip


@settings(deadline=None)
@given(st.text(max_size=60) | st.lists(_PIECES | st.text(max_size=4), max_size=12).map("".join))
def test_any_name_is_parsed(name: str) -> None:
    key = parse_key(name)
    assert key.name == name
    if key.part == "other":
        assert key.adapter_name is None
    else:
        assert len(key.module) < len(name) + len(".0")
