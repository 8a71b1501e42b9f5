"""The parts of Stable Diffusion 1.5, 2.1, XL, 3 and FLUX.1 as their repos hold them: real classes, random weights.

Small ones have the published kinds of blocks with few channels and layers. Tokenizers are CLIP's own with fewer
merges, and T5's class with a piece per letter.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import open_clip
import torch
import transformers
from open_clip.tokenizer import bytes_to_unicode

from tests.published import IMAGE

MERGES, SMALL_MERGES = 49152 - 256 - 2, 1500
WORDS = 512 + SMALL_MERGES + 2
"""Words of a small CLIP tokenizer."""
L, H, G = 32, 48, 64
"""Widths of the small text encoders in the place of CLIP-L's 768, CLIP-H's 1024 and CLIP-G's 1280."""
Write = Callable[[Path], None]


@dataclass(frozen=True)
class Parts:
    """What is in the repo of one pipeline.

    Attributes:
        modules: Component → its model.
        tokenizers: Component → what writes its files.
        scheduler: Its configuration.
        more: Further entries of model_index.json.
        early: Text encoders and VAE were saved by the libraries' early versions, which named weights otherwise.
    """

    modules: Mapping[str, torch.nn.Module]
    tokenizers: Mapping[str, Write]
    scheduler: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)
    early: bool = False


# Configurations, as a table: one argument a line would hide the models.
# fmt: off
_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
_PNDM = {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **_BETAS, "set_alpha_to_one": False,
         "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "clip_sample": False}
_DDIM_V = {"_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", **_BETAS, "set_alpha_to_one": False,
           "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "clip_sample": False,
           "prediction_type": "v_prediction"}
_EULER = {"_class_name": "EulerDiscreteScheduler", "_diffusers_version": "0.19.0.dev0", **_BETAS, "clip_sample": False,
          "interpolation_type": "linear", "prediction_type": "epsilon", "sample_max_value": 1.0,
          "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "leading",
          "trained_betas": None, "use_karras_sigmas": False}
_FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.30.0.dev0", "shift": 3.0,
         "num_train_timesteps": 1000}
_DYNAMIC = {**_FLOW, "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15,
            "use_dynamic_shifting": True}
_CHECKER = {"feature_extractor": ["transformers", "CLIPImageProcessor"],
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
_UNET = {"down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
         "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, "block_out_channels": (8, 8, 16, 16),
         "layers_per_block": 2, "norm_num_groups": 4}
_XL = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
       "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "block_out_channels": (8, 16, 16),
       "layers_per_block": 2, "norm_num_groups": 4, "transformer_layers_per_block": (1, 2, 2),
       "attention_head_dim": (2, 4, 4), "cross_attention_dim": L + G, "use_linear_projection": True,
       "addition_embed_type": "text_time", "addition_time_embed_dim": 8,
       "projection_class_embeddings_input_dim": G + 6 * 8}
_QUICK, _GELU = {"hidden_act": "quick_gelu"}, {"hidden_act": "gelu"}


def _clip(width: int, *, projected: bool = False, words: int = WORDS, **more: Any) -> torch.nn.Module:
    config = transformers.CLIPTextConfig(
        hidden_size=width, intermediate_size=64, num_hidden_layers=1, num_attention_heads=width // 16,
        projection_dim=width, vocab_size=words, bos_token_id=0, eos_token_id=2, pad_token_id=1, **more,
    )
    kind = transformers.CLIPTextModelWithProjection if projected else transformers.CLIPTextModel
    return kind(config)


def _t5(width: int) -> torch.nn.Module:
    return transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=384, d_model=width, d_kv=8, d_ff=64, num_layers=1, num_heads=4,
                              feed_forward_proj="gated-gelu")
    )


def _vae(latents: int = 4, **more: Any) -> torch.nn.Module:
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8,) * 4, down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=1,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=latents, norm_num_groups=4, **more,
    )
    vae.decoder.conv_out.weight.data.mul_(2)
    return vae


def _sd15() -> Parts:
    unet = diffusers.UNet2DConditionModel(**_UNET, sample_size=64, cross_attention_dim=L, attention_head_dim=2)
    modules = {"unet": unet, "vae": _vae(), "text_encoder": _clip(L, **_QUICK)}
    return Parts(modules, {"tokenizer": clip_tokenizer()}, _PNDM, _CHECKER, early=True)


