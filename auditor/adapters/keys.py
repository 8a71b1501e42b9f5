"""Parse the name of one tensor of an adapter file. Pure text, total: any string gives an answer.

A name is <prefix><module><suffix>. The prefix tells the component and the naming scheme, the suffix which part
of a weight change the tensor is. kohya and LyCORIS flatten the module path with underscores, all others keep dots.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from auditor.records.adapter import Convention

Part = Literal[
    "down", "up", "mid", "alpha", "dora", "magnitude", "up_bias", "down_bias",
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
    "diff", "diff_b", "scalar", "scale_weight", "down_scale", "up_scale", "latent", "lambda_d", "lambda_b",
    "other",
]  # fmt: skip
"""`down` is A (rank, in), `up` is B (out, rank), `mid` LyCORIS' Tucker core; `dora` is LyCORIS' magnitude, along
either axis, `magnitude` peft's, always per output; `diff` and `diff_b` are whole changes of a weight and a bias;
`scalar` (LyCORIS) and `scale_weight` multiply the change, `down_scale` and `up_scale` a factor stored as scaled fp8;
`latent` is LoRA-XS' matrix between the factors, `lambda_d` and `lambda_b` are VeRA's vectors on factors that all
modules share; `other` is no part of any change."""

BUNDLE_PREFIX = "bundle_emb."
"""What kohya's and OneTrainer's trainers put before the embeddings they store inside an adapter."""
DENOISER = "denoiser"
"""Component name of a prefix that means the UNet or the transformer, whichever the base has."""

SHARED_MODULE = "(shared)"
"""Stands for the module of factors that all modules of a file share."""
NUMBERED_PREFIX = "#"
"""Before the number of a module in files that count modules instead of naming them."""

_SUFFIXES: tuple[tuple[str, Part], ...] = (
    (".lora_A.weight", "down"), (".lora_B.weight", "up"),
    (".lora.down.weight", "down"), (".lora.up.weight", "up"),
    (".lora_down.weight", "down"), (".lora_up.weight", "up"),
    (".lora_linear_layer.down.weight", "down"), (".lora_linear_layer.up.weight", "up"),
    (".lora_mid.weight", "mid"),
    (".alpha", "alpha"),
    (".dora_scale", "dora"), (".lora_magnitude_vector.weight", "magnitude"),
    (".lora_magnitude_vector", "magnitude"),
    (".lora_B.bias", "up_bias"), (".lora_up.bias", "up_bias"), (".lora.up.bias", "up_bias"),
    (".lora_A.bias", "down_bias"), (".lora_down.bias", "down_bias"), (".lora.down.bias", "down_bias"),
    (".hada_w1_a", "hada_w1_a"), (".hada_w1_b", "hada_w1_b"), (".hada_w2_a", "hada_w2_a"),
    (".hada_w2_b", "hada_w2_b"), (".hada_t1", "hada_t1"), (".hada_t2", "hada_t2"),
    (".lokr_w1", "lokr_w1"), (".lokr_w1_a", "lokr_w1_a"), (".lokr_w1_b", "lokr_w1_b"),
    (".lokr_w2", "lokr_w2"), (".lokr_w2_a", "lokr_w2_a"), (".lokr_w2_b", "lokr_w2_b"), (".lokr_t2", "lokr_t2"),
    (".scalar", "scalar"), (".scale_weight", "scale_weight"),
    (".default_lora_latent_mapping.weight", "latent"), (".lora_latent_mapping.weight", "latent"),
    (".vera_lambda_d", "lambda_d"), (".vera_lambda_b", "lambda_b"),
    (".diff", "diff"), (".diff_b", "diff_b"), (".w_norm", "diff"), (".b_norm", "diff_b"),
)  # fmt: skip
_NAMED_FACTOR = re.compile(r"\.lora_(?P<half>[AB])\.(?P<adapter>[^.]{1,64}(?:\.[^.]{1,64})?)\.(?P<what>weight|bias)\Z")
_NAMED_MAGNITUDE = re.compile(r"\.lora_magnitude_vector\.(?P<adapter>[^.]{1,64})(?:\.weight)?\Z")
_NAMED_PRODUCT = re.compile(r"\.(?P<part>(?:hada|lokr)_(?:w[12](?:_[ab])?|t[12]))\.(?P<adapter>[^.]{1,64})\Z")
_NAMED_VECTOR = re.compile(r"\.vera_lambda_(?P<half>[db])\.(?P<adapter>[^.]{1,64})\Z")
_SCALED_FACTOR = re.compile(r"\.lora_(?P<half>A|B|down|up)\.scale_weight\Z")
_SHARED = re.compile(r"(?:\A|\.)vera_(?P<half>[AB])(?:\.[^.]{1,64})?\Z")
_PROCESSOR = re.compile(
    r"(?:\.processor)?\.(?P<projection>to_[qkv]|to_out|add_[kv]_proj)_lora\.(?P<half>down|up)\.weight\Z"
)
_NUMBERED = re.compile(r"(?P<component>unet|text_encoder):(?P<number>\d{1,4}):(?P<half>up|down)\Z")
_XLABS = re.compile(r"(?P<module>\.processor\.(?:qkv|proj)_lora[12]?)\.(?P<half>down|up)\.weight\Z")

_FLAT_PREFIXES: tuple[tuple[str, str, Convention], ...] = (
    ("lora_unet_", DENOISER, "kohya"),
    ("lora_transformer_", DENOISER, "kohya"),
    ("lora_te1_", "text_encoder", "kohya"),
    ("lora_te2_", "text_encoder_2", "kohya"),
    ("lora_te3_", "text_encoder_3", "kohya"),
    ("lora_te_", "text_encoder", "kohya"),
    ("lycoris_", DENOISER, "lycoris"),
)
_DOTTED_PREFIXES: tuple[tuple[str, str, Convention], ...] = (
    ("unet.", "unet", "diffusers"), ("transformer.", "transformer", "diffusers"),
    ("text_encoder_2.", "text_encoder_2", "diffusers"), ("text_encoder_3.", "text_encoder_3", "diffusers"),
    ("text_encoder.", "text_encoder", "diffusers"),
    ("lora_unet.", DENOISER, "kohya"), ("lora_transformer.", DENOISER, "kohya"),
    ("lora_te1.", "text_encoder", "kohya"), ("lora_te2.", "text_encoder_2", "kohya"),
    ("lora_te3.", "text_encoder_3", "kohya"), ("lora_te.", "text_encoder", "kohya"),
    ("text_encoders.clip_l.transformer.", "text_encoder", "comfyui"),
    ("text_encoders.clip_g.transformer.", "text_encoder_2", "comfyui"),
    ("text_encoders.t5xxl.transformer.", "text_encoder_3", "comfyui"),
    ("clip_l.transformer.", "text_encoder", "comfyui"), ("clip_g.transformer.", "text_encoder_2", "comfyui"),
    ("t5xxl.transformer.", "text_encoder_3", "comfyui"), ("t5.transformer.", "text_encoder_3", "comfyui"),
)  # fmt: skip
_PEFT_PREFIX = "base_model.model."
_COMFY_PREFIXES = ("model.diffusion_model.", "diffusion_model.")


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """What one tensor name says."""

    name: str
    """The tensor's name in the file."""
    part: Part
    component: str | None
    """Component of the pipeline, `DENOISER`, or null when the name leaves it open."""
    module: str
    """Module path inside the component: dotted, or joined by underscores when `flat`."""
    flat: bool
    convention: Convention
    adapter_name: str | None = None
    """peft's adapter name when it is spelt inside the key (`lora_A.default.weight`)."""


