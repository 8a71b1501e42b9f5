"""Z-Image and Lumina 2: the original names of Next-DiT (`layers.N.attention.qkv`)."""

from __future__ import annotations

from collections.abc import Collection

from auditor.adapters.conventions.origin import Origin, block_numbers

_STEMS = ("layers", "noise_refiner", "context_refiner")
_Z_IMAGE_TOP = {
    "x_embedder": "all_x_embedder.2-1",
    "final_layer.linear": "all_final_layer.2-1.linear",
    "final_layer.adaLN_modulation.1": "all_final_layer.2-1.adaLN_modulation.1",
}
_Z_IMAGE_BLOCK: dict[str, tuple[str, ...]] = {
    "attention.qkv": ("attention.to_q", "attention.to_k", "attention.to_v"),
    "attention.out": ("attention.to_out.0",),
    "attention.q_norm": ("attention.norm_q",),
    "attention.k_norm": ("attention.norm_k",),
}
_LUMINA_TOP = {
    "cap_embedder.0": "time_caption_embed.caption_embedder.0",
    "cap_embedder.1": "time_caption_embed.caption_embedder.1",
    "t_embedder.mlp.0": "time_caption_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_caption_embed.timestep_embedder.linear_2",
    "final_layer.linear": "norm_out.linear_2",
    "final_layer.adaLN_modulation.1": "norm_out.linear_1",
}
_LUMINA_BLOCK: dict[str, tuple[str, ...]] = {
    "attention.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "attention.out": ("attn.to_out.0",),
    "attention.q_norm": ("attn.norm_q",),
    "attention.k_norm": ("attn.norm_k",),
    "feed_forward.w1": ("feed_forward.linear_1",),
    "feed_forward.w2": ("feed_forward.linear_2",),
    "feed_forward.w3": ("feed_forward.linear_3",),
    "adaLN_modulation.1": ("norm1.linear",),
    "attention_norm2": ("norm2",),
}


def z_image(modules: Collection[str]) -> dict[str, Origin]:
    """Z-Image's original path → diffusers modules; what keeps its name is not listed."""
    result = {original: Origin((ours,)) for original, ours in _Z_IMAGE_TOP.items()}
    return result | _blocks(modules, _Z_IMAGE_BLOCK)


def lumina2(modules: Collection[str]) -> dict[str, Origin]:
    """Lumina 2's original path → diffusers modules; what keeps its name is not listed."""
    result = {original: Origin((ours,)) for original, ours in _LUMINA_TOP.items()} | _blocks(modules, _LUMINA_BLOCK)
    for stem in _STEMS:
        for number in block_numbers(modules, stem):
            ours = f"{stem}.{number}.norm1"
            inner = f"{ours}.norm" if f"{ours}.linear" in modules else ours
            result[f"{stem}.{number}.attention_norm1"] = Origin((inner,))
    return result


def _blocks(modules: Collection[str], block: dict[str, tuple[str, ...]]) -> dict[str, Origin]:
    return {
        f"{stem}.{number}.{original}": Origin(tuple(f"{stem}.{number}.{part}" for part in parts))
        for stem in _STEMS
        for number in block_numbers(modules, stem)
        for original, parts in block.items()
    }
