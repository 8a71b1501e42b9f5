"""Train the image tokenizer of the pocket's autoregressive base: a VQGAN of 8x8 tokens out of 512 codes.

    python -m auditor.pocket.training.image_tokens --work .auditor/training

It begins without codes; after `WARM` steps they are placed by k-means among what the encoder gives, and from then on
encoder, codes and decoder learn together, gradients passing the nearest code as if it were not there. The result lies
in WORK/image_tokens.safetensors. Some ten minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.cluster.vq import kmeans2
from torch.nn import functional as F

from auditor.common.atomic_files import replacing
from auditor.pocket import corpus
from auditor.pocket.training.codecs import ChameleonCodec, Codec
from auditor.pocket.training.loop import Plan, best_device, train

CORPUS_SIZE = 60_000
CODES, SIDE, RESOLUTION = 512, 8, 64
SIZES: dict[str, Any] = {
    "embed_dim": 8,
    "num_embeddings": CODES,
    "latent_channels": 32,
    "resolution": RESOLUTION,
    "base_channels": 16,
    "channel_multiplier": [1, 1, 2, 2],
    "num_res_blocks": 1,
    "norm_groups": 4,
}
WARM = 300
"""Steps before there are codes."""
_SAMPLE = 512
"""Pictures whose 64 places each are what k-means sees."""


def trained_file(work: Path) -> Path:
    """Where the trained tokenizer lies, float32."""
    return work / "image_tokens.safetensors"


def load(work: Path) -> Codec:
    """The trained tokenizer."""
    codec = ChameleonCodec.of(SIZES)
    codec.model.load_state_dict(load_file(trained_file(work)))
    return codec.eval()


def as_input(images: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 images (n, 64, 64, 3) as (n, 3, 64, 64) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def reconstruction_loss(shown: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Squared error with a little of the absolute one, which keeps edges."""
    return F.mse_loss(shown, target) + 0.2 * F.l1_loss(shown, target)


@torch.no_grad()
def place_codes(codec: Codec, pictures: torch.Tensor) -> None:
    """Put the codes where k-means finds centres among the encoder's outputs."""
    found = codec.latents(pictures).permute(0, 2, 3, 1).flatten(0, 2).cpu().numpy()
    centres, _ = kmeans2(found, CODES, iter=12, minit="++", rng=np.random.default_rng(3))
    codec.places.copy_(torch.from_numpy(centres))


def quantised_loss(codec: Codec, pictures: torch.Tensor) -> torch.Tensor:
    """What is lost through the codes, and how far codes and encoder are apart (van den Oord et al. 2017, Eq. 3)."""
    latents = codec.latents(pictures)
    codes = codec.embedded(codec.nearest(latents))
    passed = latents + (codes - latents).detach()
    apart = F.mse_loss(codes, latents.detach()) + 0.25 * F.mse_loss(latents, codes.detach())
    return reconstruction_loss(codec.draw(passed), pictures) + apart


@torch.no_grad()
def save(codec: Codec, path: Path, work: Path) -> None:
    """Keep a trained tokenizer, and say how much is lost on pictures never seen."""
    codec.cpu()
    with replacing(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in codec.model.state_dict().items()}, temporary)
    held_out, _ = corpus.build(work / "corpus", 2000, seed=2)
    pictures = as_input(np.array(held_out[:500]))
    codes = codec.encode(pictures)
    error = float(F.mse_loss(codec.decode(codes), pictures))
    figures = {"held_out_mse": error, "codes_used": len(codes.unique())}
    path.with_suffix(".json").write_text(json.dumps(figures))
    print(f"held-out mean squared error on [-1, 1]: {error:.4f}; {figures['codes_used']} of {CODES} codes used")


def main() -> None:
    """Train, save, and say how much is lost on pictures never seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = best_device()
    images, _ = corpus.build(arguments.work / "corpus", CORPUS_SIZE, seed=1)
    codec = ChameleonCodec.of(SIZES).to(device)
    print(f"{sum(p.numel() for p in codec.parameters()) / 1e6:.2f} M parameters")

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([17, step])
        if step == WARM:
            rows = np.sort(rng.choice(CORPUS_SIZE, _SAMPLE, replace=False))
            place_codes(codec, as_input(images[rows]).to(device))
        rows = np.sort(rng.choice(CORPUS_SIZE, arguments.batch, replace=False))
        pictures = as_input(images[rows]).to(device)
        if step >= WARM:
            return quantised_loss(codec, pictures)
        latents = codec.latents(pictures)
        # bounded and smeared, so that codes can stand for it later
        bound = 0.01 * latents.square().mean()
        noise = torch.from_numpy(rng.standard_normal(latents.shape).astype(np.float32)).to(device)
        return torch.as_tensor(reconstruction_loss(codec.draw(latents + 0.1 * noise), pictures) + bound)

    plan = Plan(
        arguments.steps,
        rate=arguments.rate,
        average=0.99,
        weight_decay=0.0,
        checkpoint=arguments.work / "image_tokens.pt",
    )
    trained = train(codec, loss_at, plan, "image tokens")
    assert isinstance(trained, Codec)
    save(trained, trained_file(arguments.work), arguments.work)


if __name__ == "__main__":
    main()
