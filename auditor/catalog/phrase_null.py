"""What random letters mean to a text encoder: the null that a free phrase is held against.

Embedding it takes far longer than a question: 39 strings in every prompt of the probes. It depends on the encoder, the
prompts and the number of words alone, so it is kept in the user's cache, `$XDG_CACHE_HOME/auditor/phrase-null`
(`~/.cache` when unset). A file that is not what was written is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from auditor.common.atomic_files import replacing

log = structlog.get_logger(__name__)
STRINGS = 39
MOST_WORDS = 6
"""Longer phrases are compared with strings of this many words."""
_LENGTHS = (3, 9)
"""Letters of a word, from and to."""


def random_words(words: int, count: int = STRINGS) -> list[str]:
    """Strings of so many words of random letters, the same ones every time."""
    generator = np.random.default_rng(words)
    letters = list("abcdefghijklmnopqrstuvwxyz")

    def word() -> str:
        return "".join(generator.choice(letters, size=int(generator.integers(*_LENGTHS, endpoint=True))))

    return [" ".join(word() for _ in range(words)) for _ in range(count)]


def null_vectors(
    phrase: str, identity: Sequence[object], embed: Callable[[Sequence[str]], NDArray[np.floating]]
) -> NDArray[np.float64]:
    """f(C) of random letters (39, D) with as many words as a phrase, as it was kept or is made now.

    Args:
        phrase: As typed.
        identity: What the vectors depend on: encoder, prompts, template.
        embed: Makes f(C) of texts (k, D).
    """
    words = min(max(1, len(phrase.split())), MOST_WORDS)
    name = hashlib.sha256(json.dumps([STRINGS, _LENGTHS, words, *identity]).encode()).hexdigest()
    path = _folder() / f"{name[:32]}.npy"
    if (kept := _read(path)) is not None:
        return kept
    made = np.asarray(embed(random_words(words)), dtype=np.float32)
    try:
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, made)
    except OSError as error:  # a full or read-only disk costs the next question its time, and this one nothing
        log.info("not kept", path=str(path), error=str(error))
    return made.astype(np.float64)


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "auditor" / "phrase-null"


def _read(path: Path) -> NDArray[np.float64] | None:
    try:
        with path.open("rb") as stream:
            # np.load would also try an archive, whose errors are others
            found = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = found.dtype == np.float32 and found.ndim == 2 and len(found) == STRINGS and np.isfinite(found).all()
    return found.astype(np.float64) if whole else None
