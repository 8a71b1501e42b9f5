"""Chg2Cap (Chang and Ghamisi, IEEE TIP 2023): one sentence of change for a pair of pictures, before and after.

A shared convolutional net gives a grid of features for each picture, with row and column embeddings. Rounds of
self-attention follow, inside of each picture and then over the two maps joined on channels, with a residual back to the
input. Both maps are joined, the cosine between them at each place is added to every channel, and a convolution and a
residual block bring them to one map. One transformer layer with an extra skip decodes the sentence greedily.

It speaks about a single pair, here the first. How many of the budget's pairs it says an aspect about is its number.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from auditor.evaluation.rivals.pair_captions import END, LONGEST, PAD, START, WORDS, load_captioner, small_cnn, told
from auditor.evaluation.rivals.rival import Evidence, Telling, lines

WIDTH, HEADS, FEED, ROUNDS, SIDE = 48, 4, 128, 2, 4


class Chg2Cap:
    """The trained captioner on the first pair."""

    name = "Chg2Cap-style"
    replaced = (
        "features: a small convolutional net trained along, in place of ResNet-101; data: rendered pairs and "
        "sentences made from their styles; two rounds of attention in place of three; size"
    )

    def explain(self, evidence: Evidence) -> Telling:
        """Say a sentence about every pair; tell the first, count the others."""
        sentences = told(load_captioner("chg2cap", captioner()), evidence.base, evidence.shown)
        named = [{evidence.lexicon.canonical(word) for word in sentence.split()} for sentence in sentences]
        share = {name: sum(name in words for words in named) / len(named) for name in evidence.lexicon.names}
        text = "" if sentences[0] == "nothing changed" else lines([sentences[0]])
        return Telling(text, {"share of pairs": share})


class ChangeCaptioner(nn.Module):
    """The network; see the module's head."""

    def __init__(self) -> None:
        super().__init__()
        self.grid = small_cnn(WIDTH)
        self.row = nn.Parameter(0.02 * torch.randn(SIDE, 1, WIDTH))
        self.column = nn.Parameter(0.02 * torch.randn(1, SIDE, WIDTH))
        self.inside = nn.ModuleList([_encoder(WIDTH) for _ in range(ROUNDS)])
        self.joined = nn.ModuleList([_encoder(2 * WIDTH) for _ in range(ROUNDS)])
        self.fuse = nn.Conv2d(2 * WIDTH, WIDTH, 1)
        self.block = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.GELU(), nn.Conv2d(WIDTH, WIDTH, 1), nn.GroupNorm(8, WIDTH)
        )
        self.word = nn.Embedding(len(WORDS), WIDTH)
        self.word_place = nn.Parameter(0.02 * torch.randn(LONGEST, WIDTH))
        self.decoder = nn.TransformerDecoderLayer(WIDTH, HEADS, FEED, dropout=0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(WIDTH, len(WORDS))

    def change(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """One map of the change (n, 16, WIDTH)."""
        place = (self.row + self.column).reshape(SIDE * SIDE, WIDTH)
        first, second = (self.grid(image).flatten(2).transpose(1, 2) + place for image in (before, after))
        kept = first, second
        for inside, joined in zip(self.inside, self.joined, strict=True):
            first, second = joined(torch.cat([inside(first), inside(second)], -1)).chunk(2, -1)
            first, second = first + kept[0], second + kept[1]
        like = F.cosine_similarity(first, second, dim=-1).unsqueeze(-1)
        both = (torch.cat([first, second], -1) + like).transpose(1, 2).unflatten(2, (SIDE, SIDE))
        fused = self.fuse(both)
        done: torch.Tensor = F.gelu(fused + self.block(fused)).flatten(2).transpose(1, 2)
        return done

    def scores(self, change: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Scores (n, k, vocabulary) of the word after each of `words` (n, k)."""
        texts = self.word(words) + self.word_place[: words.shape[1]]
        later = nn.Transformer.generate_square_subsequent_mask(words.shape[1], device=words.device)
        decoded: torch.Tensor = self.head(self.decoder(texts, change, tgt_mask=later) + texts)
        return decoded

    def loss(self, before: torch.Tensor, after: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of every word, given those before it."""
        start = torch.full((len(tokens), 1), WORDS.index(START), device=tokens.device)
        found = self.scores(self.change(before, after), torch.cat([start, tokens[:, :-1]], 1))
        return F.cross_entropy(found.flatten(0, 1), tokens.flatten(), ignore_index=WORDS.index(PAD))

    def greedy(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Likeliest words one after the other (n, at most LONGEST)."""
        change = self.change(before, after)
        words = torch.full((len(before), 1), WORDS.index(START), device=before.device)
        for _ in range(LONGEST):
            words = torch.cat([words, self.scores(change, words)[:, -1].argmax(1, keepdim=True)], 1)
            if (words == WORDS.index(END)).any(1).all():
                break
        return words[:, 1:]


def captioner() -> ChangeCaptioner:
    """The network with fresh weights."""
    return ChangeCaptioner()


def _encoder(width: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(width, HEADS, FEED, dropout=0.0, batch_first=True, norm_first=True)
