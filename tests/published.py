"""The published architectures as classes of diffusers on the meta device: every name and shape, not one weight.

Configurations are those of the published repos, or a class' own defaults where these are the published ones. Text
encoders are built where adapters change them (CLIP).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import diffusers
import torch
from diffusers import SD3Transformer2DModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

Components = dict[str, torch.nn.Module]

_UNET: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "in_channels": 4,
    "out_channels": 4,
}
_XL: dict[str, Any] = {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
}
_SD3: dict[str, Any] = {
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "attention_head_dim": 64,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 2048,
    "sample_size": 128,
}
_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
           "projection_dim": 768, "vocab_size": 49408}  # fmt: skip
_CLIP_H = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16,
           "projection_dim": 512, "vocab_size": 49408, "hidden_act": "gelu"}  # fmt: skip
_CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
           "projection_dim": 1280, "vocab_size": 49408, "hidden_act": "gelu"}  # fmt: skip


def _clip(config: Mapping[str, object], *, projection: bool = False) -> torch.nn.Module:
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(CLIPTextConfig(**config))


def _sd15() -> Components:
    unet = UNet2DConditionModel(**_UNET, sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    return {"unet": unet, "text_encoder": _clip(_CLIP_L)}


def _sd21() -> Components:
    unet = UNet2DConditionModel(
        **_UNET,
        sample_size=96,
        cross_attention_dim=1024,
        attention_head_dim=(5, 10, 20, 20),
        use_linear_projection=True,
    )
    return {"unet": unet, "text_encoder": _clip(_CLIP_H)}


def _sdxl() -> Components:
    unet = UNet2DConditionModel(**_XL, projection_class_embeddings_input_dim=2816)
    return {"unet": unet, "text_encoder": _clip(_CLIP_L), "text_encoder_2": _clip(_CLIP_G, projection=True)}


def _sdxl_refiner() -> Components:
    unet = UNet2DConditionModel(
        sample_size=128,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(384, 768, 1536, 1536),
        transformer_layers_per_block=4,
        attention_head_dim=(6, 12, 24, 24),
        cross_attention_dim=1280,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2560,
    )
    return {"unet": unet, "text_encoder_2": _clip(_CLIP_G, projection=True)}


def _kolors() -> Components:
    unet = UNet2DConditionModel(
        **_XL,
        projection_class_embeddings_input_dim=5632,
        encoder_hid_dim=4096,
        encoder_hid_dim_type="text_proj",
    )
    return {"unet": unet}


def _sd3(layers: int, width: int, positions: int, **more: Any) -> Callable[[], Components]:
    def build() -> Components:
        transformer = SD3Transformer2DModel(
            **_SD3,
            num_layers=layers,
            num_attention_heads=width // 64,
            caption_projection_dim=width,
            pos_embed_max_size=positions,
            **more,
        )
        texts = {"text_encoder": _CLIP_L, "text_encoder_2": _CLIP_G}
        return {"transformer": transformer} | {n: _clip(config, projection=True) for n, config in texts.items()}

    return build


def _transformer(class_name: str, *, clip: bool = False, **config: Any) -> Callable[[], Components]:
    """A transformer by its class; with FLUX.1's CLIP where the pipeline has it."""

    def build() -> Components:
        parts: Components = {"transformer": getattr(diffusers, class_name)(**config)}
        return parts | ({"text_encoder": _clip(_CLIP_L)} if clip else {})

    return build


_FLUX = {"patch_size": 1, "in_channels": 64, "num_layers": 19, "num_single_layers": 38, "attention_head_dim": 128,
         "num_attention_heads": 24, "joint_attention_dim": 4096, "axes_dims_rope": (16, 56, 56)}  # fmt: skip
_PIXART = {"sample_size": 128, "num_layers": 28, "cross_attention_dim": 1152, "caption_channels": 4096}

