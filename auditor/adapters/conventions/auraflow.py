"""AuraFlow: the original names. In a double block 1 is the text stream and 2 the image stream."""

from __future__ import annotations

from collections.abc import Collection

from auditor.adapters.conventions.origin import Origin, block_numbers

_TOP = {
    "t_embedder.mlp.0": "time_step_proj.linear_1",
    "t_embedder.mlp.2": "time_step_proj.linear_2",
    "cond_seq_linear": "context_embedder",
    "init_x_linear": "pos_embed.proj",
    "final_linear": "proj_out",
}
_MLP = {"c_fc1": "linear_1", "c_fc2": "linear_2", "c_proj": "out_projection"}
_DOUBLE = {
    **{f"mlpX.{theirs}": f"ff.{ours}" for theirs, ours in _MLP.items()},
    **{f"mlpC.{theirs}": f"ff_context.{ours}" for theirs, ours in _MLP.items()},
    "modX.1": "norm1.linear", "modC.1": "norm1_context.linear",
    "attn.w2q": "attn.to_q", "attn.w2k": "attn.to_k", "attn.w2v": "attn.to_v", "attn.w2o": "attn.to_out.0",
    "attn.w1q": "attn.add_q_proj", "attn.w1k": "attn.add_k_proj", "attn.w1v": "attn.add_v_proj",
    "attn.w1o": "attn.to_add_out",
}  # fmt: skip
_SINGLE = {
    **{f"mlp.{theirs}": f"ff.{ours}" for theirs, ours in _MLP.items()},
    "modCX.1": "norm1.linear",
    "attn.w1q": "attn.to_q",
    "attn.w1k": "attn.to_k",
    "attn.w1v": "attn.to_v",
    "attn.w1o": "attn.to_out.0",
}


def table(modules: Collection[str]) -> dict[str, Origin]:
    """Original path → diffusers modules, for as many blocks as the base has."""
    result = {original: Origin((ours,)) for original, ours in _TOP.items()}
    result["modF.1"] = Origin(("norm_out.linear",), halves_swapped=True)
    for theirs, ours, names in (
        ("double_layers", "joint_transformer_blocks", _DOUBLE),
        ("single_layers", "single_transformer_blocks", _SINGLE),
    ):
        for number in block_numbers(modules, ours):
            for original, part in names.items():
                result[f"{theirs}.{number}.{original}"] = Origin((f"{ours}.{number}.{part}",))
    return result
