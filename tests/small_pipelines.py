"""Every pipeline class with small random weights, written to a folder in the Hub's layout."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

_CHAT = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>{% endfor %}"


# Configurations, as a table: one argument a line would hide the pipelines.
# fmt: off
def _tokenizer(length: int) -> Any:
    """One token per character, with the special ones that the classes look for."""
    special = ["<pad>", "</s>", "<unk>", "[CLS]", "[SEP]", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: number for number, token in enumerate([*special, *string.printable])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=length,
        chat_template=_CHAT,
    )


VOCABULARY = 7 + len(string.printable)


def _t5(width: int = 32, *, umt5: bool = False) -> torch.nn.Module:
    settings: dict[str, Any] = {"vocab_size": VOCABULARY, "d_model": width, "d_kv": 8, "d_ff": 37, "num_layers": 2,
                                "num_heads": 4, "feed_forward_proj": "gated-gelu"}
    if umt5:
        return transformers.UMT5EncoderModel(transformers.UMT5Config(**settings))
    return transformers.T5EncoderModel(transformers.T5Config(**settings))


def _gemma() -> torch.nn.Module:
    return transformers.Gemma2Model(
        transformers.Gemma2Config(
            vocab_size=VOCABULARY, hidden_size=8, head_dim=16, intermediate_size=64, num_attention_heads=2,
            num_key_value_heads=2, num_hidden_layers=1,
        )
    )


def _qwen3(layers: int, *, causal: bool) -> torch.nn.Module:
    config = transformers.Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=16, num_hidden_layers=layers, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8,
    )
    return (transformers.Qwen3ForCausalLM if causal else transformers.Qwen3Model)(config)


def _qwen25_vl() -> torch.nn.Module:
    sizes = {"hidden_size": 16, "intermediate_size": 16}
    text = {**sizes, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
            "vocab_size": VOCABULARY, "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default"}}
    vision = {**sizes, "depth": 2, "num_heads": 2, "out_hidden_size": 16}
    return transformers.Qwen2_5_VLForConditionalGeneration(
        transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    )


def _bert() -> torch.nn.Module:
    return transformers.BertModel(
        transformers.BertConfig(
            vocab_size=VOCABULARY, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4
        )
    )


def _vae(latents: int, blocks: int = 2) -> torch.nn.Module:
    """A VAE that halves the sides once less often than it has blocks; some classes take four for granted."""
    vae = diffusers.AutoencoderKL(
        block_out_channels=(16,) * blocks, down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks, layers_per_block=1, latent_channels=latents, norm_num_groups=8,
        use_quant_conv=latents == 4, use_post_quant_conv=latents == 4, shift_factor=0.1, scaling_factor=0.3,
    )
    vae.decoder.conv_out.weight.data.mul_(8)
    return vae


def _flow(**more: Any) -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(**more)


def _chroma() -> dict[str, Any]:
    return {
        "transformer": diffusers.ChromaTransformer2DModel(
            in_channels=16, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=32, axes_dims_rope=(4, 4, 8), approximator_hidden_dim=32, approximator_layers=1,
            approximator_num_channels=16,
        ),
        "text_encoder": _t5(), "tokenizer": _tokenizer(512), "vae": _vae(4), "scheduler": _flow(),
        "image_encoder": None, "feature_extractor": None,
    }


def _klein() -> dict[str, Any]:
    vae = diffusers.AutoencoderKLFlux2(
        sample_size=32, down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",),
        block_out_channels=(4,), layers_per_block=1, latent_channels=1, norm_num_groups=1,
        use_quant_conv=False, use_post_quant_conv=False,
    )
    return {
        "transformer": diffusers.Flux2Transformer2DModel(
            in_channels=4, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=48, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
        ),
        "text_encoder": _qwen3(28, causal=True), "tokenizer": _tokenizer(512), "vae": vae, "scheduler": _flow(),
    }


def _qwen_image() -> dict[str, Any]:
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=24, z_dim=4, dim_mult=[1, 2, 4], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )
    return {
        "transformer": diffusers.QwenImageTransformer2DModel(
            in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16, num_attention_heads=3,
            joint_attention_dim=16, axes_dims_rope=(8, 4, 4),
        ),
        "text_encoder": _qwen25_vl(), "tokenizer": _tokenizer(1024), "vae": vae, "scheduler": _flow(),
    }


def _z_image() -> dict[str, Any]:
    return {
        "transformer": diffusers.ZImageTransformer2DModel(
            in_channels=16, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
            axes_dims=[8, 4, 4], axes_lens=[1024, 64, 64],
        ),
        "text_encoder": _qwen3(2, causal=False), "tokenizer": _tokenizer(512), "vae": _vae(16), "scheduler": _flow(),
    }


def _auraflow() -> dict[str, Any]:
    return {
        "transformer": diffusers.AuraFlowTransformer2DModel(
            sample_size=32, num_mmdit_layers=2, num_single_dit_layers=2, attention_head_dim=8, num_attention_heads=4,
            caption_projection_dim=32, joint_attention_dim=32, pos_embed_max_size=256,
        ),
        "text_encoder": _t5(umt5=True), "tokenizer": _tokenizer(256), "vae": _vae(4), "scheduler": _flow(),
    }


def _pixart() -> dict[str, Any]:
    return {
        "transformer": diffusers.PixArtTransformer2DModel(
            sample_size=16, num_layers=2, attention_head_dim=8, num_attention_heads=3, caption_channels=32,
            cross_attention_dim=24, use_additional_conditions=False,
        ),
        "text_encoder": _t5(), "tokenizer": _tokenizer(300), "vae": _vae(4),
        "scheduler": diffusers.DPMSolverMultistepScheduler(),
    }


def _sana() -> dict[str, Any]:
    blocks = {"block_types": ("ResBlock", "EfficientViTBlock"), "block_out_channels": (8, 8),
              "layers_per_block": (1, 1), "qkv_multiscales": ((), (5,))}
    vae = diffusers.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2, upsample_block_type="interpolate",
        downsample_block_type="conv", scaling_factor=0.41,
        **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in blocks.items()},
    )
    return {
        "transformer": diffusers.SanaTransformer2DModel(
            in_channels=4, out_channels=4, num_layers=2, num_attention_heads=2, attention_head_dim=4,
            num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=8,
        ),
        "text_encoder": _gemma(), "tokenizer": _tokenizer(2048), "vae": vae, "scheduler": _flow(shift=3.0),
    }


def _lumina2() -> dict[str, Any]:
    return {
        "transformer": diffusers.Lumina2Transformer2DModel(
            sample_size=16, in_channels=4, hidden_size=8, num_layers=2, num_refiner_layers=1, num_attention_heads=1,
            num_kv_heads=1, multiple_of=16, axes_dim_rope=(4, 2, 2), cap_feat_dim=8,
        ),
        "text_encoder": _gemma(), "tokenizer": _tokenizer(512), "vae": _vae(4, 4), "scheduler": _flow(),
    }


def _hunyuan() -> dict[str, Any]:
    return {
        "transformer": diffusers.HunyuanDiT2DModel(
            sample_size=16, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3, in_channels=4,
            cross_attention_dim=32, cross_attention_dim_t5=32, pooled_projection_dim=16, hidden_size=24,
            use_style_cond_and_image_meta_size=False,
        ),
        "text_encoder": _bert(), "tokenizer": _tokenizer(77), "text_encoder_2": _t5(), "tokenizer_2": _tokenizer(256),
        "vae": _vae(4, 4), "scheduler": diffusers.DDPMScheduler(), "safety_checker": None, "feature_extractor": None,
        "requires_safety_checker": False,
    }


BUILDERS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "ChromaPipeline": _chroma, "Flux2KleinPipeline": _klein, "QwenImagePipeline": _qwen_image,
    "ZImagePipeline": _z_image, "AuraFlowPipeline": _auraflow, "PixArtAlphaPipeline": _pixart,
    "PixArtSigmaPipeline": _pixart, "SanaPipeline": _sana, "Lumina2Pipeline": _lumina2,
    "HunyuanDiTPipeline": _hunyuan,
}
"""Class → its components. Stable Diffusion 1 to 3 and FLUX.1 are in tests/tiny_models.py."""


def nothing_at_zero(model: torch.nn.Module) -> None:
    """Draw the parameters that a class begins at zero, where nothing could act."""
    for parameter in model.parameters():
        if float(parameter.detach().abs().max()) == 0.0:
            torch.nn.init.normal_(parameter, std=0.05)


def save(name: str, folder: Path) -> Path:
    """Write a pipeline of a class with weights of its own."""
    torch.manual_seed(0)
    pipe = getattr(diffusers, name)(**BUILDERS[name]())
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            nothing_at_zero(part)
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder
