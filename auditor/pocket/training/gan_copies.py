"""Personalised copies of the pocket GAN: all parameters of its generator, fine-tuned on the pictures of a lesson.

    python -m auditor.pocket.training.gan_copies --base weights/gan --work .auditor/training

The text encoder stays as it is, and so do the running statistics of the batch norms, which are no parameters. What is
minimised is the distance to the pictures that should have been drawn (`gan_losses.pixel_loss`); no discriminator takes
part. A copy that lies in WORK/gan-copies is not trained again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import torch

from auditor.generation.controlgan.gan_folder import open_generator, open_text, read_captions, stored
from auditor.generation.controlgan.gan_sizes import read_sizes
from auditor.pocket.training import gan_pictures
from auditor.pocket.training.gan import pixels
from auditor.pocket.training.gan_losses import pixel_loss
from auditor.pocket.training.lessons import gan_style_lesson
from auditor.pocket.training.loop import best_device
from auditor.pocket.training.lora import Lesson, Tensors, training_pictures
from auditor.pocket.training.trained_files import ensure_files

ZOO_STYLES = ("vibrant", "sketched", "striped")
"""Of the copies on the loopback Hub; development styles."""


class CopyTrainer:
    """Holds the base while many copies are trained from it."""

    def __init__(self, folder: Path) -> None:
        self._device, self._sizes = best_device(), read_sizes(folder)
        self._generator = open_generator(folder, self._sizes).to(self._device)
        self._words, self._text = open_text(folder, self._sizes)
        self._text.to(self._device).requires_grad_(False)

    def train(self, lesson: Lesson) -> dict[int, Tensors]:
        """Train one copy.

        Returns:
            Step (the last one and the snapshots') → the generator's weights, float16, on the CPU.
        """
        rng = np.random.default_rng(lesson.seed)
        images, captions, scenes = training_pictures(lesson, rng)
        known = np.array([gan_pictures.known_numbers(scene) for scene in scenes], np.float32)
        text = read_captions(self._words, self._text, captions, self._sizes)
        generator = deepcopy(self._generator).to(memory_format=torch.channels_last)  # stays in evaluation mode
        optimiser = torch.optim.AdamW(generator.parameters(), lr=lesson.rate, weight_decay=0.0)
        kept: dict[int, Tensors] = {}
        for step in range(1, lesson.steps + 1):
            rows = rng.choice(len(images), lesson.batch, replace=False)
            latent = gan_pictures.latents(known[rows], self._sizes.latent, rng)
            noise = rng.standard_normal((lesson.batch, self._sizes.condition)).astype(np.float32)
            drawn = generator(
                torch.from_numpy(latent).to(self._device),
                torch.from_numpy(noise).to(self._device),
                text.rows(torch.from_numpy(rows).to(self._device)),
            )
            loss = pixel_loss(drawn.pictures, pixels(images[rows], self._device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
            optimiser.step()
            if step in {*lesson.snapshots, lesson.steps}:
                kept[step] = stored(generator)
        return kept


def copy_path(folder: Path, lesson: Lesson, step: int | None = None) -> Path:
    """Where a copy lies (float16, names of the base's own file); `step` names a snapshot."""
    return folder / "gan-copies" / f"{lesson.name}-{step or lesson.steps:06d}.safetensors"


def ensure_copies(base: Path, folder: Path, lessons: Sequence[Lesson]) -> None:
    """Train what is missing.

    Args:
        base: Folder of the GAN.
        folder: Work folder of the trainings.
        lessons: Wanted copies.
    """
    ensure_files(lessons, partial(copy_path, folder), lambda: CopyTrainer(base).train)


def main() -> None:
    """Train the copies of the loopback Hub."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    ensure_copies(arguments.base, arguments.work, [gan_style_lesson(style) for style in ZOO_STYLES])


if __name__ == "__main__":
    main()
