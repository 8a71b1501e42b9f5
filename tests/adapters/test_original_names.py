"""Adapters in the original implementations' names, against diffusers' own conversion of the merged original weights.

Each base's weights are written in its original names, the change is added to them there, and diffusers' single-file
converter turns the sum into the diffusers model that our merge must equal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel, UNet2DConditionModel
from diffusers.loaders.lora_conversion_utils import _convert_xlabs_flux_lora_to_diffusers
from diffusers.loaders.single_file_utils import (
    convert_flux_transformer_checkpoint_to_diffusers,
    convert_ldm_unet_checkpoint,
    convert_sd3_transformer_checkpoint_to_diffusers,
)
from safetensors.torch import load_file, save_file

from auditor.adapters.adapter_file import inspect_file
from auditor.adapters.normalise import normalise
from auditor.generation.injection import layout_of
from auditor.generation.merging import Merger
from tests.architectures import original_checkpoint


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 32),
        layers_per_block=2,
        norm_num_groups=8,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=24,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=64,
    )


def _flux() -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=8,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=24,
        pooled_projection_dim=12,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )


def _sd3() -> SD3Transformer2DModel:
    return SD3Transformer2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        patch_size=2,
        num_layers=3,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=24,
        pooled_projection_dim=12,
        caption_projection_dim=32,
        pos_embed_max_size=8,
        qk_norm="rms_norm",
        dual_attention_layers=(0, 1),
    )


def _back(kind: str, checkpoint: dict[str, torch.Tensor], model: torch.nn.Module) -> dict[str, torch.Tensor]:
    if kind == "unet":
        return convert_ldm_unet_checkpoint(checkpoint, dict(model.config))
    if kind == "flux":
        return convert_flux_transformer_checkpoint_to_diffusers(checkpoint)
    checkpoint["pos_embed"] = model.state_dict()["pos_embed.pos_embed"]
    return convert_sd3_transformer_checkpoint_to_diffusers(checkpoint)


MODELS: dict[str, Callable[[], torch.nn.Module]] = {"unet": _unet, "flux": _flux, "sd3": _sd3}


def _lora(weight: torch.Tensor, draw: Callable[..., torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    down, up = draw(2, *weight.shape[1:]), draw(weight.shape[0], 2, *[1] * (weight.dim() - 2))
    merged = weight.double() + 0.75 * (up.double().flatten(1) @ down.double().flatten(1)).reshape(weight.shape)
    return {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(1.5)}, merged.float()


def _dora(weight: torch.Tensor, draw: Callable[..., torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    parts, merged = _lora(weight, draw)
    dims = [d for d in range(weight.dim()) if d != 1]  # one magnitude per input, over all rows of a fused projection
    norm = merged.double().square().sum(dims, keepdim=True).sqrt()
    magnitude = (1.2 + 0.1 * draw(*norm.shape)) * norm.float()
    return parts | {"dora_scale": magnitude}, (merged.double() * magnitude.double() / norm).float()


def _loha(weight: torch.Tensor, draw: Callable[..., torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    flat = weight.flatten(1).shape
    parts = {f"hada_w{n}_{s}": draw(flat[0], 3) if s == "a" else draw(3, flat[1]) for n in (1, 2) for s in "ab"}
    one, two = (parts[f"hada_w{n}_a"].double() @ parts[f"hada_w{n}_b"].double() for n in (1, 2))
    merged = weight.double() + (one * two).reshape(weight.shape) * (2.0 / 3)
    return parts | {"alpha": torch.tensor(2.0)}, merged.float()


@pytest.mark.parametrize("method", [_lora, _dora, _loha])
@pytest.mark.parametrize("prefix", ["lora_unet_", "diffusion_model."])
@pytest.mark.parametrize("kind", MODELS)
def test_the_merge_is_the_one_in_original_names(
    tmp_path: Path,
    kind: str,
    prefix: str,
    method: Callable[..., tuple[dict[str, torch.Tensor], torch.Tensor]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    model = MODELS[kind]().requires_grad_(False)
    if kind == "flux":  # the converter has the width of the one published model written into it
        real, widths = torch.split, (3072, 3072, 3072, 12288)
        monkeypatch.setattr(
            torch, "split", lambda t, by, dim=0: real(t, (32, 32, 32, 128) if by == widths else by, dim)
        )
    if kind == "sd3":  # and these the names of two published models
        monkeypatch.setattr("diffusers.loaders.single_file_utils.get_caption_projection_dim", lambda checkpoint: 32)
        monkeypatch.setattr("diffusers.loaders.single_file_utils.get_attn2_layers", lambda checkpoint: [0, 1])
    name = "unet" if kind == "unet" else "transformer"
    base = layout_of({name: model}, name)
    generator = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> torch.Tensor:
        return 0.2 * torch.randn(*shape, generator=generator)

    ldm = "model.diffusion_model." if kind == "unet" else ""
    checkpoint = original_checkpoint(base, model.state_dict(), ldm)
    tensors = {}
    for key in sorted(checkpoint):
        weight = checkpoint[key]
        if not key.endswith(".weight") or weight.dim() < 2:
            continue
        module = key.removeprefix(ldm).removesuffix(".weight")
        stem = prefix + (module.replace(".", "_") if prefix == "lora_unet_" else module)
        parts, checkpoint[key] = method(weight, draw)
        tensors |= {f"{stem}.{part}": tensor.contiguous() for part, tensor in parts.items()}
    expected = _back(kind, checkpoint, model)
    save_file(tensors, tmp_path / "file.safetensors")
    adapter = normalise(inspect_file(tmp_path / "file.safetensors"), base)
    assert not adapter.unmatched
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    merger = Merger({name: model})
    merger.put(tuple(adapter.all_changes()))
    merged = model.state_dict()
    changed = {key for key, tensor in merged.items() if not torch.equal(tensor, before[key])}
    assert changed == {key for key, tensor in before.items() if key.endswith(".weight") and tensor.dim() > 1}
    for key, tensor in expected.items():
        torch.testing.assert_close(merged[key], tensor, rtol=1e-5, atol=1e-6, msg=lambda m, key=key: f"{key}: {m}")
    merger.clear()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_xlabs_projections_land_as_diffusers_converts_them(tmp_path: Path) -> None:
    model = _flux()
    base = layout_of({"transformer": model}, "transformer")
    tensors = {}
    places = [("double_blocks", f"{what}_lora{stream}") for what in ("qkv", "proj") for stream in (1, 2)]
    for blocks, projection in [*places, ("single_blocks", "qkv_lora"), ("single_blocks", "proj_lora")]:
        inputs = 160 if (blocks, projection) == ("single_blocks", "proj_lora") else 32
        for block in range(2):
            stem = f"{blocks}.{block}.processor.{projection}"
            tensors[f"{stem}.down.weight"] = torch.randn(4, inputs)
            tensors[f"{stem}.up.weight"] = torch.randn(96 if "qkv" in projection else 32, 4)
    save_file(tensors, tmp_path / "file.safetensors")
    adapter = normalise(inspect_file(tmp_path / "file.safetensors"), base)
    expected = _convert_xlabs_flux_lora_to_diffusers(load_file(tmp_path / "file.safetensors"))
    assert adapter.tensors.keys() == expected.keys() and adapter.facts.convention == "xlabs"
    assert all(torch.equal(adapter.tensors[name], tensor) for name, tensor in expected.items())
