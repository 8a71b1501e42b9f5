"""Sizes of the pocket Qwen2-VL, its processor, and a batched forward pass for equal-sized pictures.

A 64-pixel picture is 4 x 4 patches of 16 pixels; two by two of them are merged, so the language model sees
four tokens per picture. Head sizes (32) and the vocabulary (a multiple of 32) suit inference servers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    GenerationConfig,
    Qwen2Tokenizer,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb_vision

from auditor.pocket.drawn_subjects import SIZE
from auditor.pocket.vlm.tokenizer import (
    END_OF_TEXT,
    IMAGE_PAD,
    SPECIAL_TOKENS,
    TURN_END,
    VIDEO_PAD,
    VISION_END,
    VISION_START,
    build_tokenizer,
)

PATCH = 16
MERGE = 2
GRID = SIZE // PATCH
TOKENS_PER_IMAGE = (GRID // MERGE) ** 2
PIXEL_MEAN, PIXEL_STD = 0.5, 0.25
TEXT_WIDTH = 192
VISION_WIDTH = 128


def build_config(tokenizer: Qwen2Tokenizer) -> Qwen2VLConfig:
    """The pocket sizes as a standard Qwen2-VL configuration."""
    ids: dict[str, Any] = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL_TOKENS}
    text = {
        "vocab_size": -(-len(tokenizer) // 32) * 32,
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": True,
        # Sections of the 16 rotary pairs of a head for time, height and width.
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": ids[END_OF_TEXT],
        "eos_token_id": ids[TURN_END],
        "pad_token_id": ids[END_OF_TEXT],
    }
    vision = {
        "depth": 4,
        "embed_dim": VISION_WIDTH,
        "hidden_size": TEXT_WIDTH,
        "num_heads": VISION_WIDTH // 32,
        "mlp_ratio": 3,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": 2,
    }
    return Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids[IMAGE_PAD],
        video_token_id=ids[VIDEO_PAD],
        vision_start_token_id=ids[VISION_START],
        vision_end_token_id=ids[VISION_END],
        bos_token_id=ids[END_OF_TEXT],
        eos_token_id=ids[TURN_END],
        pad_token_id=ids[END_OF_TEXT],
        tie_word_embeddings=True,
        architectures=["Qwen2VLForConditionalGeneration"],
    )


def build_processor(tokenizer: Qwen2Tokenizer) -> Qwen2VLProcessor:
    """A processor under which every picture becomes exactly 64 x 64 pixels."""
    sizes = {
        "patch_size": PATCH,
        "temporal_patch_size": 2,
        "merge_size": MERGE,
        "size": {"shortest_edge": SIZE * SIZE, "longest_edge": SIZE * SIZE},
        "image_mean": [PIXEL_MEAN] * 3,
        "image_std": [PIXEL_STD] * 3,
    }
    create: Any = Qwen2VLProcessor
    processor: Qwen2VLProcessor = create(
        image_processor=Qwen2VLImageProcessor(**sizes),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**sizes),
        chat_template=tokenizer.chat_template,
    )
    return processor


def build_model(seed: int = 0) -> tuple[Qwen2VLForConditionalGeneration, Qwen2VLProcessor]:
    """A freshly initialised model with its processor; about 2.4 million parameters, the same for a seed."""
    tokenizer = build_tokenizer()
    config = build_config(tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        create: Any = Qwen2VLForConditionalGeneration
        model: Qwen2VLForConditionalGeneration = create(config)
    settings: Any = GenerationConfig
    model.generation_config = settings(
        do_sample=False,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )
    return model, build_processor(tokenizer)


def load_model(folder: Path) -> tuple[Qwen2VLForConditionalGeneration, Qwen2VLProcessor]:
    """A finished model with its processor, in single precision, to be trained further."""
    load: Any = Qwen2VLForConditionalGeneration
    model: Qwen2VLForConditionalGeneration = load.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    tokenizer = build_tokenizer()
    model.config = build_config(tokenizer)  # as it was before loading wrote its precision into it
    return model, build_processor(tokenizer)


def to_patches(pictures: Tensor) -> Tensor:
    """Cut pictures into the processor's patch order.

    Args:
        pictures: (n, 64, 64, 3) float in [0, 1].

    Returns:
        (n, 16, 3 * 16 * 16), normalised; each row is what the processor repeats over two time steps.
    """
    n, blocks = len(pictures), GRID // MERGE
    x = ((pictures - PIXEL_MEAN) / PIXEL_STD).permute(0, 3, 1, 2)
    x = x.reshape(n, 3, blocks, MERGE, PATCH, blocks, MERGE, PATCH)
    return x.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(n, GRID * GRID, 3 * PATCH * PATCH)


def _patch_positions(device: torch.device) -> Tensor:
    """Row and column of each patch in the processor's order: (16, 2)."""
    blocks = GRID // MERGE
    rows = torch.arange(GRID, device=device).view(blocks, 1, MERGE, 1).expand(blocks, blocks, MERGE, MERGE)
    columns = torch.arange(GRID, device=device).view(1, blocks, 1, MERGE).expand(blocks, blocks, MERGE, MERGE)
    return torch.stack([rows.reshape(-1), columns.reshape(-1)], dim=-1)


def encode_pictures(visual: Any, patches: Tensor) -> Tensor:
    """The vision tower over pictures of one size, all at once.

    The tower's own forward loops over pictures; this one computes the same with one call per layer, which is
    several times faster on a CPU.

    Args:
        visual: The tower, a `Qwen2VisionTransformerPretrainedModel`.
        patches: (n, 16, 768) from `to_patches`.

    Returns:
        (n, 4, text width): the tokens the language model sees.
    """
    n, count, _ = patches.shape
    kernel: Tensor = visual.patch_embed.proj.weight  # (width, 3, 2, 16, 16); a still picture fills both times
    x = F.linear(patches, kernel.sum(2).flatten(1))
    cos, sin = visual.rotary_pos_emb(x, _patch_positions(x.device))
    for block in visual.blocks:
        attention = block.attn
        qkv = attention.qkv(block.norm1(x)).view(n, count, 3, attention.num_heads, -1)
        q, k = apply_rotary_pos_emb_vision(qkv[:, :, 0], qkv[:, :, 1], cos, sin)
        mixed = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), qkv[:, :, 2].transpose(1, 2), scale=attention.scaling
        )
        x = x + attention.proj(mixed.transpose(1, 2).reshape(n, count, -1))
        x = x + block.mlp(block.norm2(x))
    merged: Tensor = visual.merger(x)
    return merged.view(n, TOKENS_PER_IMAGE, -1)


def parameter_count(module: nn.Module) -> int:
    """Number of distinct weights."""
    return sum(p.numel() for p in module.parameters())