def full_sd15() -> Parts:
    """The same at its published size: 859.5 million weights in the UNet, 123 in the text encoder, 83.7 in the VAE."""
    vae = diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=2,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=32, sample_size=512,
    )
    vae.decoder.conv_out.weight.data.mul_(4)
    modules = {**IMAGE["sd15"](), "vae": vae}
    modules["text_encoder"].config.update({"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1})
    return Parts(modules, {"tokenizer": clip_tokenizer(merges=MERGES)}, _PNDM, _CHECKER, early=True)


def _sd21() -> Parts:
    unet = diffusers.UNet2DConditionModel(
        **_UNET, sample_size=96, cross_attention_dim=H, attention_head_dim=(2, 2, 4, 4), use_linear_projection=True,
    )
    modules = {"unet": unet, "vae": _vae(), "text_encoder": _clip(H, **_GELU)}
    more = {"feature_extractor": _CHECKER["feature_extractor"], "safety_checker": [None, None],
            "requires_safety_checker": False}
    return Parts(modules, {"tokenizer": clip_tokenizer("!")}, _DDIM_V, more, early=True)


def _sdxl(**scheduler: Any) -> Parts:
    unet = diffusers.UNet2DConditionModel(**_XL, sample_size=128)
    modules = {"unet": unet, "vae": _vae(force_upcast=True, scaling_factor=0.13025), "text_encoder": _clip(L, **_QUICK),
               "text_encoder_2": _clip(G, projected=True, **_GELU)}
    tokenizers = {"tokenizer": clip_tokenizer(), "tokenizer_2": clip_tokenizer("!")}
    return Parts(modules, tokenizers, _EULER | scheduler, {"force_zeros_for_empty_prompt": True})


def _sd3(layers: int, heads: int, **config: Any) -> Parts:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=128, in_channels=16, out_channels=16, patch_size=2, num_layers=layers, num_attention_heads=heads,
        attention_head_dim=8, joint_attention_dim=L + G, pooled_projection_dim=L + G, caption_projection_dim=8 * heads,
        pos_embed_max_size=192, **config,
    )
    modules = {"transformer": transformer, "text_encoder": _clip(L, projected=True, **_QUICK),
               "text_encoder_2": _clip(G, projected=True, **_GELU), "text_encoder_3": _t5(L + G),
               "vae": _vae(16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06)}
    tokenizers = {"tokenizer": clip_tokenizer(), "tokenizer_2": clip_tokenizer("!"), "tokenizer_3": t5_tokenizer(512)}
    return Parts(modules, tokenizers, _FLOW)


def _flux(*, guided: bool = True) -> Parts:
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=64, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=L, axes_dims_rope=(4, 6, 6), guidance_embeds=guided,
    )
    modules = {"transformer": transformer, "text_encoder": _clip(L, **_QUICK), "text_encoder_2": _t5(32),
               "vae": _vae(16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1159)}
    tokenizers = {"tokenizer": clip_tokenizer(), "tokenizer_2": t5_tokenizer(512)}
    return Parts(modules, tokenizers, _DYNAMIC if guided else _FLOW | {"shift": 1.0})


CLASSIC: Mapping[str, Callable[[], Parts]] = {
    "sd15": _sd15, "sd21": _sd21, "sdxl": _sdxl,
    "noobai_vpred": lambda: _sdxl(prediction_type="v_prediction", rescale_betas_zero_snr=True),
    "sd3_medium": lambda: _sd3(2, 3),
    "sd35_medium": lambda: _sd3(3, 3, qk_norm="rms_norm", dual_attention_layers=(0, 1)),
    "sd35_large": lambda: _sd3(4, 4, qk_norm="rms_norm"),
    "flux1": _flux, "flux1_schnell": lambda: _flux(guided=False),
}
"""Family, or base of one, → its parts."""


def clip_tokenizer(pad: str = "<|endoftext|>", *, merges: int = SMALL_MERGES) -> Write:
    """The files of CLIP's tokenizer, as the repos of Stable Diffusion have them."""

    def write(folder: Path) -> None:
        folder.mkdir(parents=True)
        archive = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
        pairs = gzip.decompress(archive.read_bytes()).decode().split("\n")[1 : merges + 1]
        letters = list(bytes_to_unicode().values())
        words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair.split()) for pair in pairs)]
        words += ["<|startoftext|>", "<|endoftext|>"]
        special = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        begin, end = ({"content": f"<|{name}oftext|>", **special} for name in ("start", "end"))
        named = {"bos_token": begin, "eos_token": end, "unk_token": end}
        typed = {name: {"__type": "AddedToken", **token} for name, token in named.items()}
        _json(folder / "vocab.json", {word: number for number, word in enumerate(words)})
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs, ""]), "utf-8")
        _json(folder / "special_tokens_map.json", {**named, "pad_token": pad})
        _json(folder / "tokenizer_config.json", {
            "add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": 77,
            "pad_token": pad, "tokenizer_class": "CLIPTokenizer", **typed,
        })

    return write


def t5_tokenizer(length: int) -> Write:
    """A tokenizer of T5's class: a piece for every printable letter."""

    def write(folder: Path) -> None:
        letters = [(chr(code), -5.0) for code in range(33, 127)]
        pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\N{LOWER ONE EIGHTH BLOCK}", -2.0), *letters]
        transformers.T5Tokenizer(vocab=pieces, model_max_length=length).save_pretrained(folder)

    return write
# fmt: on


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
