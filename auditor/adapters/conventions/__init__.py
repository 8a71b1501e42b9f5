"""The names that the original implementations give to the modules of each architecture.

Everything here is text: a table is derived from the module paths of a base alone, so it works as well for a
miniature as for a layout of modules without weights.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from auditor.adapters.conventions import flux, ldm, sd3
from auditor.adapters.conventions.origin import Origin

__all__ = ["Origin", "original_names"]


def original_names(modules: Collection[str]) -> Mapping[str, Origin]:
    """Original module path → the modules of a diffusers denoiser that hold its rows.

    Args:
        modules: Dotted paths of the denoiser's modules; originals of modules that are not listed are left out.
    """
    table: dict[str, Origin] = {}
    if any(module.startswith("single_transformer_blocks.") for module in modules):
        table = flux.table(modules)
    elif any(".attn.add_k_proj" in module for module in modules):
        table = sd3.table(modules)
    elif any(module.startswith(("down_blocks.", "mid_block.")) for module in modules):
        table = ldm.table(modules)
    known = frozenset(modules)
    return {name: origin for name, origin in table.items() if known.issuperset(origin.modules)}
