"""The pocket world's tokenizers: CLIP's and BERT's schemes over its own captions."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import BertTokenizer, CLIPTokenizer

CONTEXT = 32
"""Tokens per caption, start and end included. Captions of the pocket world need at most about twenty."""

_PATTERN = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def build_tokenizer(captions: Iterable[str], folder: Path, vocabulary: int = 900) -> CLIPTokenizer:
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


def build_word_pieces(captions: Iterable[str], folder: Path) -> BertTokenizer:
    """Learn BERT's scheme (lower-cased WordPiece) over the captions, and save it.

    Every whole word of the captions is a piece, and every letter, so that no text in plain letters is unknown.
    """
    words = sorted({word for caption in captions for word in re.findall(r"[a-z]+", caption.lower())})
    letters = sorted(set(string.ascii_lowercase + string.digits) | set(string.punctuation))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{a}" for a in letters)]
    pieces += [word for word in words if len(word) > 1]
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=CONTEXT)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _merges(tokenizer: Tokenizer) -> list[list[str]]:
    import json

    merges: list[list[str]] = json.loads(tokenizer.to_str())["model"]["merges"]
    return merges
