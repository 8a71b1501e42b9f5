"""What every encoder offers: one embedding space for images and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class EncoderCalls:
    """Items encoded since construction."""

    images: int = 0
    texts: int = 0


class Encoder(Protocol):
    """Embeds images and texts into one space; every row has length 1."""

    identity: str
    """Digest of weights, configuration and tokenizer: embeddings of equal identity may be mixed."""
    dimension: int
    calls: EncoderCalls

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) uint8 → (n, dimension) float32, L2-normalised."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts → (n, dimension) float32, L2-normalised."""
        ...
