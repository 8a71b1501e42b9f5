"""Diff Caption (Yao, Wang and Jin, AAAI 2022): one sentence on what differs between the two pictures of one pair.

Grid features of each picture with position and segment embeddings and a class token go through one layer of
self-attention inside of each picture and one over both; a cross-modal transformer then reads them together with the
words. Words are predicted one at a time in the place of a mask that is put after the words so far, and a second task
pulls a pair's two class tokens towards its sentence and away from the other sentences of the batch.

It speaks about a single pair, here the first. How many of the budget's pairs it says an aspect about is its number.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from auditor.evaluation.rivals.pair_captions import (
    END,
    LONGEST,
    MASK,
    PAD,
    START,
    WORDS,
    load_captioner,
    small_cnn,
    told,
)
from auditor.evaluation.rivals.rival import Evidence, Telling, lines

WIDTH, HEADS, FEED, CROSS_LAYERS, PLACES = 64, 4, 128, 2, 16


class DiffCaption:
    """The trained captioner on the first pair."""

    name = "Diff Caption-style"
    replaced = (
        "features: a small convolutional net trained along, in place of ResNet-101; data: rendered pairs and "
        "sentences made from their styles; of the pre-training tasks the alignment alone; size"
    )

    def explain(self, evidence: Evidence) -> Telling:
        """Say a sentence about every pair; tell the first, count the others."""
        sentences = told(load_captioner("diff_caption", captioner()), evidence.base, evidence.shown)
        named = [{evidence.lexicon.canonical(word) for word in sentence.split()} for sentence in sentences]
        share = {name: sum(name in words for words in named) / len(named) for name in evidence.lexicon.names}
        text = "" if sentences[0] == "nothing changed" else lines([sentences[0]])
        return Telling(text, {"share of pairs": share})


class DiffCaptioner(nn.Module):
    """The network; see the module's head."""

    def __init__(self) -> None:
        super().__init__()
        self.grid = small_cnn(WIDTH)
        self.project = nn.Linear(WIDTH, WIDTH)
        self.place = nn.Parameter(0.02 * torch.randn(PLACES + 1, WIDTH))
        self.segment = nn.Parameter(0.02 * torch.randn(3, WIDTH))
        self.marks = nn.Parameter(0.02 * torch.randn(2, WIDTH))
        self.word = nn.Embedding(len(WORDS), WIDTH)
        self.word_place = nn.Parameter(0.02 * torch.randn(LONGEST + 2, WIDTH))
        self.inside, self.across = _layer(), _layer()
        self.cross = nn.ModuleList([_layer() for _ in range(CROSS_LAYERS)])
        self.head = nn.Linear(WIDTH, len(WORDS))

    def pictures(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Tokens of both pictures (n, 2 * 17, WIDTH); each begins with its class token."""
        sides = []
        for number, image in enumerate((before, after)):
            cells = torch.sigmoid(self.project(self.grid(image).flatten(2).transpose(1, 2)))
            mark = self.marks[number].expand(len(image), 1, WIDTH)
            sides.append(self.inside(torch.cat([mark, cells], 1) + self.place + self.segment[number]))
        both: torch.Tensor = self.across(torch.cat(sides, 1))
        return both

    def next_word(self, seen: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Scores (n, vocabulary) of the word in the place of a mask after `words` (n, k)."""
        mask = torch.full((len(words), 1), WORDS.index(MASK), device=words.device)
        texts = self.word(torch.cat([words, mask], 1)) + self.word_place[: words.shape[1] + 1] + self.segment[2]
        tokens = torch.cat([seen, texts], 1)
        for layer in self.cross:
            tokens = layer(tokens)
        scores: torch.Tensor = self.head(tokens[:, -1])
        return scores

    def loss(self, before: torch.Tensor, after: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of words at one random place for the batch, and the alignment of pairs with sentences."""
        seen = self.pictures(before, after)
        start = torch.full((len(tokens), 1), WORDS.index(START), device=tokens.device)
        longest = int((tokens != WORDS.index(PAD)).sum(1).max())
        words = torch.zeros((), device=tokens.device)
        for place in torch.randperm(longest)[:2].tolist():
            scores = self.next_word(seen, torch.cat([start, tokens[:, :place]], 1))
            left = tokens[:, place] != WORDS.index(PAD)
            if left.any():
                words = words + F.cross_entropy(scores[left], tokens[left, place])
        mean = F.normalize(seen[:, 0] + seen[:, PLACES + 1], dim=-1)
        spoken = (tokens != WORDS.index(PAD)).unsqueeze(-1).float()
        text = F.normalize((self.word(tokens) * spoken).sum(1) / spoken.sum(1), dim=-1)
        same = (tokens[:, None] == tokens[None]).all(-1).float()
        return words / 2 + 0.3 * F.cross_entropy(10 * mean @ text.T, same / same.sum(1, keepdim=True))

    def greedy(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Likeliest words one after the other (n, at most LONGEST)."""
        seen = self.pictures(before, after)
        words = torch.full((len(before), 1), WORDS.index(START), device=before.device)
        for _ in range(LONGEST):
            words = torch.cat([words, self.next_word(seen, words).argmax(1, keepdim=True)], 1)
            if (words == WORDS.index(END)).any(1).all():
                break
        return words[:, 1:]


def captioner() -> DiffCaptioner:
    """The network with fresh weights."""
    return DiffCaptioner()


def _layer() -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(WIDTH, HEADS, FEED, dropout=0.0, batch_first=True, norm_first=True)
