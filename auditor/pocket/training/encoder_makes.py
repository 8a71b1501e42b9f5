"""Three makes of one small encoder: how each is built fresh, what it minimises, and how it is stored.

All three learn from the same pictures, captions and batches (`clip.py`). They differ where their real namesakes do:
`open_clip` is a ViT with a causal text tower and a softmax over the batch, `align` an EfficientNet with a BERT and a
softmax, `siglip` a ViT with attention pooling, a two-way text tower and a sigmoid for each pair.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from auditor.pocket.drawn_subjects import SIZE
from auditor.pocket.training.tokenizer import CONTEXT, build_tokenizer, build_word_pieces

MEAN = STD = (0.5, 0.5, 0.5)
WIDTH = 128
"""Dimensions of the shared space, the same for every make."""

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Make:
    """One kind of encoder in training.

    Attributes:
        model: Fresh weights.
        tokens: Token ids of captions (n, CONTEXT).
        embed: Pixels (n, 3, 64, 64) in [-1, 1] and tokens to unit rows of both sides, each (n, WIDTH).
        loss: From both sides and a 0/1 matrix (n, n) of what belongs together.
        save: Writes model and preprocessing as the library's own loaders read them.
        whole_pictures: Ends what is a device of the first part of training only.
    """

    model: torch.nn.Module
    tokens: Callable[[Sequence[str]], torch.Tensor]
    embed: Callable[[torch.Tensor, torch.Tensor], Pair]
    loss: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    save: Callable[[Path], None]
    whole_pictures: Callable[[], None] = lambda: None


def softmax_loss(x: torch.Tensor, y: torch.Tensor, same: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over the batch in both directions; captions that a batch holds twice share the target."""
    logits, target = scale * x @ y.T, same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def sigmoid_loss(
    x: torch.Tensor, y: torch.Tensor, same: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Each pair by itself: belongs together or not; the sum over a row, averaged over rows."""
    return -F.logsigmoid((2 * same - 1) * (scale * x @ y.T + bias)).sum(1).mean()


def model_config(vocabulary: int) -> dict[str, object]:
    """The open_clip configuration: image tower 5 x 160 on 8-pixel patches, text tower 3 x 128."""
    return {
        "embed_dim": WIDTH,
        "vision_cfg": {
            "image_size": SIZE,
            "layers": 5,
            "width": 160,
            "head_width": 32,
            "patch_size": 8,
            "patch_dropout": 0.4,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": vocabulary,
            "width": 128,
            "heads": 4,
            "layers": 3,
            "hf_tokenizer_name": ".",
        },
    }


def open_clip_vit(captions: Sequence[str], out: Path) -> Make:
    """An open_clip model of `model_config`; 40 % of the patches are dropped in the first part of training."""
    tokenizer = build_tokenizer(captions, out)
    config: dict[str, Any] = model_config(len(tokenizer))
    text = {k: v for k, v in config["text_cfg"].items() if k != "hf_tokenizer_name"}
    model = open_clip.CLIP(embed_dim=config["embed_dim"], vision_cfg=config["vision_cfg"], text_cfg=text)

    def save(folder: Path) -> None:
        kept = json.loads(json.dumps(config))
        kept["vision_cfg"].pop("patch_dropout")  # a training device only
        preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
        written = json.dumps({"model_cfg": kept, "preprocess_cfg": preprocess}, indent=1)
        (folder / "open_clip_config.json").write_text(written)
        weights = {k: v.detach().half().contiguous().cpu() for k, v in model.state_dict().items()}
        save_file(weights, folder / "open_clip_model.safetensors")

    def embed(pixels: torch.Tensor, tokens: torch.Tensor) -> Pair:
        return F.normalize(model.encode_image(pixels), dim=-1), F.normalize(model.encode_text(tokens), dim=-1)

    def whole_pictures() -> None:
        model.visual.patch_dropout = torch.nn.Identity()

    return Make(
        model,
        _padded(tokenizer),
        embed,
        lambda x, y, same: softmax_loss(x, y, same, model.logit_scale.exp()),
        save,
        whole_pictures,
    )


def siglip(captions: Sequence[str], out: Path) -> Make:
    """A `SiglipModel`: image tower 4 layers x 128 on 8-pixel patches with attention pooling, text tower 2 x 128."""
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    tokenizer = build_tokenizer(captions, out)
    shared = {"num_attention_heads": 4, "hidden_size": WIDTH}
    config = SiglipConfig(
        text_config={
            **shared,
            "vocab_size": len(tokenizer),
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "max_position_embeddings": CONTEXT,
            "projection_size": WIDTH,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            **shared,
            "image_size": SIZE,
            "patch_size": 8,
            "intermediate_size": 256,
            "num_hidden_layers": 4,
        },
    )
    model = SiglipModel(config)
    with torch.no_grad():  # as in the published recipe: temperature 10, and a bias that expects few right pairs
        model.logit_scale.fill_(float(torch.tensor(10.0).log()))
        model.logit_bias.fill_(-10.0)

    def save(folder: Path) -> None:
        model.to(torch.float16).save_pretrained(folder)
        size = {"height": SIZE, "width": SIZE}
        SiglipImageProcessor(size=size, image_mean=MEAN, image_std=STD).save_pretrained(folder)

    return Make(
        model,
        _padded(tokenizer),
        lambda pixels, tokens: _unit(model, pixels, {"input_ids": tokens}),
        lambda x, y, same: sigmoid_loss(x, y, same, model.logit_scale.exp(), model.logit_bias),
        save,
    )


def align(captions: Sequence[str], out: Path) -> Make:
    """An `AlignModel`: an EfficientNet of five stages down to 8x8 places, a BERT of 3 layers x 128."""
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessor

    tokenizer = build_word_pieces(captions, out)
    config = AlignConfig(
        projection_dim=WIDTH,
        temperature_init_value=0.07,
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 256,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "image_size": SIZE,
            "width_coefficient": 1.0,
            "depth_coefficient": 1.0,
            "in_channels": [32, 16, 24, 40, 64],
            "out_channels": [16, 24, 40, 64, WIDTH],
            "kernel_sizes": [3, 3, 5, 3, 3],
            "strides": [1, 1, 2, 2, 1],
            "expand_ratios": [1, 4, 4, 4, 4],
            "num_block_repeats": [1, 2, 2, 2, 1],
            "depthwise_padding": [],
            "hidden_dim": WIDTH,
            "drop_connect_rate": 0.0,
            # torch counts the share of the new batch; the library's default of 0.99 would keep the last batch alone
            "batch_norm_momentum": 0.02,
        },
    )
    model = AlignModel(config)

    def save(folder: Path) -> None:
        model.to(torch.float16).save_pretrained(folder)
        size = {"height": SIZE, "width": SIZE}
        EfficientNetImageProcessor(size=size, image_mean=MEAN, image_std=STD).save_pretrained(folder)

    def embed(pixels: torch.Tensor, tokens: torch.Tensor) -> Pair:
        return _unit(model, pixels, {"input_ids": tokens, "attention_mask": tokens != tokenizer.pad_token_id})

    return Make(
        model,
        _padded(tokenizer),
        embed,
        lambda x, y, same: softmax_loss(x, y, same, 1 / model.temperature.clamp(min=0.01)),
        save,
    )


def _unit(model: Any, pixels: torch.Tensor, text: dict[str, torch.Tensor]) -> Pair:
    shown = model.get_image_features(pixel_values=pixels).pooler_output
    told = model.get_text_features(**text).pooler_output
    return F.normalize(shown, dim=-1), F.normalize(told, dim=-1)


def _padded(tokenizer: Any) -> Callable[[Sequence[str]], torch.Tensor]:
    def tokens(captions: Sequence[str]) -> torch.Tensor:
        rows = tokenizer(list(captions), padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt")
        ids: torch.Tensor = rows["input_ids"]
        return ids

    return tokens


MAKES: dict[str, Callable[[Sequence[str], Path], Make]] = {
    "open_clip": open_clip_vit,
    "siglip": siglip,
    "align": align,
}
"""Ways to build an encoder from captions, which its tokenizer learns, and the folder that it is kept in."""
