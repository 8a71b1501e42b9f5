"""Train the pocket GAN: a small ControlGAN that draws the pocket's captions.

    python -m auditor.pocket.training.gan --out weights/gan --work .auditor/training

First the text encoder, with an image encoder beside it that only the training needs; then the generator with its
discriminators. Some twenty minutes on one idle CPU core; a GPU is used when there is one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from torch import nn

from auditor.generation.controlgan.gan_folder import open_generator, open_text, stored, write_folder
from auditor.generation.controlgan.gan_sizes import GanSizes
from auditor.generation.controlgan.staged_generator import StagedGenerator
from auditor.generation.controlgan.text_matching import RegionEncoder, matching_loss
from auditor.generation.controlgan.word_encoder import TextFeatures, WordEncoder, WordList
from auditor.pocket.training import gan_pictures
from auditor.pocket.training.gan_losses import (
    Learner,
    LossWeights,
    discriminator_loss,
    judged_terms,
    paired_terms,
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
JUDGED_FROM, JUDGED_RAMP = 0.8, 0.1
"""Share of the steps after which discriminators join, and share over which the generator comes to heed them."""


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
    pictures: gan_pictures.PairedPictures,
    captions: NumberedCaptions,
    matcher: MatchingEncoders,
    plan: Plan,
    batch: int,
    start: Path | None = None,
) -> Learner:
    """Train generator and discriminators; `start` is a folder whose generator to go on from."""
    device, weights = best_device(), LossWeights()
    generator = StagedGenerator(SIZES) if start is None else open_generator(start, SIZES)
    start_quietly(generator)
    text_encoder = deepcopy(matcher.text if start is None else open_text(start, SIZES)[1]).requires_grad_(True)
    text_encoder.dropout.p = 0.0
    learner = Learner(SIZES, generator, text_encoder).to(device).to(memory_format=torch.channels_last)

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([37, step])
        rows = np.sort(rng.choice(len(pictures), batch, replace=False))
        real = pixels(pictures.images[rows], device)
        text = captions.read(learner.text, rows)
        latent = torch.from_numpy(gan_pictures.latents(pictures.known[rows], SIZES.latent, rng)).to(device)
        noise = torch.from_numpy(rng.standard_normal((batch, SIZES.condition)).astype(np.float32)).to(device)
        drawn = learner.generator(latent, noise, text)
        terms = paired_terms(drawn, real, matcher.image)
        total = _weighted(terms, weights)
        if step >= JUDGED_FROM * plan.steps:
            told = text.detached()
            judged = judged_terms(learner, drawn, told, matcher.image, captions.same(rows))
            ramp = min(1.0, (step / plan.steps - JUDGED_FROM) / JUDGED_RAMP)
            total = total + ramp * _weighted(judged, weights)
            total = total + discriminator_loss(learner, drawn, real, told, matcher.image)
            terms |= judged
            if step % SLOPE_EVERY == 0:
                total = total + weights.slope * SLOPE_EVERY * slope_penalty(learner, real)
        if (step + 1) % 50 == 0:
            print("  " + " ".join(f"{name} {term.item():.4f}" for name, term in terms.items()), flush=True)
        return total

    trained = train(learner, loss_at, plan, "gan")
    assert isinstance(trained, Learner)
    return trained


def _weighted(terms: Mapping[str, torch.Tensor], weights: LossWeights) -> torch.Tensor:
    return torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()


def start_quietly(generator: StagedGenerator) -> None:
    """Let the conditioning augmentation begin with a deviation of about e^-2, not 1, so that the sentence is heard."""
    bias, size = generator.augmentation.project.bias, SIZES.condition
    with torch.no_grad():
        bias[size : 2 * size] = -5.0  # times the sigmoid of the next: about -4
        bias[3 * size :] = 1.4


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--from", dest="start", type=Path, help="finished GAN to go on from")
    parser.add_argument("--text-steps", type=int, default=800)
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate of generator and discriminators")
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
    learner = learn_to_draw(pictures, captions, matcher, plan, arguments.batch, arguments.start)
    write_folder(arguments.out, SIZES, words, stored(learner.generator), learner.text)


if __name__ == "__main__":
    main()
