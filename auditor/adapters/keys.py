"""Parse the name of one tensor of an adapter file. Pure text, total: any string gives an answer.

A name is <prefix><module><suffix>. The prefix tells the component and the naming scheme, the suffix the
tensor's part in a low-rank pair. kohya flattens the module path with underscores, all others keep dots.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from auditor.records.adapter import Convention

Part = Literal["down", "up", "alpha", "mid", "magnitude", "bias", "other"]
"""`down` is A (rank, in), `up` is B (out, rank); `mid` is LyCORIS' Tucker core; `other` is no LoRA part."""

DENOISER = "denoiser"
"""Component name of a prefix that means the UNet or the transformer, whichever the base has."""

_SUFFIXES: tuple[tuple[str, Part], ...] = (
    (".lora_A.weight", "down"), (".lora_B.weight", "up"),
    (".lora.down.weight", "down"), (".lora.up.weight", "up"),
    (".lora_down.weight", "down"), (".lora_up.weight", "up"),
    (".lora_linear_layer.down.weight", "down"), (".lora_linear_layer.up.weight", "up"),
    (".lora_mid.weight", "mid"),
    (".alpha", "alpha"),
    (".dora_scale", "magnitude"), (".lora_magnitude_vector.weight", "magnitude"),
    (".lora_magnitude_vector", "magnitude"),
    (".lora_B.bias", "bias"), (".lora_up.bias", "bias"),
    (".lora_A.bias", "bias"), (".lora_down.bias", "bias"),
)  # fmt: skip
_NAMED_ADAPTER = re.compile(r"\.lora_(?P<half>[AB])\.(?P<adapter>[^.]{1,64})\.weight\Z")
_NAMED_MAGNITUDE = re.compile(r"\.lora_magnitude_vector\.(?P<adapter>[^.]{1,64})(?:\.weight)?\Z")
_PROCESSOR = re.compile(r"(?:\.processor)?\.(?P<projection>to_[qkv]|to_out)_lora\.(?P<half>down|up)\.weight\Z")

_KOHYA_PREFIXES: tuple[tuple[str, str], ...] = (
    ("lora_unet_", DENOISER), ("lora_transformer_", DENOISER),
    ("lora_te1_", "text_encoder"), ("lora_te2_", "text_encoder_2"), ("lora_te3_", "text_encoder_3"),
    ("lora_te_", "text_encoder"),
)  # fmt: skip
_DOTTED_PREFIXES: tuple[tuple[str, str], ...] = (
    ("unet.", "unet"), ("transformer.", "transformer"),
    ("text_encoder_2.", "text_encoder_2"), ("text_encoder_3.", "text_encoder_3"),
    ("text_encoder.", "text_encoder"),
)  # fmt: skip
_PEFT_PREFIX = "base_model.model."
_COMFY_PREFIX = "diffusion_model."


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
    stem, part, adapter_name, from_processor = _split_suffix(name)
    for prefix, component in _KOHYA_PREFIXES:
        if stem.startswith(prefix):
            return ParsedKey(name, part, component, stem[len(prefix) :], True, "kohya", adapter_name)
    named: str | None = None
    convention: Convention = "unprefixed"
    for prefix, component in _DOTTED_PREFIXES:
        # "transformer.h.0" style language models share the prefix; kinds.py sorts them out beforehand
        if stem.startswith(prefix):
            named, stem, convention = component, stem[len(prefix) :], "diffusers"
            break
    if stem.startswith(_PEFT_PREFIX):
        stem, convention = stem[len(_PEFT_PREFIX) :], "peft"
    elif named is None and stem.startswith(_COMFY_PREFIX):
        named, stem, convention = DENOISER, stem[len(_COMFY_PREFIX) :], "comfyui"
    if from_processor:
        convention = "diffusers_processor"
    return ParsedKey(name, part, named, stem, False, convention, adapter_name)


def _split_suffix(name: str) -> tuple[str, Part, str | None, bool]:
    """Stem, part, adapter name inside the key, and whether the old attention-processor spelling was met."""
    if match := _PROCESSOR.search(name):
        projection = match["projection"]
        # the old processors held to_out's projection directly; modules keep it in a ModuleList
        module = "to_out.0" if projection == "to_out" else projection
        part: Part = "down" if match["half"] == "down" else "up"
        return f"{name[: match.start()]}.{module}", part, None, True
    for suffix, part in _SUFFIXES:
        if name.endswith(suffix):
            return name[: -len(suffix)], part, None, False
    if match := _NAMED_ADAPTER.search(name):
        return name[: match.start()], "down" if match["half"] == "A" else "up", match["adapter"], False
    if match := _NAMED_MAGNITUDE.search(name):
        return name[: match.start()], "magnitude", match["adapter"], False
    return name, "other", None, False


def convention_of(keys: Iterable[ParsedKey]) -> Convention:
    """The one naming scheme of a file's low-rank factors, `mixed`, or `unknown` when there are none."""
    found = {key.convention for key in keys if key.part in ("down", "up")}
    if found == {"diffusers", "diffusers_processor"}:
        return "diffusers_processor"
    if len(found) > 1:
        return "mixed"
    return found.pop() if found else "unknown"
