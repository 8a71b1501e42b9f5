"""PixArt, Sana and Hunyuan-DiT: the original names, all in the manner of DiT (`blocks.N.attn`, `blocks.N.mlp`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from auditor.adapters.conventions.origin import Origin, block_numbers

_QKV = ("attn1.to_q", "attn1.to_k", "attn1.to_v")
_KV = ("attn2.to_k", "attn2.to_v")
_CAPTION = {
    "y_embedder.y_proj.fc1": "caption_projection.linear_1",
    "y_embedder.y_proj.fc2": "caption_projection.linear_2",
    "final_layer.linear": "proj_out",
}
_PIXART_TOP = {
    **_CAPTION,
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "adaln_single.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "adaln_single.emb.timestep_embedder.linear_2",
    "t_block.1": "adaln_single.linear",
    "csize_embedder.mlp.0": "adaln_single.emb.resolution_embedder.linear_1",
    "csize_embedder.mlp.2": "adaln_single.emb.resolution_embedder.linear_2",
    "ar_embedder.mlp.0": "adaln_single.emb.aspect_ratio_embedder.linear_1",
    "ar_embedder.mlp.2": "adaln_single.emb.aspect_ratio_embedder.linear_2",
}
_SANA_TOP = {
    **_CAPTION,
    "x_embedder.proj": "patch_embed.proj",
    "t_embedder.mlp.0": "time_embed.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_embed.emb.timestep_embedder.linear_2",
    "t_block.1": "time_embed.linear",
    "attention_y_norm": "caption_norm",
}
_CROSS: dict[str, tuple[str, ...]] = {
    "attn.qkv": _QKV,
    "attn.proj": ("attn1.to_out.0",),
    "cross_attn.q_linear": ("attn2.to_q",),
    "cross_attn.kv_linear": _KV,
    "cross_attn.proj": ("attn2.to_out.0",),
}
_PIXART_BLOCK = {**_CROSS, "mlp.fc1": ("ff.net.0.proj",), "mlp.fc2": ("ff.net.2",)}
_SANA_BLOCK = {
    **_CROSS,
    "mlp.inverted_conv.conv": ("ff.conv_inverted",),
    "mlp.depth_conv.conv": ("ff.conv_depth",),
    "mlp.point_conv.conv": ("ff.conv_point",),
}
_HUNYUAN_TOP = {
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "time_extra_emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "time_extra_emb.timestep_embedder.linear_2",
    "extra_embedder.0": "time_extra_emb.extra_embedder.linear_1",
    "extra_embedder.2": "time_extra_emb.extra_embedder.linear_2",
    "pooler.k_proj": "time_extra_emb.pooler.k_proj",
    "pooler.q_proj": "time_extra_emb.pooler.q_proj",
    "pooler.v_proj": "time_extra_emb.pooler.v_proj",
    "pooler.c_proj": "time_extra_emb.pooler.c_proj",
    "mlp_t5.0": "text_embedder.linear_1",
    "mlp_t5.2": "text_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
_HUNYUAN_BLOCK: dict[str, tuple[str, ...]] = {
    "attn1.Wqkv": _QKV,
    "attn1.out_proj": ("attn1.to_out.0",),
    "attn2.q_proj": ("attn2.to_q",),
    "attn2.kv_proj": _KV,
    "attn2.out_proj": ("attn2.to_out.0",),
    "mlp.fc1": ("ff.net.0.proj",),
    "mlp.fc2": ("ff.net.2",),
    "default_modulation.1": ("norm1.linear",),
    "skip_linear": ("skip_linear",),
}


def pixart(modules: Collection[str]) -> dict[str, Origin]:
    """PixArt's original path → diffusers modules."""
    return _table(modules, _PIXART_TOP, _PIXART_BLOCK, "transformer_blocks")


def sana(modules: Collection[str]) -> dict[str, Origin]:
    """Sana's original path → diffusers modules."""
    return _table(modules, _SANA_TOP, _SANA_BLOCK, "transformer_blocks")


def hunyuan(modules: Collection[str]) -> dict[str, Origin]:
    """Hunyuan-DiT's original path → diffusers modules."""
    result = _table(modules, _HUNYUAN_TOP, _HUNYUAN_BLOCK, "blocks")
    result["final_layer.adaLN_modulation.1"] = Origin(("norm_out.linear",), halves_swapped=True)
    return result


def _table(
    modules: Collection[str], top: Mapping[str, str], block: Mapping[str, tuple[str, ...]], stem: str
) -> dict[str, Origin]:
    result = {original: Origin((ours,)) for original, ours in top.items()}
    for number in block_numbers(modules, stem):
        for original, parts in block.items():
            result[f"blocks.{number}.{original}"] = Origin(tuple(f"{stem}.{number}.{part}" for part in parts))
    return result
