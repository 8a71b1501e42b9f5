"""Tiny random encoders of the production classes of transformers, saved as their published namesakes are."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AlignConfig,
    AlignModel,
    BertTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    EfficientNetImageProcessor,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

from tests.tiny_models import LINES, clip_tokenizer

SIZE = 32
_TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


def _save(folder: Path, model: Any, pictures: Any, tokenizer: Any, spread: float = 0.1) -> Path:
    with torch.no_grad():  # fresh weights are so small that all embeddings would be alike
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    for part in (model, pictures, tokenizer):
        part.save_pretrained(folder)
    return folder


def _words(tokenizer: Any, places: int = 16) -> dict[str, int]:
    return {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": places,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def save_clip(folder: Path) -> Path:
    """A `CLIPModel`: shortest side and a centre crop, as OpenAI's."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    config = CLIPConfig(
        text_config={**_TOWER, **_words(tokenizer)},
        vision_config={**_TOWER, "image_size": SIZE, "patch_size": 8},
        projection_dim=24,
    )
    pictures = CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})
    return _save(folder, CLIPModel(config), pictures, tokenizer)


def save_siglip(folder: Path) -> Path:
    """A `SiglipModel`: squashed, the last token pooled."""
    torch.manual_seed(1)
    tokenizer = clip_tokenizer()
    config = SiglipConfig(
        text_config={**_TOWER, **_words(tokenizer), "projection_size": 32},
        vision_config={**_TOWER, "image_size": SIZE, "patch_size": 8},
    )
    return _save(folder, SiglipModel(config), SiglipImageProcessor(size={"height": SIZE, "width": SIZE}), tokenizer)


def save_siglip2(folder: Path) -> Path:
    """A `Siglip2Model` of any picture size: patches, their number and their mask."""
    torch.manual_seed(2)
    letters = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.ascii_lowercase]
    tokenizer = Siglip2Tokenizer(vocab={letter: i for i, letter in enumerate(letters)}, merges=[])
    config = Siglip2Config(
        text_config={**_TOWER, **_words(tokenizer, 64), "projection_size": 32},
        vision_config={**_TOWER, "patch_size": 8, "num_patches": 16},
    )
    return _save(folder, Siglip2Model(config), Siglip2ImageProcessor(patch_size=8, max_num_patches=16), tokenizer)


def save_align(folder: Path) -> Path:
    """An `AlignModel`: an EfficientNet beside a BERT."""
    torch.manual_seed(3)
    words = sorted({word for line in LINES for word in line.split()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)})
    stages = {"kernel_sizes": [3, 3], "strides": [1, 2], "expand_ratios": [1, 4], "num_block_repeats": [1, 1]}
    config = AlignConfig(
        text_config={**_TOWER, "vocab_size": len(tokenizer), "max_position_embeddings": 80, "pad_token_id": 0},
        vision_config={
            **stages,
            "image_size": SIZE,
            "in_channels": [32, 8],
            "out_channels": [8, 24],
            "depthwise_padding": [],
            "width_coefficient": 1.0,
            "depth_coefficient": 1.0,
            "hidden_dim": 24,
        },
        projection_dim=24,
    )
    pictures = EfficientNetImageProcessor(size={"height": SIZE, "width": SIZE})
    return _save(folder, AlignModel(config), pictures, tokenizer, spread=0.5)


SAVE: dict[str, Callable[[Path], Path]] = {
    "clip": save_clip,
    "siglip": save_siglip,
    "siglip2": save_siglip2,
    "align": save_align,
}
"""Model type → what saves one."""
