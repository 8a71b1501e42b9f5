"""Stable Diffusion 3 and 3.5: Stability's own names."""

from __future__ import annotations

from collections.abc import Collection

from auditor.adapters.conventions.origin import Origin, block_numbers

_TOP = {
    "x_embedder.proj": "pos_embed.proj",
    "context_embedder": "context_embedder",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
    "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
_BLOCK: dict[str, tuple[str, ...]] = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "x_block.attn.proj": ("attn.to_out.0",),
    "x_block.attn.ln_q": ("attn.norm_q",),
    "x_block.attn.ln_k": ("attn.norm_k",),
    "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
    "x_block.attn2.proj": ("attn2.to_out.0",),
    "x_block.attn2.ln_q": ("attn2.norm_q",),
    "x_block.attn2.ln_k": ("attn2.norm_k",),
    "x_block.mlp.fc1": ("ff.net.0.proj",),
    "x_block.mlp.fc2": ("ff.net.2",),
    "x_block.adaLN_modulation.1": ("norm1.linear",),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "context_block.attn.proj": ("attn.to_add_out",),
    "context_block.attn.ln_q": ("attn.norm_added_q",),
    "context_block.attn.ln_k": ("attn.norm_added_k",),
    "context_block.mlp.fc1": ("ff_context.net.0.proj",),
    "context_block.mlp.fc2": ("ff_context.net.2",),
    "context_block.adaLN_modulation.1": ("norm1_context.linear",),
}


def table(modules: Collection[str]) -> dict[str, Origin]:
    """Original path → diffusers modules, for as many blocks as the base has."""
    result = {original: Origin((ours,)) for original, ours in _TOP.items()}
    result["final_layer.adaLN_modulation.1"] = Origin(("norm_out.linear",), halves_swapped=True)
    numbers = block_numbers(modules, "transformer_blocks")
    for number in numbers:
        for original, parts in _BLOCK.items():
            paths = tuple(f"transformer_blocks.{number}.{part}" for part in parts)
            # the last block's text stream ends there: its norm has two outputs, in the other order
            swapped = number == numbers[-1] and original == "context_block.adaLN_modulation.1"
            result[f"joint_blocks.{number}.{original}"] = Origin(paths, swapped)
    return result
