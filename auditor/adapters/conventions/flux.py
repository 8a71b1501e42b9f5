"""FLUX.1 and Chroma: Black Forest Labs' own names (kohya, ComfyUI), and those of XLabs' attention processors."""

from __future__ import annotations

from collections.abc import Collection

from auditor.adapters.conventions.origin import Origin, block_numbers

_TOP = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
_IMAGE_QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
_TEXT_QKV = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
_DOUBLE: dict[str, tuple[str, ...]] = {
    "img_attn.qkv": _IMAGE_QKV,
    "txt_attn.qkv": _TEXT_QKV,
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_attn.norm.query_norm": ("attn.norm_q",),
    "img_attn.norm.key_norm": ("attn.norm_k",),
    "txt_attn.norm.query_norm": ("attn.norm_added_q",),
    "txt_attn.norm.key_norm": ("attn.norm_added_k",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
    # XLabs: 1 is the image stream, 2 the text stream
    "processor.qkv_lora1": _IMAGE_QKV,
    "processor.qkv_lora2": _TEXT_QKV,
    "processor.proj_lora1": ("attn.to_out.0",),
    "processor.proj_lora2": ("attn.to_add_out",),
}
_SINGLE: dict[str, tuple[str, ...]] = {
    "linear1": (*_IMAGE_QKV, "proj_mlp"),
    "linear2": ("proj_out",),
    "norm.query_norm": ("attn.norm_q",),
    "norm.key_norm": ("attn.norm_k",),
    "modulation.lin": ("norm.linear",),
    "processor.qkv_lora": _IMAGE_QKV,
    "processor.proj_lora": ("proj_out",),
}


def table(modules: Collection[str]) -> dict[str, Origin]:
    """Original path → diffusers modules, for as many blocks as the base has."""
    result = {original: Origin((ours,)) for original, ours in _TOP.items()}
    # Chroma's approximator, in the place of FLUX.1's modulations
    for number in block_numbers(modules, "distilled_guidance_layer.layers"):
        for theirs, ours in (("in_layer", "linear_1"), ("out_layer", "linear_2")):
            layer = f"distilled_guidance_layer.layers.{number}"
            result[f"{layer}.{theirs}"] = Origin((f"{layer}.{ours}",))
    result["final_layer.adaLN_modulation.1"] = Origin(("norm_out.linear",), halves_swapped=True)
    for theirs, ours, names in (
        ("double_blocks", "transformer_blocks", _DOUBLE),
        ("single_blocks", "single_transformer_blocks", _SINGLE),
    ):
        for number in block_numbers(modules, ours):
            for original, parts in names.items():
                paths = tuple(f"{ours}.{number}.{part}" for part in parts)
                result[f"{theirs}.{number}.{original}"] = Origin(paths)
    return result
