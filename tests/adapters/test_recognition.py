"""Whose base a file was made for: files of one architecture whose names and shapes resemble another's."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from auditor.adapters.header import TensorInfo
from auditor.adapters.keys import parse_key
from auditor.adapters.recognition import FamilyEvidence, published_layout, recognise_family, recognise_words
from auditor.adapters.tensor_groups import group
from auditor.families.shapes import architectures
from auditor.families.table import FAMILIES

Modules = Mapping[str, tuple[int, int]]
W = 3072
IMAGE = {f"attn.{name}": (W, W) for name in ("to_q", "to_k", "to_v", "to_out.0")}
TEXT = {f"attn.{name}": (W, W) for name in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")}
HUNYUAN_DOUBLE = {"img_attn_qkv": (3 * W, W), "img_attn_proj": (W, W), "img_mlp.fc1": (4 * W, W)}
KLEIN = {"img_attn.qkv": (3 * W, W), "img_attn.proj": (W, W), "img_mlp.0": (6 * W, W), "img_mlp.2": (W, 3 * W)}
FLUX_DOUBLE = {"img_attn.qkv": (3 * W, W), "txt_attn.proj": (W, W), "img_mlp.0": (4 * W, W)}
SELF = "attentions_0_transformer_blocks_0_attn1_to_q"


def blocks(stem: str, numbers: range, modules: Modules) -> dict[str, tuple[int, int]]:
    return {f"{stem}.{number}.{name}": shape for number in numbers for name, shape in modules.items()}


def evidence(modules: Modules, prefix: str = "transformer.", *, flat: bool = False) -> FamilyEvidence:
    tensors: dict[str, TensorInfo] = {}
    for module, (out, inputs) in modules.items():
        stem = prefix + (module.replace(".", "_") if flat else module)
        for suffix, shape in (("lora_down.weight", (4, inputs)), ("lora_up.weight", (out, 4))):
            tensors[f"{stem}.{suffix}"] = TensorInfo(f"{stem}.{suffix}", "F16", shape, 0, 0)
    return recognise_family(group(map(parse_key, tensors), tensors).entries)


@pytest.mark.parametrize(
    ("modules", "prefix", "family"),
    [
        # diffusers' own trainer for Qwen-Image: names and widths of FLUX.1's double blocks, but sixty of them
        (blocks("transformer_blocks", range(60), IMAGE), "transformer.", "qwen_image"),
        (blocks("transformer_blocks", range(60), IMAGE), "diffusion_model.", "qwen_image"),
        (blocks("transformer_blocks", range(60), {**IMAGE, **TEXT}), "lora_unet_", "qwen_image"),
        # HunyuanVideo is FLUX.1 with one double block and two single ones more
        (blocks("double_blocks", range(20), HUNYUAN_DOUBLE), "lora_unet_", "hunyuan_video"),
        (blocks("double_blocks", range(20), HUNYUAN_DOUBLE), "transformer.", "hunyuan_video"),
        (
            blocks("transformer_blocks", range(20), {**IMAGE, **TEXT})
            | blocks("single_transformer_blocks", range(40), {"proj_out": (W, 5 * W)}),
            "transformer.",
            "hunyuan_video",
        ),
        # FLUX.2 klein 4B has FLUX.1's width
        (blocks("double_blocks", range(5), KLEIN), "diffusion_model.", "flux2_klein_4b"),
        (blocks("transformer_blocks", range(5), IMAGE), "transformer.", "flux2_klein_4b"),
        (blocks("double_blocks", range(19), FLUX_DOUBLE), "lora_unet_", "flux1"),
        (blocks("single_blocks", range(38), {"linear1": (7 * W, W)}), "diffusion_model.", "flux1"),
        # CogVideoX 5B too
        (
            blocks("transformer_blocks", range(42), {"attn1.to_q": (W, W), "ff.net.2": (W, 4 * W)}),
            "transformer.",
            "cogvideox_5b",
        ),
        (blocks("layers", range(30), {"attention.qkv": (3 * 3840, 3840)}), "lora_unet_", "z_image"),
        (blocks("layers", range(26), {"attn.to_k": (768, 2304)}), "transformer.", "lumina2"),
        (blocks("blocks", range(40), {"cross_attn.q": (5120, 5120)}), "diffusion_model.", "wan_14b"),
        (blocks("blocks", range(28), {"self_attn.q_proj": (2048, 2048)}), "lora_unet_", "anima"),
        (blocks("joint_transformer_blocks", range(4), IMAGE), "transformer.", "auraflow"),
        (blocks("llm.layers", range(32), {"self_attn.qkv_proj": (9216, W)}), "base_model.model.", "omnigen"),
        # nothing says which: named by no one
        (blocks("transformer_blocks", range(24), {"attn.to_q": (1536, 1536)}), "transformer.", None),
        ({"transformer_blocks.3.attn.to_q": (W, W)}, "transformer.", None),
        ({"some.layer": (64, 64)}, "", None),
        ({f"mid_block_{SELF}": (1280, 1280)}, "lora_unet_", None),
        ({f"up_blocks_0_{SELF}": (1280, 1280)}, "lora_unet_", "sdxl"),
        ({"lora_te2_text_model.encoder.layers.0.self_attn.q_proj": (1280, 1280)}, "", "sdxl"),
    ],
)
def test_names_counts_and_shapes_tell_the_family(modules: Modules, prefix: str, family: str | None) -> None:
    found = evidence(modules, prefix, flat=prefix.startswith("lora_") or "lora_" in next(iter(modules)))
    assert found.family == family, found
    if family is not None:
        assert family in found.candidates


def test_what_fits_alike_stays_possible() -> None:
    assert evidence(blocks("transformer_blocks", range(19), IMAGE)).candidates >= {"flux1", "chroma", "qwen_image"}
    assert evidence({f"mid_block_{SELF}": (1280, 1280)}, "lora_unet_", flat=True).candidates >= {"sd15", "sd21", "sdxl"}
    medium = evidence(blocks("transformer_blocks", range(24), {"attn.to_q": (1536, 1536)}))
    assert medium.candidates >= {"sd3_medium", "sd35_medium"}


def test_a_file_of_which_little_fits_is_nobodys() -> None:
    modules = blocks("single_transformer_blocks", range(8), {"proj_mlp": (4 * W, W)})
    foreign = {f"foreign_blocks.{n}.to_q": (64, 64) for n in range(2)}
    assert evidence({**modules, **foreign}).family is None
    found = evidence({**blocks("single_transformer_blocks", range(38), {"proj_mlp": (4 * W, W)}), **foreign})
    assert found.family == "flux1"
    assert found.shares["flux1"] == pytest.approx(38 / 40)


@pytest.mark.parametrize(
    ("widths", "family", "candidates"),
    [
        ({"<cat>": 768}, None, {"sd15", "sdxl", "flux1"}),
        ({"emb_params": 1024}, "sd21", {"sd21"}),
        ({"clip_l": 768, "clip_g": 1280}, "sdxl", {"sdxl"}),
        ({"<cat>": 1280}, "sdxl", {"sdxl"}),
        ({"clip_l": 768, "t5": 4096}, "flux1", {"flux1"}),
        ({"x": 128}, None, set()),
        ({"clip_l": 768, "clip_g": 1280, "t5": 4096}, None, {"sd3_medium", "sd35_medium", "sd35_large"}),
    ],
)
def test_the_width_of_a_word_never_decides_alone(
    widths: dict[str, int], family: str | None, candidates: set[str]
) -> None:
    found = recognise_words(widths)
    assert found.family == family
    assert found.candidates >= candidates


@pytest.mark.parametrize("family", architectures())
def test_the_table_of_families_has_the_blocks_and_widths_of_the_classes(family: str) -> None:
    entry, layout = FAMILIES[family], published_layout(family)
    assert layout.denoiser == entry.denoiser
    own = layout.components[entry.denoiser]
    for stem, count in entry.blocks.items():
        assert {int(name.split(".")[1]) for name in own if name.startswith(f"{stem}.")} == set(range(count))
    assert any(entry.width in shape[:2] for shape in own.values())
    assert set(entry.text_encoders) == {name for name in layout.components if name.startswith("text_encoder")}
    assert entry.rendering is None or entry.input_layer in own


def test_just_as_many_parts_as_must_fit_are_enough() -> None:
    modules = blocks("single_transformer_blocks", range(9), {"proj_mlp": (4 * W, W)})
    foreign = {f"foreign_blocks.{n}.to_q": (64, 64) for n in range(2)}
    assert "flux1" in evidence(modules | dict(list(foreign.items())[:1])).candidates
    assert not evidence(modules | foreign).candidates


def test_parts_for_t5_count_neither_for_a_family_nor_against_it() -> None:
    t5 = {f"encoder.block.{n}.layer.0.SelfAttention.q": (4096, 4096) for n in range(24)}
    alone = evidence(t5, "text_encoder_3.")
    assert (alone.family, alone.candidates) == (None, frozenset())
    modules = {
        f"transformer.{name}": shape
        for name, shape in blocks("single_transformer_blocks", range(38), {"proj_mlp": (4 * W, W)}).items()
    }
    both = evidence(modules | {f"text_encoder_3.{name}": shape for name, shape in t5.items()}, "")
    assert both.family == "flux1" and both.shares["flux1"] == 1.0
