"""Name the base family from module names and widths.

Shapes give the family, never the exact base: Pony, Illustrious and SDXL are alike, and so are FLUX.1 dev and
schnell. Evidence must be positive: what matches no rule has no family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

CROSS_ATTENTION_WIDTHS = {768: "sd15", 1024: "sd21", 2048: "sdxl", 1280: "sdxl_refiner"}
"""Input width of a UNet's attn2.to_k / to_v, which is the text embedding's width."""
SD3_WIDTHS = {1536: "sd35_medium", 2432: "sd35_large"}
"""Hidden width. SD 3 medium shares 1536 with SD 3.5 medium and is told apart by its missing attn2 only."""
TRANSFORMER_WIDTHS = {1152: "pixart", 2240: "sana"}

_UNET = re.compile(r"(?:^|_)(?:down_blocks|up_blocks|mid_block|input_blocks|middle_block|output_blocks)(?:_|$)")
_CROSS = re.compile(r"attn2_to_[kv]$")


@dataclass(frozen=True, slots=True)
class ModuleWidths:
    """One adapted or adaptable module of a denoiser."""

    name: str
    """Module path with underscores for dots."""
    inputs: int | None
    outputs: int | None


@dataclass(frozen=True, slots=True)
class FamilyEvidence:
    """A family and why; `family` is null when nothing positive points to one."""

    family: str | None
    reasons: tuple[str, ...]


def recognise_family(modules: Iterable[ModuleWidths]) -> FamilyEvidence:
    """Name the family of the base that has, or is adapted in, these denoiser modules."""
    listed = list(modules)
    text = "\n".join(module.name for module in listed)
    if not listed:
        return FamilyEvidence(None, ("no denoiser modules",))
    if any(_UNET.search(module.name) for module in listed):
        return _unet(listed)
    for marker, family in (
        ("distilled_guidance_layer", "chroma"),
        ("to_qkv_mlp_proj", "flux2"),
        ("ff_linear_in", "flux2"),
        ("joint_transformer_blocks", "auraflow"),
        ("img_mod", "qwen_image"),
        ("txt_mlp", "qwen_image"),
        ("feed_forward_w1", "z_image"),
    ):
        if marker in text:
            return FamilyEvidence(family, (f"modules named {marker}",))
    return _transformer(listed, text)


def _unet(modules: list[ModuleWidths]) -> FamilyEvidence:
    widths = {m.inputs for m in modules if m.inputs is not None and _CROSS.search(m.name)}
    if not widths:
        return FamilyEvidence(None, ("UNet modules, none of them reads the text embedding",))
    if len(widths) > 1:
        return FamilyEvidence(None, (f"text embedding widths {sorted(widths)} contradict each other",))
    width = widths.pop()
    return FamilyEvidence(CROSS_ATTENTION_WIDTHS.get(width), (f"UNet, text embedding width {width}",))


def _transformer(modules: list[ModuleWidths], text: str) -> FamilyEvidence:
    widths = {width for m in modules for width in (m.inputs, m.outputs) if width is not None}
    if "single_transformer_blocks" in text or ("double_blocks" in text or "single_blocks" in text):
        if 3072 in widths:
            return FamilyEvidence("flux1", ("double and single stream blocks of width 3072",))
        return FamilyEvidence(None, ("double and single stream blocks of an unknown width",))
    if "joint_blocks" in text or "add_k_proj" in text or "attn_add_" in text:
        for width, family in SD3_WIDTHS.items():
            if width in widths:
                return FamilyEvidence(family, (f"joint attention blocks of width {width}",))
        return FamilyEvidence(None, ("joint attention blocks of an unknown width",))
    if "attn2_to_k" in text:
        for width, family in TRANSFORMER_WIDTHS.items():
            if width in widths:
                return FamilyEvidence(family, (f"cross-attention transformer of width {width}",))
    if re.search(r"layers_\d+_attn_", text) and 2304 in widths:
        return FamilyEvidence("lumina2", ("attention layers of width 2304",))
    if re.search(r"layers_\d+_attention_", text) and 3840 in widths:
        return FamilyEvidence("z_image", ("attention layers of width 3840",))
    return FamilyEvidence(None, ("no known pattern of modules",))
