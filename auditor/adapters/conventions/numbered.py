"""cloneofsimo/lora's files of 2022: modules by their number in the order in which that program met them.

It walked over the attention and GEGLU modules of a UNet, or the attention modules of CLIP, and over the linear layers
of each (`lora_diffusion/lora.py`, `_find_modules_v2`). diffusers makes the middle block after the upward ones; a
block's feed-forward was made before its second attention until 0.12, and after it since.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from auditor.adapters.keys import NUMBERED_PREFIX
from auditor.adapters.tensor_groups import Entry

_UNET = re.compile(
    r"(?P<side>down_blocks|up_blocks|mid_block)(?:\.(?P<block>\d+))?\.attentions\.(?P<attention>\d+)"
    r"\.transformer_blocks\.(?P<layer>\d+)\.(?P<inner>attn1|ff\.net\.0|attn2)\.(?P<linear>to_q|to_k|to_v|to_out\.0|proj)\Z"
)
_CLIP = re.compile(r"(?:text_model\.)?encoder\.layers\.(?P<layer>\d+)\.self_attn\.(?P<linear>[kvq]_proj|out_proj)\Z")
_SIDES = ("down_blocks", "up_blocks", "mid_block")
_INNER = ("attn1", "ff.net.0", "attn2")
_LATER = "later:"
"""After the prefix, in the order of diffusers since 0.12."""
_LINEAR = ("to_q", "to_k", "to_v", "to_out.0", "proj")
_CLIP_LINEAR = ("k_proj", "v_proj", "q_proj", "out_proj")


def in_their_order(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries, those with numbers marked by the order that their shapes show: GEGLU is eight times as wide."""
    fifth = next((e for e in entries if e.component == "unet" and e.module == f"{NUMBERED_PREFIX}4"), None)
    if fifth is None or fifth.outputs == 8 * fifth.inputs:
        return tuple(entries)
    return tuple(
        replace(entry, module=f"{NUMBERED_PREFIX}{_LATER}{entry.module[len(NUMBERED_PREFIX) :]}")
        if entry.component == "unet" and entry.module.startswith(NUMBERED_PREFIX)
        else entry
        for entry in entries
    )


def numbered_modules(modules: Collection[str]) -> dict[str, str]:
    """Number, as `in_their_order` marks it, → module of a UNet or of CLIP.

    Args:
        modules: Dotted paths of the component's adaptable modules.
    """
    result: dict[str, str] = {}
    for mark, inner in (("", _INNER), (_LATER, ("attn1", "attn2", "ff.net.0"))):
        places = ((_place(module, inner), module) for module in modules)
        ordered = sorted((place, module) for place, module in places if place is not None)
        result |= {f"{NUMBERED_PREFIX}{mark}{number}": module for number, (_, module) in enumerate(ordered)}
    return result


def _place(module: str, inner: tuple[str, ...]) -> tuple[int, ...] | None:
    if match := _UNET.match(module):
        return (
            _SIDES.index(match["side"]),
            int(match["block"] or 0),
            int(match["attention"]),
            int(match["layer"]),
            inner.index(match["inner"]),
            _LINEAR.index(match["linear"]),
        )
    if match := _CLIP.match(module):
        return int(match["layer"]), _CLIP_LINEAR.index(match["linear"])
    return None
