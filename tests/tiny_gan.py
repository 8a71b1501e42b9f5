"""A small ControlGAN of random weights, in the folder layout of a base."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from auditor.generation.controlgan.gan_folder import stored, write_folder
from auditor.generation.controlgan.gan_sizes import PUBLISHED, GanSizes
from auditor.generation.controlgan.staged_generator import StagedGenerator
from auditor.generation.controlgan.word_encoder import WordEncoder, WordList

CAPTIONS = ("a red boat on sand", "a blue house on grass, watercolor", "a green tree")
SIZES = replace(
    PUBLISHED, picture=32, stages=3, channels=4, stem_channels=8, blocks=1, latent=6, condition=5, embedding=8,
    word_width=8, words=8, critic_channels=4,
)  # fmt: skip


def write_gan(folder: Path, sizes: GanSizes = SIZES, seed: int = 0) -> Path:
    """Write it; running statistics are random too, so that every tensor draws."""
    torch.manual_seed(seed)
    words = WordList.of(CAPTIONS)
    generator = StagedGenerator(sizes)
    for name, value in generator.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.startswith("painters"):
            value.mul_(10)  # else all pictures are grey
    text = WordEncoder(len(words.words), sizes)
    write_folder(folder, sizes, words, stored(generator, torch.float32), text)
    return folder
