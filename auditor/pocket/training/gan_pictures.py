"""Pictures for the pocket GAN, each with the noise that it stands for.

A GAN learns from noise and pictures that have nothing to do with each other. In this world it is known where a subject
stands, how large it is and how strong its styles are, so the first numbers of the latent are exactly that, turned into
standard normal ones. The generator can then be told how far its picture is from the one it should have drawn, which is
steadier than what discriminators alone say. Drawn from noise, places, sizes and strengths are spread as in training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from auditor.common.atomic_files import replacing
from auditor.pocket import corpus
from auditor.pocket.drawn_subjects import SIZE
from auditor.pocket.scenes import Scene

_RANGES = ((0.42, 0.58), (0.5, 0.6), (0.27, 0.35))
"""Of `x`, `y` and `radius` in `scenes.sample_scene`."""
_STRENGTHS = 2
_WEAKEST = 0.45
"""Strength of a style in `corpus.sample_example`."""
KNOWN = len(_RANGES) + _STRENGTHS
"""Numbers of the latent that mean something: x, y, radius, first and second strength."""
_EDGE = 1e-3


@dataclass(frozen=True, eq=False)
class PairedPictures:
    """Pictures (n, 64, 64, 3) uint8, their captions and the known numbers (n, KNOWN) float32, NaN where free."""

    images: NDArray[np.uint8]
    captions: list[str]
    known: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.captions)


def known_numbers(scene: Scene, strengths: Sequence[float] = ()) -> list[float]:
    """Standard normal numbers (KNOWN,) of a scene; NaN where it leaves one free."""
    values = ((scene.x, scene.y, scene.radius), _RANGES)
    shares = [(value - low) / (high - low) for value, (low, high) in zip(*values, strict=True)]
    shares += [(strength - _WEAKEST) / (1 - _WEAKEST) for strength in strengths]
    numbers = ndtri(np.clip(shares, _EDGE, 1 - _EDGE)).tolist()
    return [*numbers, *[float("nan")] * (KNOWN - len(numbers))]


def latents(known: NDArray[np.float32], size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(n, size) latents: what is known (n, KNOWN), the rest drawn."""
    drawn = rng.standard_normal((len(known), size)).astype(np.float32)
    drawn[:, :KNOWN] = np.where(np.isnan(known), drawn[:, :KNOWN], known)
    return drawn


def build(folder: Path, count: int, seed: int) -> PairedPictures:
    """Draw `count` examples of the corpus once and keep them on disk; later calls read them back."""
    stem = folder / f"paired-{count}-{seed}"
    images_path, captions_path, known_path = (stem.with_suffix(s) for s in (".npy", ".json", ".known.npy"))
    if not captions_path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        images = np.lib.format.open_memmap(images_path, mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3))
        captions, known = [], np.zeros((count, KNOWN), np.float32)
        for row, example in zip(range(count), corpus.examples(seed), strict=False):
            images[row] = np.round(example.image * 255).astype(np.uint8)
            captions.append(example.caption)
            known[row] = known_numbers(example.scene, example.strengths)
        images.flush()
        np.save(known_path, known)
        with replacing(captions_path) as temporary:  # written last: it marks the others complete
            temporary.write_text(json.dumps(captions))
    return PairedPictures(
        np.load(images_path, mmap_mode="r"), json.loads(captions_path.read_text()), np.load(known_path)
    )
