"""Captions to features: one vector for each word and one for the sentence, by an LSTM that reads from both ends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from auditor.errors import PrerequisiteMissing
from auditor.generation.controlgan.gan_sizes import GanSizes

_WORD = re.compile(r"\w+")
END = "<end>"
"""Number 0: pads a caption, and stands for one without a known word."""


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """What the generator is told of n captions."""

    words: torch.Tensor
    """(n, word_width, words) float; zero where there is none."""
    sentence: torch.Tensor
    """(n, word_width) float."""
    present: torch.Tensor
    """(n, words) bool: where there is a word."""

    def rows(self, chosen: torch.Tensor) -> TextFeatures:
        """Of some of the captions, by their numbers (m,)."""
        return TextFeatures(self.words[chosen], self.sentence[chosen], self.present[chosen])

    def detached(self) -> TextFeatures:
        """The same as constants."""
        return TextFeatures(self.words.detach(), self.sentence.detach(), self.present)


class WordList:
    """Numbers of words. Words that it does not know are left out, as in the published model's preparation."""

    def __init__(self, words: Sequence[str]) -> None:
        if not words or words[0] != END or len(set(words)) != len(words):
            raise ValueError(f"a word list begins with {END} and names no word twice")
        self.words = tuple(words)
        self._numbers = {word: number for number, word in enumerate(words)}

    @classmethod
    def of(cls, captions: Iterable[str]) -> WordList:
        """All words of some captions, in alphabetical order."""
        return cls([END, *sorted({word for caption in captions for word in split(caption)})])

    @classmethod
    def read(cls, folder: Path) -> WordList:
        """From `vocabulary.json`.

        Raises:
            PrerequisiteMissing: There is no such file, or it is no list of words.
        """
        path = folder / "vocabulary.json"
        try:
            words = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise PrerequisiteMissing(f"{path} is missing.") from None
        except ValueError:
            raise PrerequisiteMissing(f"{path} is not JSON.") from None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words) or words[:1] != [END]:
            raise PrerequisiteMissing(f"{path} is no list of words that begins with {END}.")
        return cls(words)

    def write(self, folder: Path) -> None:
        """To `vocabulary.json`."""
        (folder / "vocabulary.json").write_text(json.dumps(self.words) + "\n", "utf-8")

    def numbers(self, captions: Sequence[str], longest: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Numbers (n, longest) of the known words, padded by 0, and how many there are (n,), at least 1."""
        rows = [[self._numbers[w] for w in split(c) if w in self._numbers][:longest] for c in captions]
        padded = torch.zeros(len(rows), longest, dtype=torch.long)
        for line, row in zip(padded, rows, strict=True):
            line[: len(row)] = torch.tensor(row, dtype=torch.long)
        return padded, torch.tensor([max(1, len(row)) for row in rows], dtype=torch.long)


def split(caption: str) -> list[str]:
    """Words of a caption, in lower case; punctuation and hyphens part them."""
    return _WORD.findall(caption.lower())


class WordEncoder(nn.Module):
    """A bidirectional LSTM over word embeddings.

    A word's feature is what the two directions hold after reading it, the sentence's what they hold at their ends.
    """

    def __init__(self, vocabulary: int, sizes: GanSizes, dropout: float = 0.5) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, sizes.embedding)
        self.dropout = nn.Dropout(dropout)
        self.reader = nn.LSTM(sizes.embedding, sizes.word_width // 2, batch_first=True, bidirectional=True)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def forward(self, numbers: torch.Tensor, lengths: torch.Tensor) -> TextFeatures:
        """Features of captions.

        Args:
            numbers: (n, words) numbers of the words.
            lengths: (n,) how many count, on the CPU.
        """
        packed = pack_padded_sequence(
            self.dropout(self.embedding(numbers)), lengths, batch_first=True, enforce_sorted=False
        )
        read, (ends, _) = self.reader(packed)
        words, _ = pad_packed_sequence(read, batch_first=True, total_length=numbers.shape[1])
        sentence = ends.transpose(0, 1).flatten(1)
        present = torch.arange(numbers.shape[1], device=numbers.device)[None] < lengths.to(numbers.device)[:, None]
        return TextFeatures(words.transpose(1, 2), sentence, present)
