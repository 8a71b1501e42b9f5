"""Train the pocket GAN: a small ControlGAN that draws the pocket's captions.

    python -m auditor.pocket.training.gan --out weights/gan --work .auditor/training

First the text encoder, with an image encoder beside it that only the training needs; then the generator with its
discriminators. Some forty minutes on one CPU core; a GPU is used when there is one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from auditor.generation.controlgan.gan_folder import stored, write_folder
from auditor.generation.controlgan.gan_sizes import GanSizes
from auditor.generation.controlgan.text_matching import RegionEncoder, matching_loss
from auditor.generation.controlgan.word_encoder import TextFeatures, WordEncoder, WordList
from auditor.pocket.training import gan_pictures
from auditor.pocket.training.gan_losses import (
    Learner,
    LossWeights,
    discriminator_loss,
    generator_terms,
    slope_penalty,
)
from auditor.pocket.training.loop import Plan, best_device, train

SIZES = GanSizes(
    picture=64, stages=3, channels=16, stem_channels=48, blocks=1, latent=16, condition=24, embedding=32,
    word_width=32, words=16, critic_channels=16,
)  # fmt: skip
CORPUS_SIZE = 30_000
DROPOUT = 0.1
SLOPE_EVERY = 8


class MatchingEncoders(nn.Module):
    """Text and image encoder, which learn together."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.text = WordEncoder(vocabulary, SIZES, DROPOUT)
        self.image = RegionEncoder(SIZES.word_width)


class NumberedCaptions:
    """Captions as numbers, on a device."""

    def __init__(self, words: WordList, captions: Sequence[str], device: torch.device) -> None:
        numbers, self.lengths = words.numbers(captions, SIZES.words)
        self.numbers = numbers.to(device)

    def read(self, encoder: WordEncoder, rows: np.ndarray) -> TextFeatures:
        """Features of some of them."""
        features: TextFeatures = encoder(self.numbers[rows], self.lengths[rows])
        return features

    def same(self, rows: np.ndarray) -> torch.Tensor:
        """(n, n) float, 1 where two are the same."""
        chosen = self.numbers[rows]
        return (chosen[:, None] == chosen[None]).all(dim=-1).float()


def pixels(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """(n, 3, side, side) in [-1, 1] of images (n, side, side, 3) uint8."""
    moved = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2)
    return moved.to(dtype=torch.float32, memory_format=torch.channels_last) / 127.5 - 1


def learn_to_match(
    pictures: gan_pictures.PairedPictures, captions: NumberedCaptions, vocabulary: int, plan: Plan, batch: int
) -> MatchingEncoders:
    """Train text and image encoder."""
    device = best_device()
    matcher = MatchingEncoders(vocabulary).to(device)

    def loss_at(step: int) -> torch.Tensor:
        rows = np.sort(np.random.default_rng([31, step]).choice(len(pictures), batch, replace=False))
        seen = matcher.image(pixels(pictures.images[rows], device))
        return matching_loss(seen, captions.read(matcher.text, rows), captions.same(rows))

    trained = train(matcher, loss_at, plan, "gan text")
    assert isinstance(trained, MatchingEncoders)
    return trained.requires_grad_(False)


def learn_to_draw(
    pictures: gan_pictures.PairedPictures, captions: NumberedCaptions, matcher: MatchingEncoders, plan: Plan, batch: int
) -> Learner:
    """Train generator and discriminators."""
    device, weights = best_device(), LossWeights()
    learner = Learner(SIZES).to(device).to(memory_format=torch.channels_last)

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([37, step])
        rows = np.sort(rng.choice(len(pictures), batch, replace=False))
        real = pixels(pictures.images[rows], device)
        with torch.no_grad():
            text = captions.read(matcher.text, rows)
        latent = torch.from_numpy(gan_pictures.latents(pictures.known[rows], SIZES.latent, rng)).to(device)
        noise = torch.from_numpy(rng.standard_normal((batch, SIZES.condition)).astype(np.float32)).to(device)
        drawn = learner.generator(latent, noise, text)
        terms = generator_terms(learner, drawn, real, text, matcher.image, captions.same(rows))
        total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        total = total + discriminator_loss(learner, drawn, real, text, matcher.image)
        if step % SLOPE_EVERY == 0:
            total = total + weights.slope * SLOPE_EVERY * slope_penalty(learner, real)
        if (step + 1) % 50 == 0:
            print("  " + " ".join(f"{name} {float(term):.4f}" for name, term in terms.items()), flush=True)
        return total

    trained = train(learner, loss_at, plan, "gan")
    assert isinstance(trained, Learner)
    return trained


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--text-steps", type=int, default=1200)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate of generator and discriminators")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    pictures = gan_pictures.build(arguments.work / "corpus", CORPUS_SIZE, seed=41)
    words = WordList.of(pictures.captions)
    captions = NumberedCaptions(words, pictures.captions, best_device())
    text_plan = Plan(
        arguments.text_steps, 2e-3, weight_decay=0.0, average=0.99, checkpoint=arguments.work / "gan-text.pt"
    )
    matcher = learn_to_match(pictures, captions, len(words.words), text_plan, 48)
    plan = Plan(
        arguments.steps,
        arguments.rate,
        weight_decay=0.0,
        average=0.998,
        checkpoint=arguments.work / "gan.pt",
        every=100,
    )
    learner = learn_to_draw(pictures, captions, matcher, plan, arguments.batch)
    write_folder(arguments.out, SIZES, words, stored(learner.generator), matcher.text)


if __name__ == "__main__":
    main()
