"""What a ControlGAN learns from: a discriminator for each stage, and one that looks at words."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from auditor.generation.controlgan.gan_sizes import STEM_SIDE, GanSizes
from auditor.generation.controlgan.word_attention import masked_softmax
from auditor.generation.controlgan.word_encoder import TextFeatures

_FULL_HALVINGS = 4
"""Up to so many the width doubles each time; pictures that need more are brought back to that width afterwards."""
_SHARPNESS = 4.0
"""Of the attention of a word over regions: gamma 1 of the authors' settings for birds."""
_SCALE = 5.0
"""Of a word's cosine: gamma 2 there."""


class StageDiscriminator(nn.Module):
    """Judges pictures of one stage twice: whether they are real, and whether they are and fit their sentence."""

    def __init__(self, side: int, sizes: GanSizes) -> None:
        super().__init__()
        first, halvings = sizes.critic_channels, (side // STEM_SIDE).bit_length() - 1
        widths = [first << step for step in range(halvings)]
        layers: list[nn.Module] = [nn.Conv2d(3, first, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            layers += _block(before, after, 4, 2)
        while len(widths) > _FULL_HALVINGS:
            layers += _block(widths.pop(), widths[-1], 3, 1)
        width = widths[-1]
        self.trunk = nn.Sequential(*layers)
        self.alone = nn.Conv2d(width, 1, STEM_SIDE)
        self.joint = nn.Sequential(*_block(width + sizes.word_width, width, 3, 1), nn.Conv2d(width, 1, STEM_SIDE))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Features (n, width, 4, 4) of pictures (n, 3, side, side) in [-1, 1]."""
        features: torch.Tensor = self.trunk(pictures)
        return features

    def unconditional(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (n,) of being real."""
        return torch.as_tensor(self.alone(features)).flatten()

    def conditional(self, features: torch.Tensor, sentence: torch.Tensor) -> torch.Tensor:
        """Logits (n,) of being real and of that sentence (n, word_width)."""
        told = sentence[:, :, None, None].expand(-1, -1, STEM_SIDE, STEM_SIDE)
        return torch.as_tensor(self.joint(torch.cat((features, told), dim=1))).flatten()


class WordDiscriminator(nn.Module):
    """How well each word of a caption is seen somewhere in the picture (Li et al. 2019, section 3.3).

    A word attends to the regions; the cosine of what it finds with the word itself is its correlation. The caption's is
    the mean by the words' own weights, from their fit to the mean word. In the published equation those weights scale a
    vector inside a cosine, where they cancel; here they do what the text says they are for.
    """

    def __init__(self, region_width: int, word_width: int) -> None:
        super().__init__()
        self.perception = nn.Conv1d(region_width, word_width, 1, bias=False)

    def forward(self, regions: torch.Tensor, text: TextFeatures) -> torch.Tensor:
        """Logits (n,) of a picture's regions (n, region_width, height, width) showing its caption's words."""
        seen = self.perception(regions.flatten(2))  # (n, word_width, regions)
        found = word_context(text.words, text.present, seen)  # (n, word_width, words)
        middle = text.words.sum(dim=2) / text.present.sum(dim=1, keepdim=True)
        weights = masked_softmax(torch.einsum("nd,ndw->nw", middle, text.words), text.present)
        return _SCALE * (weights * F.cosine_similarity(found, text.words, dim=1)).sum(dim=1)


def word_context(words: torch.Tensor, present: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """What each word finds in the regions: softmax over words, then over regions (Xu et al. 2018, equations 7 to 9).

    Args:
        words: (n, word_width, words).
        present: (n, words) bool.
        seen: (n, word_width, regions).

    Returns:
        (n, word_width, words).
    """
    fit = masked_softmax(torch.einsum("ndr,ndw->nrw", seen, words), present[:, None, :])
    weights = torch.softmax(_SHARPNESS * fit, dim=1)
    return torch.einsum("ndr,nrw->ndw", seen, weights)


def _block(before: int, after: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, kernel, stride, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2),
    ]
