"""Name what a weight file is, so that what is not audited is skipped by name and counted."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Literal

from auditor.adapters.header import TensorInfo
from auditor.adapters.keys import BUNDLE_PREFIX, ParsedKey, Part
from auditor.families.generator_kinds import TENSOR_NAMES, GeneratorKind
from auditor.records.outcomes import Reason

Kind = Literal[
    "lora",
    # other ways to write a personalisation
    "dora", "locon_tucker", "loha", "lokr", "full_difference", "lora_with_bias", "glora", "oft", "ia3",
    "vera", "tlora", "svdquant", "textual_inversion", "custom_diffusion", "checkpoint", "denoiser",
    "quantised_model", "adalora", "fourierft", "vblora", "hra", "randlora", "bone", "c3a", "shira", "road", "waveft",
    "gralora", "delora", "trained_vocabulary", "sparse_difference", "hypernetwork",
    # weights of a generator that is no denoiser, all of them or a part
    "autoregressive_model", "gan_model",
    # not a personalisation of a text-to-image model
    "controlnet", "control_lora", "control_lllite", "t2i_adapter", "ip_adapter", "motion_module", "video_lora", "vae",
    "upscaler", "language_model_lora", "text_encoder_weights", "language_model",
    "unknown",
]  # fmt: skip

AUDITED: frozenset[Kind] = frozenset({
    "lora", "dora", "locon_tucker", "loha", "lokr", "full_difference", "lora_with_bias",
    "checkpoint", "denoiser", "textual_inversion", "autoregressive_model", "gan_model",
})  # fmt: skip
"""Kinds whose change to a base is computed; the rest is skipped by name."""

WHOLE_MODELS: frozenset[Kind] = frozenset({"checkpoint", "denoiser"})
"""A denoiser's own weights, in a single-file checkpoint or alone."""
GENERATORS: Mapping[Kind, GeneratorKind] = {"autoregressive_model": "autoregressive", "gan_model": "gan"}
"""Weights that take the place of a base's own → the kind of that base."""
CHECKPOINT_PREFIX = "model.diffusion_model."
"""What the denoiser's tensors begin with in a single-file checkpoint."""

NOT_TEXT_TO_IMAGE: frozenset[Kind] = frozenset({
    "controlnet", "control_lora", "control_lllite", "t2i_adapter", "ip_adapter", "motion_module", "video_lora", "vae",
    "upscaler", "language_model_lora", "text_encoder_weights", "language_model",
})  # fmt: skip

# Looked for in any tensor name, most telling first. Patterns are linear: no nested repeats.
_BY_NAME: tuple[tuple[Kind, str], ...] = (
    *((kind, TENSOR_NAMES[generator]) for kind, generator in GENERATORS.items()),
    ("control_lllite", r"\Alllite_"),
    ("control_lora", r"\.reshape_weight\Z"),
    ("svdquant", r"\.(?:qkv_proj|mlp_fc[12]|out_proj)\.lora_(?:down|up)\Z|\.smooth_factor|\.wscales\Z"),
    ("tlora", r"\.(?:lambda_layer|q_layer\.weight|p_layer\.weight)\Z"),
    ("oft", r"\.oft_(?:blocks|diag|R|r)\b|\.oft_R\.|\.boft_"),
    ("ia3", r"\.on_input\Z|\.ia3_l\b"),
    ("glora", r"\.(?:a1|a2|b1|b2)(?:\.weight)?\Z"),
    ("custom_diffusion", r"custom_diffusion"),
    ("adalora", r"\.lora_E\b|\branknum\b"),
    ("fourierft", r"\.fourierft_"),
    ("vblora", r"\bvblora_"),
    ("hra", r"\.hra_u\b"),
    ("randlora", r"\brandlora_"),
    ("bone", r"\.(?:bone|miss)_block\b"),
    ("c3a", r"\.c3a_kernel\b"),
    ("shira", r"\.shira_"),
    ("road", r"\.road_(?:theta|alpha)\b"),
    ("waveft", r"\.waveft_"),
    ("gralora", r"\.gralora_"),
    ("delora", r"\.delora_"),
    ("trained_vocabulary", r"\btrainable_tokens_"),
    ("sparse_difference", r"\.bias_indices\Z"),
    ("hypernetwork", r"\Ahypernetwork\b"),
    ("quantised_model", r"\.quant_state\b|\.q(?:weight|zeros)\Z|\.(?:nested_)?absmax\Z|\.quant_map\Z|\.SCB\Z"),
    ("motion_module", r"motion_module|\.motion_modules\."),
    ("video_lora", r"temporal_transformer|temp_attentions|temp_convs"),
    ("ip_adapter", r"ip_adapter|image_proj\.|_ip\.weight\Z|_ip_lora\b"),
    ("controlnet", r"controlnet_cond_embedding|controlnet_blocks|\Azero_convs\.|\Acontrol_model\.|input_hint_block"),
)
_BY_NAME_COMPILED = tuple((kind, re.compile(pattern)) for kind, pattern in _BY_NAME)
_TELLING = re.compile("|".join(f"(?:{pattern})" for _, pattern in _BY_NAME))

