"""Tiny random models that draw image tokens, of the production classes and in the production layouts."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    ChameleonConfig,
    JanusConfig,
    JanusForConditionalGeneration,
    JanusVisionConfig,
    JanusVQVAEConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from auditor.generation.token_models import BEGIN_OF_IMAGE, ChameleonWithDecoder
from tests.tiny_models import SIZE, clip_tokenizer

CODES = 32
SIDE = 8
JANUS_SIZE = 16


def save_chameleon(folder: Path, *, tied: bool = False) -> Path:
    """Two layers of width 32 and an image tokenizer of 8 x 8 codes for pictures of `SIZE` pixels."""
    tokenizer = clip_tokenizer()
    words = len(tokenizer)
    names = {f"IMGIMG{''.join(chr(65 + int(c)) for c in str(code))}Z": words + code for code in range(CODES)}
    config = ChameleonConfig(
        vocab_size=words + CODES + 2,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=tied,
        vocabulary_map=names | {"<image>": words + CODES, BEGIN_OF_IMAGE: words + CODES + 1},
        vq_config={
            "embed_dim": 8,
            "num_embeddings": CODES,
            "latent_channels": 32,
            "resolution": SIZE,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 2],
            "num_res_blocks": 1,
        },
    )
    torch.manual_seed(5)
    _save(ChameleonWithDecoder(config), folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_janus(folder: Path) -> Path:
    """A Janus of two layers of width 32 that draws 4 x 4 codes for pictures of `JANUS_SIZE` pixels."""
    vision = JanusVisionConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=4, projection_dim=32
    )
    codes = JanusVQVAEConfig(
        embed_dim=8,
        num_embeddings=CODES,
        latent_channels=32,
        base_channels=32,
        channel_multiplier=[1, 1, 2],
        num_res_blocks=1,
        projection_dim=32,
        image_token_embed_dim=32,
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=clip_tokenizer().backend_tokenizer, bos_token="<|startoftext|>", pad_token="<|endoftext|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<begin_of_image>"]})
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    torch.manual_seed(6)
    config = JanusConfig(text_config=text, vision_config=vision, vq_config=codes, image_token_id=0)
    _save(JanusForConditionalGeneration(config), folder)
    tokenizer.save_pretrained(folder)
    return folder


def _save(model: torch.nn.Module, folder: Path) -> None:
    """Random weights as large as a trained model's: the library starts so small that every picture is alike."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.mul_(8.0 if "vqmodel" not in name else 1.0)
    model.save_pretrained(folder)
