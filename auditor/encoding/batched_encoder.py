"""What all encoders of this room share: batches, counts, unit rows, and the digest of weights."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.common.device_memory import in_batches, memory_named
from auditor.encoding.encoder import EncoderCalls


class BatchedEncoder(ABC):
    """An `Encoder` made of two functions on one batch.

    A subclass loads its model, calls `__init__` with the name, and sets `identity` and `dimension`.
    """

    identity: str
    dimension: int

    def __init__(self, name: str, *, device: str, batch_size: int) -> None:
        """Fix how it is run.

        Args:
            name: As messages shall call it.
            device: torch device.
            batch_size: Items per forward pass; halved when the device's memory runs out.
        """
        self.name, self.device, self.batch_size = name, device, batch_size
        self.calls = EncoderCalls()

    @abstractmethod
    def image_features(self, images: NDArray[np.uint8]) -> torch.Tensor:
        """(n, height, width, 3) uint8 → (n, dimension), of any length."""

    @abstractmethod
    def text_features(self, texts: Sequence[str]) -> torch.Tensor:
        """n texts → (n, dimension), of any length."""

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, height, width, 3) uint8 → (n, dimension) float32, L2-normalised.

        Images of the model's own size are normalised as they are; others are resized as its library does.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise ValueError(f"expected (n, height, width, 3) uint8, got {images.shape} {images.dtype}")
        self.calls.images += len(images)
        features = np.zeros((len(images), self.dimension), np.float32)

        def encode(rows: slice) -> None:
            with torch.inference_mode():
                features[rows] = unit_rows(self.image_features(images[rows]))

        with memory_named(f"The encoder {self.name} with one picture"):
            self.batch_size = in_batches(len(images), self.batch_size, encode)
        return features

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts → (n, dimension) float32, L2-normalised. Texts beyond the model's window are cut there."""
        self.calls.texts += len(texts)
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), self.batch_size):
            part = slice(start, min(start + self.batch_size, len(texts)))
            with torch.inference_mode():
                rows[part] = unit_rows(self.text_features(texts[part]))
        return rows


def unit_rows(features: torch.Tensor) -> NDArray[np.float32]:
    """Rows of length 1, in float32 even for a half-precision model, to float32 precision."""
    unit: NDArray[np.float32] = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
    return unit


def add_weights(digest: hashlib.blake2b, model: Any) -> None:
    """Put every tensor of a model into a digest, by name, type, shape and bytes."""
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
