from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from auditor.adapters.adapter_file import inspect_file, judge
from auditor.errors import ItemError
from tests.adapters.conftest import BLOCK

Q = f"unet.{BLOCK}.transformer_blocks.0.attn1.to_q"
GOOD = {f"{Q}.lora_A.weight": torch.ones(4, 32), f"{Q}.lora_B.weight": torch.ones(32, 4)}


def _outcome(tmp_path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> str:
    path = tmp_path / "adapter.safetensors"
    save_file(tensors, path, metadata)
    try:
        judge(inspect_file(path))
    except ItemError as error:
        assert error.message.endswith(".")
        return f"{error.outcome}:{error.reason}"
    return "ok"


def test_a_plain_lora_passes(tmp_path: Path) -> None:
    assert _outcome(tmp_path, GOOD) == "ok"


@pytest.mark.parametrize("left", list(GOOD))
def test_half_of_a_pair_is_of_a_lora_and_no_whole_difference(tmp_path: Path, left: str) -> None:
    save_file({left: GOOD[left]}, tmp_path / "half.safetensors")
    assert inspect_file(tmp_path / "half.safetensors").kind == "lora"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"unet.x.lora_A.weight": torch.ones(4, 8)}, "quarantined:unpaired_tensors"),
        ({"unet.x.alpha": torch.tensor(1.0)}, "quarantined:unpaired_tensors"),
        ({"unet.conv_out.weight": torch.ones(4, 4)}, "quarantined:unexpected_tensors"),
        ({f"{Q}.lora.down.weight": torch.ones(4, 32)}, "quarantined:unexpected_tensors"),
        ({f"{Q}.alpha": torch.ones(3)}, "quarantined:unexpected_tensors"),
        ({f"{Q}.lora_B.weight": torch.ones(32, 5)}, "quarantined:shape_mismatch"),
        ({f"{Q}.lora_A.weight": torch.ones(4, 32, 1)}, "quarantined:shape_mismatch"),
        ({f"{Q}.lora_A.weight": torch.ones(2000, 8), f"{Q}.lora_B.weight": torch.ones(8, 2000)},
         "quarantined:rank_out_of_range"),
        ({f"{Q}.lora_A.weight": torch.ones(0, 8), f"{Q}.lora_B.weight": torch.ones(8, 0)},
         "quarantined:rank_out_of_range"),
        ({f"{Q}.lora_A.weight": torch.ones(4, 32, dtype=torch.int8)}, "skipped:unsupported_format"),
        ({f"{Q}.lora_magnitude_vector": torch.ones(32)}, "ok"),
        ({f"{Q}.lora_B.bias": torch.ones(32)}, "ok"),
        ({f"{Q}.lora_B.bias": torch.ones(31)}, "quarantined:shape_mismatch"),
        ({f"{Q}.lora_A.bias": torch.ones(4)}, "skipped:unsupported_format"),
        ({f"{Q}.lora_mid.weight": torch.ones(4, 4, 3, 3)}, "ok"),
        ({f"{Q}.lora_mid.weight": torch.ones(3, 3, 3, 3)}, "quarantined:shape_mismatch"),
        ({f"{Q}.hada_w1_a": torch.ones(4, 4)}, "quarantined:unpaired_tensors"),
        ({f"{Q}.diff": torch.ones(32, 32)}, "ok"),
        ({f"{Q}.diff": torch.ones(32, 31)}, "quarantined:shape_mismatch"),
        ({f"{Q}.diff_b": torch.ones(32)}, "ok"),
        ({f"{Q}.diff_b": torch.ones(31)}, "quarantined:shape_mismatch"),
        ({f"{Q}.diff": torch.ones(32, 32), f"{Q}.dora_scale": torch.ones(32, 1)}, "quarantined:unpaired_tensors"),
        ({f"{Q}.alpha": torch.ones(1, 1)}, "ok"),
        ({f"{Q}.scalar": torch.tensor(0.5)}, "ok"),
        ({f"{Q}.scale_weight": torch.ones(2)}, "quarantined:unexpected_tensors"),
        ({f"{Q}.default_lora_latent_mapping.weight": torch.ones(4, 4)}, "ok"),
        ({f"{Q}.default_lora_latent_mapping.weight": torch.ones(4, 3)}, "quarantined:shape_mismatch"),
        ({f"{Q}.vera_lambda_d": torch.ones(4)}, "quarantined:unpaired_tensors"),
        ({"lora_unet_x.diff": torch.ones(4)}, "ok"),
        ({"lora_unet_x.diff": torch.ones(4), "lora_unet_x.dora_scale": torch.ones(4)},
         "quarantined:unpaired_tensors"),
        ({"lora_unet_x.lokr_w1": torch.ones(2, 2), "lora_unet_x.lokr_w2": torch.ones(2, 2)}, "ok"),
        ({"lora_unet_x.lokr_w1": torch.ones(2, 2), "lora_unet_x.lokr_w2_a": torch.ones(2, 2)},
         "quarantined:unpaired_tensors"),
        ({"lora_unet_x.lokr_w1": torch.ones(2, 2, 2), "lora_unet_x.lokr_w2": torch.ones(2, 2)},
         "quarantined:shape_mismatch"),
        ({"bundle_emb.word.string_to_param.*": torch.ones(1, 8)}, "ok"),
        ({f"{Q}.lora_A.other.weight": torch.ones(4, 32), f"{Q}.lora_B.other.weight": torch.ones(32, 4)},
         "skipped:unsupported_format"),
    ],
)  # fmt: skip
def test_one_wrong_tensor_ends_the_audit(tmp_path: Path, extra: dict[str, torch.Tensor], expected: str) -> None:
    assert _outcome(tmp_path, GOOD | extra) == expected


