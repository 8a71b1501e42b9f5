"""The names that the original implementations give to the modules of each architecture.

Everything here is text: a table is derived from the module paths of a base alone, so it works as well for a
miniature as for a layout of modules without weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from auditor.adapters.conventions import auraflow, dit, flux, flux2, ldm, next_dit, sd3
from auditor.adapters.conventions.origin import Origin

__all__ = ["Origin", "original_names"]


# The first pattern that some module has decides, so the more particular come first. Qwen-Image's original names are
# diffusers' own.
_TABLES: tuple[tuple[str, Callable[[Collection[str]], dict[str, Origin]] | None], ...] = (
    (r"\.attn\.to_qkv_mlp_proj$", flux2.table),
    (r"^joint_transformer_blocks\.", auraflow.table),
    (r"^single_transformer_blocks\.", flux.table),
    (r"\.img_mod\.1$", None),
    (r"\.attn\.add_k_proj$", sd3.table),
    (r"^layers\.\d+\.attention\.to_q$", next_dit.z_image),
    (r"^layers\.\d+\.attn\.to_q$", next_dit.lumina2),
    (r"\.ff\.conv_inverted$", dit.sana),
    (r"^adaln_single\.emb\.timestep_embedder\.", dit.pixart),
    (r"^time_extra_emb\.", dit.hunyuan),
    (r"^(?:down_blocks|mid_block)\.", ldm.table),
)


def original_names(modules: Collection[str]) -> Mapping[str, Origin]:
    """Original module path → the modules of a diffusers denoiser that hold its rows.

    Args:
        modules: Dotted paths of the denoiser's modules; originals of modules that are not listed are left out.
    """
    text = "\n".join(modules)
    found = next((make for pattern, make in _TABLES if re.search(pattern, text, re.MULTILINE)), None)
    table = {} if found is None else found(modules)
    known = frozenset(modules)
    return {name: origin for name, origin in table.items() if known.issuperset(origin.modules)}