_LANGUAGE_MODEL = re.compile(
    r"(?:^|\.)(?:(?:model|language_model)\.layers|(?:model\.)?decoder\.layers|h|gpt_neox\.layers|encoder\.layer)"
    r"\.\d+\.(?:self_attn|attn|mlp|attention|self_attention)\b"
)
_T2I_ADAPTER = re.compile(r"\A(?:adapter\.)?body\.\d+\.(?:resnets|block|in_conv)")
_VAE = re.compile(r"\A(?:encoder|decoder|quant_conv|post_quant_conv)\.")
_UPSCALER = re.compile(r"\A(?:model\.\d+\.sub|conv_first|body\.\d+\.rdb\d|RRDB_trunk)")
# Beside low-rank factors only: whole models of FLUX.1 have such norms too.
_CONTROL_LORA = re.compile(r"\.norm_[qk]\.scale\Z|query_norm\.scale|\Alora_controlnet\b")
_CHECKPOINT = re.compile(r"\A(?:model\.diffusion_model|first_stage_model|cond_stage_model|conditioner)\.")
_DENOISER = re.compile(
    r"\A(?:(?:down|up|transformer|single_transformer|double|single|joint|input|output)_blocks|mid(?:dle)?_block)\b"
)
# Next-DiT's and DiT's blocks: the stems alone are a language model's too.
_DIT_BLOCK = re.compile(
    r"\A(?:(?:layers|noise_refiner|context_refiner)\.\d+\.(?:attention|attn|feed_forward|adaLN_modulation|norm)"
    r"|blocks\.\d+\.(?:attn1|attn2|attn|cross_attn|mlp|ff|norm|scale_shift_table|skip_linear|default_modulation))"
)
# A parameter of some module, and so no word: a path of more than two dots, or one that ends as parameters do.
_PARAMETER = re.compile(r"\.(?:weight|bias|scale|gamma|beta|set_weight|delta)\Z|\A[^.]*\.[^.]*\.[^.]*\.")
_FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
_TEXT_ENCODER = re.compile(r"\A(?:text_model|encoder\.block)\b")


def kind_of(keys: Collection[ParsedKey], tensors: Collection[TensorInfo]) -> Kind:
    """Decide from all names and shapes of a file, embeddings bundled with an adapter left aside.

    Args:
        keys: Every tensor name, parsed.
        tensors: Header entries of the same tensors.
    """
    bundled = sum(1 for key in keys if key.name.startswith(BUNDLE_PREFIX))
    if bundled:
        if bundled == len(keys):
            return "textual_inversion"
        keys = [key for key in keys if not key.name.startswith(BUNDLE_PREFIX)]
    names = [key.name for key in keys]
    telling = [name for name in names if _TELLING.search(name)]
    for kind, pattern in _BY_NAME_COMPILED:
        if any(pattern.search(name) for name in telling):
            return kind
    parts = {key.part for key in keys}
    if parts - {"alpha", "other"}:
        return _change_kind(keys, parts)
    return _without_pairs(names, tensors)


def skip_reason(kind: Kind) -> Reason:
    """The recorded reason for not auditing a file of this kind."""
    return "not_text_to_image" if kind in NOT_TEXT_TO_IMAGE else "unsupported_format"


def _change_kind(keys: Collection[ParsedKey], parts: Collection[Part]) -> Kind:
    changes = [key for key in keys if key.part not in ("alpha", "other")]
    language = sum(1 for key in changes if not key.flat and _LANGUAGE_MODEL.search(key.module))
    # a T5 or CLIP half never fills the file: most names must look like a language model's
    if language * 2 > len(changes):
        return "language_model_lora"
    if any(_CONTROL_LORA.search(key.name) for key in keys):
        return "control_lora"
    if ("lambda_d" in parts or "lambda_b" in parts) and not ("down" in parts and "up" in parts):
        return "vera"  # its random factors are made anew from a seed, not stored
    if "dora" in parts or "magnitude" in parts:
        return "dora"
    for kind, stem in (("loha", "hada_"), ("lokr", "lokr_")):
        if any(part.startswith(stem) for part in parts):
            return kind  # type: ignore[return-value]
    if "down" not in parts and "up" not in parts:
        return "full_difference"
    if "mid" in parts:
        return "locon_tucker"
    return "lora_with_bias" if "up_bias" in parts or "down_bias" in parts else "lora"


def _without_pairs(names: Collection[str], tensors: Collection[TensorInfo]) -> Kind:
    """Files without a single low-rank factor."""
    if any(_CHECKPOINT.search(name) for name in names):
        return _whole_model("checkpoint", tensors)
    if 0 < len(tensors) <= 4 and all(0 < len(t.shape) <= 2 and t.shape[-1] <= 8192 for t in tensors):
        embedding = {"emb_params", "clip_l", "clip_g", "t5", "string_to_param", "text_encoders_0", "text_encoders_1"}
        alone = len(tensors) == 1 and not any(_PARAMETER.search(name) for name in names)
        if alone or any(name in embedding or name.startswith("<") for name in names):
            return "textual_inversion"
    by_majority: tuple[tuple[Kind, re.Pattern[str]], ...] = (
        ("t2i_adapter", _T2I_ADAPTER),
        ("vae", _VAE),
        ("upscaler", _UPSCALER),
        ("denoiser", _DENOISER),
        ("denoiser", _DIT_BLOCK),
        ("text_encoder_weights", _TEXT_ENCODER),
        ("language_model", _LANGUAGE_MODEL),
    )
    for kind, pattern in by_majority:
        if sum(1 for name in names if pattern.search(name)) * 2 > len(names):
            return _whole_model(kind, tensors) if kind == "denoiser" else kind
    return "unknown"


def _whole_model(kind: Kind, tensors: Collection[TensorInfo]) -> Kind:
    """Quantisation noise is no personalisation: such models are told apart and not scored with the others."""
    weights = [tensor for tensor in tensors if len(tensor.shape) > 1]
    return "quantised_model" if any(tensor.dtype not in _FLOATS for tensor in weights) else kind
