"""Name the base family from module names and widths.

Shapes give the family, never the exact base: Pony, Illustrious and SDXL are alike, and so are FLUX.1 dev and
schnell. Evidence must be positive: what matches no rule has no family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CROSS_ATTENTION_WIDTHS = {768: "sd15", 1024: "sd21", 2048: "sdxl", 1280: "sdxl_refiner"}
"""Input width of a UNet's attn2.to_k / to_v, which is the text embedding's width."""
SD3_WIDTHS = {1536: "sd35_medium", 2432: "sd35_large"}
"""Hidden width. SD 3 medium shares 1536 with SD 3.5 medium and is told apart by its missing attn2 only."""
TRANSFORMER_WIDTHS = {1152: "pixart", 2240: "sana"}

_UNET = re.compile(r"(?:^|_)(?:down_blocks|up_blocks|mid_block|input_blocks|middle_block|output_blocks)(?:_|$)")
_CROSS = re.compile(r"attn2_to_[kv]$")
_UNET_WIDTHS = frozenset({320, 640, 1280})
# Where only SD 1 and 2, or only SDXL, have attention, in diffusers' and in the original numbering.
_SD_ONLY = re.compile(
    r"down_blocks_(?:0_attentions|3_)|up_blocks_(?:2_attentions|3_)"
    r"|input_blocks_(?:[12]_1_|9_0_op|1[01]_)|output_blocks_(?:9|1[01])_"
)
_SDXL_ONLY = re.compile(
    r"up_blocks_0_attentions|transformer_blocks_[1-9](?:_|$)|output_blocks_[012]_1_(?:proj|transformer)"
    r"|add_embedding|label_emb"
)
_BY_NAME: tuple[tuple[str, str], ...] = (
    ("distilled_guidance_layer", "chroma"),
    ("to_qkv_mlp_proj", "flux2"),
    ("ff_linear_in", "flux2"),
    ("joint_transformer_blocks", "auraflow"),
    ("transformer_blocks_0_img_m", "qwen_image"),
    ("img_mod_1", "qwen_image"),
    ("txt_mlp_net", "qwen_image"),
    ("feed_forward_w1", "z_image"),
)


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
    candidates: frozenset[str] = frozenset()
    """Where several families fit alike: those. A claim may choose among them, nothing else."""


def recognise_family(modules: Iterable[ModuleWidths], text_widths: Mapping[str, int] | None = None) -> FamilyEvidence:
    """Name the family of the base that has, or is adapted in, these denoiser modules.

    Args:
        modules: Of the denoiser.
        text_widths: Text encoder component → hidden width, where the file says.
    """
    listed = list(modules)
    text = "\n".join(module.name for module in listed)
    if not listed:
        return FamilyEvidence(None, ("no denoiser modules",))
    if any(_UNET.search(module.name) for module in listed):
        return _unet(listed, text, text_widths or {})
    for marker, family in _BY_NAME:
        if marker in text:
            return FamilyEvidence(family, (f"modules named {marker}",))
    return _transformer(listed, text)


def _unet(modules: list[ModuleWidths], text: str, text_widths: Mapping[str, int]) -> FamilyEvidence:
    widths = {m.inputs for m in modules if m.inputs is not None and _CROSS.search(m.name)}
    if len(widths) > 1:
        return FamilyEvidence(None, (f"text embedding widths {sorted(widths)} contradict each other",))
    if widths:
        width = widths.pop()
        return FamilyEvidence(CROSS_ATTENTION_WIDTHS.get(width), (f"UNet, text embedding width {width}",))
    return _without_cross_attention(modules, text, text_widths)


def _without_cross_attention(modules: list[ModuleWidths], text: str, text_widths: Mapping[str, int]) -> FamilyEvidence:
    """Adapters of self-attention or convolutions only: SD 1, 2 and XL share these widths."""
    nothing = "UNet modules, none of them reads the text embedding"
    if not _UNET_WIDTHS & {m.outputs for m in modules}:
        return FamilyEvidence(None, (nothing,))
    candidates = {"sd15", "sd21", "sdxl"}
    reasons = [nothing]
    for pattern, families, why in (
        (_SDXL_ONLY, {"sdxl"}, "blocks that only SDXL has"),
        (_SD_ONLY, {"sd15", "sd21"}, "blocks that SDXL does not have"),
    ):
        if pattern.search(text):
            candidates &= families
            reasons.append(why)
    for component, width, families in (
        ("text_encoder", 768, {"sd15", "sdxl"}), ("text_encoder", 1024, {"sd21"}), ("text_encoder_2", 1280, {"sdxl"}),
    ):  # fmt: skip
        if text_widths.get(component) == width:
            candidates &= families
            reasons.append(f"{component} of width {width}")
    family = next(iter(candidates)) if len(candidates) == 1 else None
    return FamilyEvidence(family, tuple(reasons[::-1]), frozenset(candidates))


def _transformer(modules: list[ModuleWidths], text: str) -> FamilyEvidence:
    widths = {width for m in modules for width in (m.inputs, m.outputs) if width is not None}
    if "single_transformer_blocks" in text or "double_blocks" in text or "single_blocks" in text:
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
    if re.search(r"(?:^|\n)transformer_blocks_\d+_(?:attn_to_|ff_|norm1)", text):
        return _bare_transformer(widths)
    return FamilyEvidence(None, ("no known pattern of modules",))


def _bare_transformer(widths: set[int]) -> FamilyEvidence:
    """Image-stream modules alone: SD3's and FLUX' double blocks share their names, and are told apart by width."""
    for width, family in {**SD3_WIDTHS, 3072: "flux1"}.items():
        if width in widths and not widths & ({*SD3_WIDTHS, 3072} - {width}):
            return FamilyEvidence(family, (f"transformer blocks of width {width}",), frozenset({family}))
    return FamilyEvidence(None, ("transformer blocks of no width that tells the family",))


def recognise_words(widths: Mapping[str, int]) -> FamilyEvidence:
    """Name the family of the base that embeddings were learnt for.

    Args:
        widths: Text encoder as the file names it (`clip_l`, `clip_g`, …), or anything else for one that is not named,
            → width of its vectors.
    """
    if widths.get("clip_g") == 1280 or widths.get("text_encoders_1") == 1280:
        if "t5" in widths:
            return FamilyEvidence(None, ("embeddings for three text encoders",), frozenset(SD3_WIDTHS.values()))
        return FamilyEvidence("sdxl", ("embeddings for CLIP-L and CLIP-G",))
    if "t5" in widths:
        return FamilyEvidence("flux1", ("embeddings for CLIP-L and T5",))
    for width, family in ((768, "sd15"), (1024, "sd21")):
        if set(widths.values()) == {width}:
            return FamilyEvidence(family, (f"embeddings of width {width} for one text encoder",))
    return FamilyEvidence(None, ("embeddings of a width that no known base has",))