@pytest.mark.parametrize(
    ("names", "kind", "expected"),
    [
        (["lora_unet_x.hada_w1_a", "lora_unet_x.hada_w1_b"], "loha", "quarantined:unpaired_tensors"),
        (["lora_unet_x.lokr_w1", "lora_unet_x.lokr_w2_a"], "lokr", "quarantined:unpaired_tensors"),
        (["lora_unet_x.oft_blocks", "lora_unet_x.alpha"], "oft", "skipped:unsupported_format"),
        (["lora_unet_x.on_input", "lora_unet_x.weight"], "ia3", "skipped:unsupported_format"),
        (["lora_unet_x.a1.weight", "lora_unet_x.a2.weight"], "glora", "skipped:unsupported_format"),
        (["<s0>"], "textual_inversion", "ok"),
        (["clip_l", "clip_g"], "textual_inversion", "ok"),
        (["model.diffusion_model.out.0.weight"] , "checkpoint", "ok"),
        (["down_blocks.0.resnets.0.conv1.weight", "mid_block.x.weight", "conv_in.weight"], "denoiser", "ok"),
        (["controlnet_cond_embedding.conv_in.weight", "down_blocks.0.x.weight"], "controlnet",
         "skipped:not_text_to_image"),
        (["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"], "ip_adapter", "skipped:not_text_to_image"),
        (["down_blocks.0.motion_modules.0.proj_in.weight"], "motion_module", "skipped:not_text_to_image"),
        (["encoder.conv_in.weight", "decoder.conv_in.weight"], "vae", "skipped:not_text_to_image"),
        (["body.0.rdb1.conv1.weight", "conv_first.weight"], "upscaler", "skipped:not_text_to_image"),
        (["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
          "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"], "language_model_lora",
         "skipped:not_text_to_image"),
        (["unet.down_blocks.0.temp_attentions.0.to_k.lora_A.weight",
          "unet.down_blocks.0.temp_attentions.0.to_k.lora_B.weight"], "video_lora", "skipped:not_text_to_image"),
        (["my.word, v1.0"], "textual_inversion", "ok"),
        (["unet.x.fourierft_spectrum"], "fourierft", "skipped:unsupported_format"),
        (["unet.x.lora_A", "unet.x.lora_B", "unet.x.lora_E"], "adalora", "skipped:unsupported_format"),
        (["unet.x.vblora_logits_A", "vblora_vector_bank.default"], "vblora", "skipped:unsupported_format"),
        (["unet.x.hra_u"], "hra", "skipped:unsupported_format"),
        (["unet.x.randlora_lambda", "unet.x.randlora_gamma"], "randlora", "skipped:unsupported_format"),
        (["unet.x.bone_block"], "bone", "skipped:unsupported_format"),
        (["unet.x.miss_block"], "bone", "skipped:unsupported_format"),
        (["unet.x.c3a_kernel"], "c3a", "skipped:unsupported_format"),
        (["unet.x.shira_weight", "unet.x.shira_indices"], "shira", "skipped:unsupported_format"),
        (["unet.x.road_theta", "unet.x.road_alpha"], "road", "skipped:unsupported_format"),
        (["unet.x.waveft_spectrum"], "waveft", "skipped:unsupported_format"),
        (["unet.x.gralora_A", "unet.x.gralora_B"], "gralora", "skipped:unsupported_format"),
        (["unet.x.delora_A", "unet.x.delora_B", "unet.x.delora_lambda"], "delora", "skipped:unsupported_format"),
        (["text_encoder.token_adapter.trainable_tokens_delta"], "trained_vocabulary", "skipped:unsupported_format"),
        (["lora_unet_x.bias_indices", "lora_unet_x.bias_values", "lora_unet_x.bias_size"], "sparse_difference",
         "skipped:unsupported_format"),
        (["hypernetwork.768.0.linear1.weight"], "hypernetwork", "skipped:unsupported_format"),
        (["lora_unet_x.lora_down.weight", "lora_unet_x.lora_down.weight.quant_state.bitsandbytes__nf4"],
         "quantised_model", "skipped:unsupported_format"),
        (["lora_unet_x.lora_down.qweight"], "quantised_model", "skipped:unsupported_format"),
        # one parameter of a module is no word, whatever its width
        (["down_blocks.0.resnets.0.norm1.weight"], "denoiser", "ok"),
        (["lora_unet_x.set_weight"], "unknown", "skipped:unsupported_format"),
        (["pulid_ca.0.norm1.weight"], "unknown", "skipped:unsupported_format"),
        (["controlnet_cond_embedding.conv_in.weight", "down_blocks.0.motion_modules.0.proj_in.weight"],
         "motion_module", "skipped:not_text_to_image"),
        (["double_blocks.0.img_attn.norm.query_norm.scale", "double_blocks.0.img_mod.lin.weight",
          "single_blocks.0.linear1.weight"], "denoiser", "ok"),
        (["double_blocks.0.img_attn.norm.query_norm.scale", "double_blocks.0.img_mod.lin.lora_A.weight",
          "double_blocks.0.img_mod.lin.lora_B.weight"], "control_lora", "skipped:not_text_to_image"),
        (["unet.a.lora_A.weight", "unet.a.lora_B.weight", "model.layers.0.self_attn.q_proj.lora_A.weight",
          "model.layers.0.self_attn.q_proj.lora_B.weight"], "lora", "ok"),
        (["unet.a.lora_A.weight", "model.layers.0.self_attn.q_proj.lora_A.weight",
          "model.layers.0.self_attn.q_proj.lora_B.weight"], "language_model_lora", "skipped:not_text_to_image"),
        (["something.else"] * 1 + ["and.more", "a.b", "c.d", "e.f"], "unknown", "skipped:unsupported_format"),
    ],
)  # fmt: skip
def test_other_kinds_are_named_and_skipped(tmp_path: Path, names: list[str], kind: str, expected: str) -> None:
    tensors = {name: torch.ones(4, 4) for name in names}
    assert _outcome(tmp_path, tensors) == expected
    assert inspect_file(tmp_path / "adapter.safetensors").kind == kind


