from __future__ import annotations

import pytest

from auditor.adapters.layout import BaseLayout

# Formulas are checked by what they make of a base; the fixtures of bases stand with the room that loads them.
from tests.generation.conftest import base, pocket_base, sd_folder, shared_base, shared_pocket_base

__all__ = ["base", "layout", "pocket_base", "sd_folder", "shared_base", "shared_pocket_base"]

BLOCK = "down_blocks.0.attentions.0"
SHAPES = {
    f"{BLOCK}.proj_in": (32, 32, 1, 1),
    f"{BLOCK}.transformer_blocks.0.attn1.to_q": (32, 32),
    f"{BLOCK}.transformer_blocks.0.attn1.to_out.0": (32, 32),
    f"{BLOCK}.transformer_blocks.0.attn2.to_k": (32, 24),
    "mid_block.resnets.0.conv1": (64, 64, 3, 3),
    "time_embedding.linear_1": (128, 32),
}
TEXT_SHAPES = {
    "encoder.layers.0.self_attn.q_proj": (24, 24),
    "encoder.layers.0.self_attn.out_proj": (24, 24),
    "encoder.layers.0.mlp.fc1": (48, 24),
}


@pytest.fixture
def layout() -> BaseLayout:
    """A small UNet with one text encoder; no width of any published model."""
    return BaseLayout("unet", {"unet": SHAPES, "text_encoder": TEXT_SHAPES})