def parse_key(name: str) -> ParsedKey:
    """Split one tensor name into component, module and part."""
    if match := _SHARED.search(name):
        return ParsedKey(name, "down" if match["half"] == "A" else "up", None, SHARED_MODULE, False, "peft")
    if match := _NUMBERED.match(name):
        numbered: Part = "down" if match["half"] == "down" else "up"
        return ParsedKey(name, numbered, match["component"], NUMBERED_PREFIX + match["number"], False, "cloneofsimo")
    stem, part, adapter_name, scheme = _split_suffix(name)
    for prefix, component, convention in _FLAT_PREFIXES:
        if stem.startswith(prefix):
            return ParsedKey(name, part, component, stem[len(prefix) :], True, convention, adapter_name)
    named: str | None = None
    convention = "unprefixed"
    # peft saves a pipeline's component under its name, or the component alone; both orders are met
    wrapped = stem.startswith(_PEFT_PREFIX)
    stem = stem[len(_PEFT_PREFIX) :] if wrapped else stem
    for prefix, component, its_convention in _DOTTED_PREFIXES:
        # "transformer.h.0" style language models share the prefix; kinds.py sorts them out beforehand
        if stem.startswith(prefix):
            named, stem, convention = component, stem[len(prefix) :], its_convention
            break
    if stem.startswith(_PEFT_PREFIX):
        wrapped, stem = True, stem[len(_PEFT_PREFIX) :]
    for prefix in _COMFY_PREFIXES:
        if named is None and stem.startswith(prefix):
            named, stem, convention = DENOISER, stem[len(prefix) :], "comfyui"
    if wrapped:
        convention = "peft"
    return ParsedKey(name, part, named, stem, False, scheme or convention, adapter_name)


def _split_suffix(name: str) -> tuple[str, Part, str | None, Convention | None]:
    """Stem, part, adapter name inside the key, and the convention if the suffix alone gives it away."""
    if match := _XLABS.search(name):
        return name[: match.start()] + match["module"], "down" if match["half"] == "down" else "up", None, "xlabs"
    if match := _PROCESSOR.search(name):
        projection = match["projection"]
        # the old processors held to_out's projection directly; modules keep it in a ModuleList
        module = "to_out.0" if projection == "to_out" else projection
        half: Part = "down" if match["half"] == "down" else "up"
        return f"{name[: match.start()]}.{module}", half, None, "diffusers_processor"
    if match := _SCALED_FACTOR.search(name):
        return name[: match.start()], "down_scale" if match["half"] in ("A", "down") else "up_scale", None, None
    for suffix, part in _SUFFIXES:
        if name.endswith(suffix):
            return name[: -len(suffix)], part, None, None
    if match := _NAMED_FACTOR.search(name):
        halves: tuple[Part, Part] = ("down", "up") if match["what"] == "weight" else ("down_bias", "up_bias")
        return name[: match.start()], halves[match["half"] == "B"], match["adapter"], None
    if match := _NAMED_MAGNITUDE.search(name):
        return name[: match.start()], "magnitude", match["adapter"], None
    if match := _NAMED_VECTOR.search(name):
        return name[: match.start()], "lambda_d" if match["half"] == "d" else "lambda_b", match["adapter"], None
    if match := _NAMED_PRODUCT.search(name):
        part = next(part for suffix, part in _SUFFIXES if suffix == f".{match['part']}")
        return name[: match.start()], part, match["adapter"], None
    return name, "other", None, None


def convention_of(keys: Iterable[ParsedKey]) -> Convention:
    """The one naming scheme of a file's weight changes, `mixed`, or `unknown` when there are none."""
    found = {key.convention for key in keys if key.part not in ("alpha", "other")}
    if found == {"diffusers", "diffusers_processor"}:
        return "diffusers_processor"
    if len(found) > 1:
        return "mixed"
    return found.pop() if found else "unknown"
