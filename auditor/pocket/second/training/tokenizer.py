"""The pocket world's tokenizer: CLIP's scheme (lower-cased byte-pair encoding) over its own captions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

CONTEXT = 32
"""Tokens per caption, start and end included. Captions of the pocket world need at most about twenty."""

_PATTERN = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def build_tokenizer(captions: Iterable[str], folder: Path, vocabulary: int = 1400) -> CLIPTokenizer:
    """Learn the merges, then save a `CLIPTokenizer` whose last id is the end token.

    The end token must have the highest id: open_clip pools the text tower at the largest id.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator((c.lower() for c in captions), trainer)
    learned = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    # Every byte, inside and at the end of a word, so that no text is unknown.
    tokens = [*alphabet, *(a + "</w>" for a in alphabet)]
    tokens += [t for t, _ in learned if t not in set(tokens)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    merges = [tuple(m) for m in _merges(learner)]
    tokenizer = CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=merges, model_max_length=CONTEXT)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    import json

    merges: list[list[str]] = json.loads(tokenizer.to_str())["model"]["merges"]
    return merges
