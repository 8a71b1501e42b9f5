"""Pictures and captions in one space (Xu et al. 2018, DAMSM): what the text encoder learns, and a generator's loss.

The published image encoder is an Inception-v3. The one here is a small convolutional net of the same outputs: features
of regions and of the whole, and of an early layer for the perceptual loss, for which the paper takes a VGG-16.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from auditor.generation.controlgan.discriminators import word_context
from auditor.generation.controlgan.word_encoder import TextFeatures

_WORDS_SCALE, _SCORES_SCALE = 5.0, 10.0
"""Gamma 2 and gamma 3 of the authors' settings."""


class Seen(NamedTuple):
    """A picture as the image encoder sees it."""

    early: torch.Tensor
    """(n, width, side / 2, side / 2)."""
    regions: torch.Tensor
    """(n, word_width, side / 8, side / 8)."""
    whole: torch.Tensor
    """(n, word_width)."""


class RegionEncoder(nn.Module):
    """Four convolutions of stride 2; regions are read after the third, the whole after the last."""

    def __init__(self, word_width: int, width: int = 24) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2))
        self.middle = nn.Sequential(
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(4 * width), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.late = nn.Sequential(
            nn.Conv2d(4 * width, 4 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(4 * width), nn.LeakyReLU(0.2)
        )
        self.regions = nn.Conv2d(4 * width, word_width, 1, bias=False)
        self.whole = nn.Linear(4 * width, word_width)

    def forward(self, pictures: torch.Tensor) -> Seen:
        """See pictures (n, 3, side, side) in [-1, 1]."""
        early = self.early(pictures)
        middle = self.middle(early)
        return Seen(early, self.regions(middle), self.whole(self.late(middle).mean(dim=(2, 3))))


def matching_loss(seen: Seen, text: TextFeatures, same: torch.Tensor) -> torch.Tensor:
    """How well pictures and captions of a batch are told to belong together, by words and by sentences.

    Args:
        seen: Of n pictures.
        text: Of their n captions.
        same: (n, n) float, 1 where two have the same caption; all of them count as right.
    """
    sentences = F.normalize(text.sentence, dim=1) @ F.normalize(seen.whole, dim=1).T
    right = same / same.sum(dim=1, keepdim=True)
    scores = (_SCORES_SCALE * sentences, _SCORES_SCALE * word_scores(seen, text))
    return torch.stack([F.cross_entropy(s, right) + F.cross_entropy(s.T, right) for s in scores]).sum()


def word_scores(seen: Seen, text: TextFeatures) -> torch.Tensor:
    """(captions, pictures): log of the mean over words of e to the scaled cosine with what the word finds, by 5."""
    count, images = len(text.words), len(seen.regions)
    words = text.words.repeat_interleave(images, dim=0)
    present = text.present.repeat_interleave(images, dim=0)
    regions = seen.regions.flatten(2).repeat(count, 1, 1)
    cosine = F.cosine_similarity(word_context(words, present, regions), words, dim=1)
    kept = (_WORDS_SCALE * cosine).masked_fill(~present, float("-inf"))
    scores = torch.logsumexp(kept, dim=1) - present.sum(dim=1).log()
    return scores.view(count, images) / _WORDS_SCALE