def test_no_tensors_means_no_weights(tmp_path: Path) -> None:
    assert _outcome(tmp_path, {}) == "skipped:no_weights"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"unet.modules_to_save": ["conv_out"]}, "quarantined:hostile_metadata"),
        ({"unet.init_lora_weights": "pissa_niter_4"}, "quarantined:hostile_metadata"),
        ({"unet.rank_pattern": [1]}, "quarantined:hostile_metadata"),
        ([1], "quarantined:hostile_metadata"),
        ({"unet.r": 10**7}, "quarantined:rank_out_of_range"),
        ({"unet.lora_alpha": "4"}, "quarantined:alpha_out_of_range"),
        ({"unet.use_dora": True}, "skipped:unsupported_format"),
        ({"unet.alpha_pattern": {"(a+)+$": 4}}, "skipped:unsupported_format"),
        ({"unet.r": 4, "unet.lora_alpha": 4, "unet.unknown_field": 1}, "ok"),
    ],
)
def test_settings_in_the_header(tmp_path: Path, settings: object, expected: str) -> None:
    assert _outcome(tmp_path, GOOD, {"lora_adapter_metadata": json.dumps(settings)}) == expected


def test_settings_that_are_no_json(tmp_path: Path) -> None:
    assert _outcome(tmp_path, GOOD, {"lora_adapter_metadata": "{"}) == "quarantined:hostile_metadata"


def test_a_neighbours_settings_do_not_speak_for_a_diffusers_file(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LOHA"}')
    assert _outcome(tmp_path, GOOD) == "ok"
    peft = {name.replace("unet.", "base_model.model."): tensor for name, tensor in GOOD.items()}
    assert _outcome(tmp_path, peft) == "skipped:unsupported_format"


def test_claims_are_cleaned_bounded_and_ordered(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    tags = {"10_cat": {"sks cat": 20, "outdoors": 3, "\x1b[2Jx": 19}}
    metadata = {
        "ss_base_model_version": "sd_v1'; DROP TABLE loras;--\x00" + "x" * 5000,
        "ss_network_args": '{"algo": "lora"}',
        "modelspec.trigger_phrase": "in the style of sks",
        "trigger_phrase": "IN THE STYLE OF SKS",
        "ss_tag_frequency": json.dumps(tags),
        "ss_clip_skip": "None",
    }
    save_file(GOOD, path, metadata)
    claims = inspect_file(path).claims
    assert claims.base_model is not None and len(claims.base_model) == 256
    assert claims.base_model.startswith("sd_v1'; DROP TABLE loras;--x")
    assert claims.clip_skip is None
    assert [(t.text, t.source) for t in claims.triggers] == [
        ("in the style of sks", "modelspec"),
        ("sks cat", "tag_frequency"),
        ("x", "tag_frequency"),
    ]


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ('{"base_model_name_or_path": "Qwen/Qwen-Image"}', "Qwen/Qwen-Image"),
        ('{"base_model_name_or_path": null}', None),
        ("{", None),
    ],
)
def test_peft_settings_name_the_base(tmp_path: Path, settings: str, base: str | None) -> None:
    save_file(GOOD, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(settings)
    assert inspect_file(tmp_path / "adapter_model.safetensors").claims.base_checkpoint == base
