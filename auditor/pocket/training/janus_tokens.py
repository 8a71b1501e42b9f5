"""Train the image tokenizer of the pocket's Janus, on the codes of the other base's.

    python -m auditor.pocket.training.janus_tokens --work .auditor/training

`auditor.pocket.training.image_tokens` comes first. Its codes are handed on: the decoder learns to draw the pictures
that they stand for, and the encoder to name them, so that neither waits for the other. Both at once, from nothing,
learned too slowly: the library normalises in 32 groups, each of 32 channels alone, so that none keeps a level. The
result lies in WORK/janus_tokens.safetensors.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from auditor.pocket import corpus
from auditor.pocket.training import image_tokens
from auditor.pocket.training.codecs import Codec, JanusCodec
from auditor.pocket.training.loop import Plan, best_device, train
from auditor.pocket.training.token_training import PICTURES, encode_all

SIZES: dict[str, Any] = {
    "embed_dim": 9,
    "num_embeddings": image_tokens.CODES,
    "latent_channels": 32,
    "num_res_blocks": 0,
    "num_patches": image_tokens.SIDE,
    "base_channels": 32,
    "channel_multiplier": [1, 1, 1, 2],
    "projection_dim": 96,
    "image_token_embed_dim": 96,
}
_SHARPNESS = 20.0
"""Of the softmax over cosines by which the encoder names codes."""


def trained_file(work: Path) -> Path:
    """Where the trained tokenizer lies, float32."""
    return work / "janus_tokens.safetensors"


def load(work: Path) -> JanusCodec:
    """The trained tokenizer."""
    codec = JanusCodec.of(SIZES)
    codec.model.load_state_dict(load_file(trained_file(work)))
    return codec.eval()


@torch.no_grad()
def hand_on(codec: JanusCodec, teacher: Codec) -> None:
    """Put the codes where the teacher's lie, seen from a point beside their space: their lengths become angles."""
    spread = teacher.places.norm(dim=1, keepdim=True).mean()
    codec.places.copy_(torch.cat([teacher.places / spread, torch.ones(len(teacher.places), 1)], dim=1))
    codec.shorten()


def taught_loss(codec: JanusCodec, pictures: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """What is lost from given codes (n, side x side) to pictures, and how unsure the encoder is of them."""
    cosines = codec.cosines(codec.latents(pictures)).flatten(2)
    unsure = F.cross_entropy(_SHARPNESS * cosines, codes)
    return image_tokens.reconstruction_loss(codec.decode(codes), pictures) + 0.02 * unsure


def main() -> None:
    """Train, save, and say how much is lost on pictures never seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = best_device()
    images, _ = corpus.build(arguments.work / "corpus", image_tokens.CORPUS_SIZE, seed=1)
    teacher = image_tokens.load(arguments.work)
    given = encode_all(teacher, images[:PICTURES], arguments.work)
    codec = JanusCodec.of(SIZES)
    hand_on(codec, teacher)
    codec.to(device)
    print(f"{sum(p.numel() for p in codec.parameters()) / 1e6:.2f} M parameters", flush=True)

    def loss_at(step: int) -> torch.Tensor:
        rows = np.sort(np.random.default_rng([23, step]).choice(PICTURES, arguments.batch, replace=False))
        pictures = image_tokens.as_input(images[rows]).to(device)
        return taught_loss(codec, pictures, given[torch.from_numpy(rows)].to(device))

    path = trained_file(arguments.work)
    plan = Plan(
        arguments.steps, rate=arguments.rate, average=0.99, weight_decay=0.0, checkpoint=path.with_suffix(".pt")
    )
    trained = train(codec, loss_at, plan, "janus tokens")
    assert isinstance(trained, JanusCodec)
    trained.shorten()
    image_tokens.save(trained, path, arguments.work)


if __name__ == "__main__":
    main()
