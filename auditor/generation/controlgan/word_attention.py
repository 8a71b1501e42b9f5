"""How words act on the hidden features of a stage: on places, and on channels.

Equations are those of Li et al. 2019, section 3.2 (channel-wise) and of Xu et al. 2018, AttnGAN (spatial). Both of ours
leave padding out, so that a picture does not depend on the other captions of its batch.
"""

from __future__ import annotations

import torch
from torch import nn


class SpatialAttention(nn.Module):
    """For each place a mixture of the words, by how well each word's projection fits the features there."""

    def __init__(self, channels: int, word_width: int) -> None:
        super().__init__()
        self.project = nn.Conv1d(word_width, channels, 1, bias=False)

    def forward(self, hidden: torch.Tensor, words: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Word context of every place.

        Args:
            hidden: (n, channels, height, width).
            words: (n, word_width, words).
            present: (n, words) bool.

        Returns:
            Shaped like `hidden`.
        """
        told = self.project(words)  # (n, channels, words)
        fit = torch.einsum("ncp,ncw->npw", hidden.flatten(2), told)
        weights = masked_softmax(fit, present[:, None, :])
        return torch.einsum("ncw,npw->ncp", told, weights).reshape(hidden.shape)


class ChannelAttention(nn.Module):
    """For each channel a mixture of the words, each of them spread over the places by a projection.

    As in the authors' code the channels compared with are those of the spatial attention's result; the paper's text
    has the hidden features there.
    """

    def __init__(self, places: int, word_width: int) -> None:
        super().__init__()
        self.project = nn.Conv1d(word_width, places, 1, bias=False)

    def forward(self, context: torch.Tensor, words: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Word context of every channel.

        Args:
            context: (n, channels, height, width), height x width = `places`.
            words: (n, word_width, words).
            present: (n, words) bool.

        Returns:
            Shaped like `context`.
        """
        told = self.project(words)  # (n, places, words)
        fit = torch.einsum("ncp,npw->ncw", context.flatten(2), told)
        weights = masked_softmax(fit, present[:, None, :])
        return torch.einsum("npw,ncw->ncp", told, weights).reshape(context.shape)


def masked_softmax(fit: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Softmax over the last dimension of what is present; at least one must be."""
    return torch.softmax(fit.masked_fill(~present, float("-inf")), dim=-1)