IMAGE: Mapping[str, Callable[[], Components]] = {
    "sd15": _sd15,
    "sd21": _sd21,
    "sdxl": _sdxl,
    "sd35_medium": _sd3(24, 1536, 384, qk_norm="rms_norm", dual_attention_layers=tuple(range(13))),
    "sd35_large": _sd3(38, 2432, 192, qk_norm="rms_norm"),
    "flux1": _transformer(
        "FluxTransformer2DModel", clip=True, guidance_embeds=True, pooled_projection_dim=768, **_FLUX
    ),
    "sd3_medium": _sd3(24, 1536, 192),
    "kolors": _kolors,
    "chroma": _transformer("ChromaTransformer2DModel"),
    "flux2_klein_4b": _transformer(
        "Flux2Transformer2DModel", num_layers=5, num_single_layers=20, num_attention_heads=24,
        joint_attention_dim=7680, guidance_embeds=False,
    ),
    "flux2_klein_9b": _transformer(
        "Flux2Transformer2DModel", num_layers=8, num_single_layers=24, num_attention_heads=32,
        joint_attention_dim=12288, guidance_embeds=False,
    ),
    "qwen_image": _transformer("QwenImageTransformer2DModel"),
    "z_image": _transformer("ZImageTransformer2DModel"),
    "auraflow": _transformer("AuraFlowTransformer2DModel", pos_embed_max_size=9216),
    "pixart_alpha": _transformer("PixArtTransformer2DModel", use_additional_conditions=True, **_PIXART),
    "pixart_sigma": _transformer("PixArtTransformer2DModel", use_additional_conditions=False, **_PIXART),
    "sana_1600m": _transformer("SanaTransformer2DModel"),
    "sana_600m": _transformer(
        "SanaTransformer2DModel", num_attention_heads=36, num_layers=28, num_cross_attention_heads=16,
        cross_attention_head_dim=72, cross_attention_dim=1152,
    ),
    "lumina2": _transformer("Lumina2Transformer2DModel", cap_feat_dim=2304),
    "hunyuandit": _transformer(
        "HunyuanDiT2DModel", in_channels=4, patch_size=2, sample_size=128, hidden_size=1408, num_layers=40,
        mlp_ratio=4.3637, use_style_cond_and_image_meta_size=False,
    ),
}  # fmt: skip
"""Architectures with a pipeline that adapters can be audited on."""

OTHERS: Mapping[str, Callable[[], Components]] = {
    "sdxl_refiner": _sdxl_refiner,
    "flux2_dev": _transformer("Flux2Transformer2DModel"),
    "fibo": _transformer("BriaFiboTransformer2DModel", in_channels=48, num_layers=8),
    "ovis_image": _transformer("OvisImageTransformer2DModel"),
    "krea2": _transformer("Krea2Transformer2DModel"),
    "hunyuan_image": _transformer("HunyuanImageTransformer2DModel"),
    "hidream": _transformer(
        "HiDreamImageTransformer2DModel", patch_size=2, in_channels=16, caption_channels=[4096, 4096],
        llama_layers=[*range(32), *[31] * 16],
    ),
    "cogview4": _transformer(
        "CogView4Transformer2DModel", num_layers=28, num_attention_heads=32, attention_head_dim=128
    ),
    "omnigen": _transformer(
        "OmniGenTransformer2DModel", rope_scaling={"long_factor": [1.0] * 48, "short_factor": [1.0] * 48}
    ),
    "ernie_image": _transformer(
        "ErnieImageTransformer2DModel", hidden_size=4096, num_attention_heads=32, num_layers=36,
        ffn_hidden_size=12288, text_in_dim=3072,
    ),
    "hunyuan_video": _transformer("HunyuanVideoTransformer3DModel"),
    "hunyuan_video15": _transformer("HunyuanVideo15Transformer3DModel"),
    "wan_14b": _transformer("WanTransformer3DModel"),
    "wan_1b": _transformer("WanTransformer3DModel", num_attention_heads=12, ffn_dim=8960, num_layers=30),
    "ltx_video": _transformer("LTXVideoTransformer3DModel"),
    "ltx2": _transformer("LTX2VideoTransformer3DModel"),
    "cogvideox_5b": _transformer("CogVideoXTransformer3DModel", num_attention_heads=48, num_layers=42),
    "cogvideox_2b": _transformer("CogVideoXTransformer3DModel"),
    "mochi": _transformer("MochiTransformer3DModel"),
    "cosmos2": _transformer("CosmosTransformer3DModel", num_attention_heads=16, extra_pos_embed_type=None),
}  # fmt: skip
"""Architectures whose adapters are recognised, so that none is taken for another's."""

BUILDERS = {**IMAGE, **OTHERS}


@cache
def components(architecture: str) -> Components:
    """The denoiser, first, and the CLIP text encoders of one architecture, without storage."""
    with torch.device("meta"):
        return BUILDERS[architecture]()
