"""The generator: a first small picture from the sentence and noise, then stages that words refine."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from auditor.generation.controlgan.gan_sizes import STEM_SIDE, GanSizes
from auditor.generation.controlgan.word_attention import ChannelAttention, SpatialAttention
from auditor.generation.controlgan.word_encoder import TextFeatures


class Drawn(NamedTuple):
    """One pass of the generator."""

    pictures: list[torch.Tensor]
    """Of each stage, (n, 3, side, side) in [-1, 1]."""
    mean: torch.Tensor
    """(n, condition) of the augmented sentence's distribution."""
    log_variance: torch.Tensor
    """(n, condition)."""


class ConditioningAugmentation(nn.Module):
    """A normal distribution around the sentence, from which the condition is drawn (Zhang et al. 2017, StackGAN)."""

    def __init__(self, word_width: int, condition: int) -> None:
        super().__init__()
        self.project = nn.Linear(word_width, 4 * condition)
        self.gate = nn.GLU(dim=1)

    def forward(self, sentence: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Condition, mean and logarithm of the variance, each (n, condition), from standard normal noise."""
        mean, log_variance = self.gate(self.project(sentence)).chunk(2, dim=1)
        return mean + noise * (0.5 * log_variance).exp(), mean, log_variance


def doubled(channels: int, out: int) -> nn.Sequential:
    """Nearest-neighbour doubling, a 3x3 convolution, batch norm and a gate."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(channels, 2 * out, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * out),
        nn.GLU(dim=1),
    )


class GatedResidual(nn.Module):
    """Two 3x3 convolutions with batch norm, a gate between them, added to what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(2 * channels),
            nn.GLU(dim=1),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Shaped like `hidden`."""
        return hidden + torch.as_tensor(self.layers(hidden))


class FirstStage(nn.Module):
    """From condition and noise to hidden features of the smallest picture."""

    def __init__(self, sizes: GanSizes) -> None:
        super().__init__()
        inner = sizes.stem_channels * STEM_SIDE**2
        self.project = nn.Sequential(
            nn.Linear(sizes.condition + sizes.latent, 2 * inner, bias=False), nn.BatchNorm1d(2 * inner), nn.GLU(dim=1)
        )
        widths = [sizes.stem_channels >> step for step in range(sizes.stem_doublings)] + [sizes.channels]
        self.doublings = nn.Sequential(*(doubled(a, b) for a, b in pairwise(widths)))

    def forward(self, condition: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """(n, channels, side, side)."""
        stem = self.project(torch.cat((condition, latent), dim=1))
        hidden: torch.Tensor = self.doublings(stem.view(len(stem), -1, STEM_SIDE, STEM_SIDE))
        return hidden


class LaterStage(nn.Module):
    """Hidden features, and what the words say to places and channels, to features of twice the size."""

    def __init__(self, side: int, sizes: GanSizes) -> None:
        super().__init__()
        joint = 3 * sizes.channels
        self.places = SpatialAttention(sizes.channels, sizes.word_width)
        self.features = ChannelAttention(side * side, sizes.word_width)
        self.blocks = nn.Sequential(*(GatedResidual(joint) for _ in range(sizes.blocks)))
        self.doubling = doubled(joint, sizes.channels)

    def forward(self, hidden: torch.Tensor, text: TextFeatures) -> torch.Tensor:
        """(n, channels, 2 side, 2 side)."""
        context = self.places(hidden, text.words, text.present)
        channels = self.features(context, text.words, text.present)
        refined: torch.Tensor = self.doubling(self.blocks(torch.cat((hidden, context, channels), dim=1)))
        return refined


class StagedGenerator(nn.Module):
    """All that personalisation fine-tunes; the text encoder stays as it is."""

    def __init__(self, sizes: GanSizes) -> None:
        super().__init__()
        self.augmentation = ConditioningAugmentation(sizes.word_width, sizes.condition)
        self.first = FirstStage(sizes)
        self.later = nn.ModuleList(LaterStage(side, sizes) for side in sizes.sides[:-1])
        self.painters = nn.ModuleList(
            nn.Sequential(nn.Conv2d(sizes.channels, 3, 3, padding=1, bias=False), nn.Tanh()) for _ in sizes.sides
        )

    def forward(self, latent: torch.Tensor, noise: torch.Tensor, text: TextFeatures) -> Drawn:
        """Draw.

        Args:
            latent: (n, latent) standard normal.
            noise: (n, condition) standard normal, of the conditioning augmentation.
            text: Of n captions.
        """
        condition, mean, log_variance = self.augmentation(text.sentence, noise)
        hidden = self.first(condition, latent)
        pictures = [self.painters[0](hidden)]
        for stage, painter in zip(self.later, self.painters[1:], strict=True):
            hidden = stage(hidden, text)
            pictures.append(painter(hidden))
        return Drawn(pictures, mean, log_variance)
