from __future__ import annotations

import pytest

from auditor.adapters.families import ModuleWidths, recognise_family, recognise_words

CROSS = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "family"),
    [
        (CROSS, 768, 320, "sd15"),
        (CROSS, 1024, 320, "sd21"),
        (CROSS, 2048, 640, "sdxl"),
        (CROSS, 1280, 768, "sdxl_refiner"),
        (CROSS, 24, 32, None),
        ("down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", 320, 320, None),
        ("single_transformer_blocks_37_attn_to_q", 3072, 3072, "flux1"),
        ("double_blocks_0_img_attn_qkv", 3072, 9216, "flux1"),
        ("single_transformer_blocks_0_attn_to_qkv_mlp_proj", 6144, 6144, "flux2"),
        ("transformer_blocks_0_attn_add_k_proj", 1536, 1536, "sd35_medium"),
        ("joint_blocks_37_x_block_attn_qkv", 2432, 7296, "sd35_large"),
        ("transformer_blocks_0_img_mod_1", 3072, 18432, "qwen_image"),
        ("double_blocks_3_img_mod_lin", 3072, 18432, "flux1"),
        ("transformer_blocks_12_attn_to_q", 3072, 3072, "flux1"),
        ("transformer_blocks_12_attn_to_q", 2432, 2432, "sd35_large"),
        ("transformer_blocks_12_attn_to_q", 512, 512, None),
        ("transformer_blocks_0_attn2_to_k", 1152, 1152, "pixart"),
        ("down_blocks_2_attentions_1_transformer_blocks_7_attn1_to_q", 1280, 1280, "sdxl"),
        ("input_blocks_1_1_transformer_blocks_0_attn1_to_q", 320, 320, None),
        ("something_else", 3072, 3072, None),
    ],
)
def test_family_from_one_module(name: str, inputs: int, outputs: int, family: str | None) -> None:
    evidence = recognise_family([ModuleWidths(name, inputs, outputs)])
    assert evidence.family == family
    assert evidence.reasons


def test_contradicting_widths_name_no_family() -> None:
    modules = [ModuleWidths(CROSS, 768, 320), ModuleWidths(CROSS.replace("to_k", "to_v"), 2048, 320)]
    assert recognise_family(modules).family is None


SELF = "attentions_0_transformer_blocks_0_attn1_to_q"


@pytest.mark.parametrize(
    ("names", "text", "candidates"),
    [
        ([f"down_blocks_1_{SELF}"], {}, {"sd15", "sd21", "sdxl"}),
        ([f"down_blocks_0_{SELF}"], {}, {"sd15", "sd21"}),
        ([f"down_blocks_0_{SELF}"], {"text_encoder": 1024}, {"sd21"}),
        ([f"down_blocks_0_{SELF}"], {"text_encoder": 768}, {"sd15"}),
        ([f"down_blocks_1_{SELF}"], {"text_encoder": 768}, {"sd15", "sdxl"}),
        ([f"down_blocks_1_{SELF}"], {"text_encoder_2": 1280}, {"sdxl"}),
        ([f"up_blocks_0_{SELF}"], {}, {"sdxl"}),
        (["output_blocks_1_1_transformer_blocks_0_attn1_to_q"], {}, {"sdxl"}),
        ([f"up_blocks_0_{SELF}", f"down_blocks_0_{SELF}"], {}, set()),
    ],
)
def test_self_attention_alone_leaves_candidates(names: list[str], text: dict[str, int], candidates: set[str]) -> None:
    evidence = recognise_family([ModuleWidths(name, 640, 640) for name in names], text)
    assert evidence.candidates == candidates
    assert evidence.family == (next(iter(candidates)) if len(candidates) == 1 else None)


@pytest.mark.parametrize(
    ("widths", "family"),
    [
        ({"<cat>": 768}, "sd15"), ({"emb_params": 1024}, "sd21"), ({"clip_l": 768, "clip_g": 1280}, "sdxl"),
        ({"clip_l": 768, "t5": 4096}, "flux1"), ({"clip_l": 768, "clip_g": 1280, "t5": 4096}, None), ({"x": 128}, None),
    ],
)  # fmt: skip
def test_family_from_embeddings(widths: dict[str, int], family: str | None) -> None:
    assert recognise_words(widths).family == family
