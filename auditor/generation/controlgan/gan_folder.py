"""A ControlGAN in a folder: `config.json`, `vocabulary.json`, and the weights of generator and text encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from auditor.errors import PrerequisiteMissing
from auditor.generation.controlgan.gan_sizes import GanSizes, write_sizes
from auditor.generation.controlgan.staged_generator import StagedGenerator
from auditor.generation.controlgan.word_encoder import TextFeatures, WordEncoder, WordList

GENERATOR_FILE, TEXT_FILE = "model.safetensors", "text_encoder.safetensors"


def noise_of(seed: int, sizes: GanSizes) -> tuple[torch.Tensor, torch.Tensor]:
    """Latent (latent,) and noise of the conditioning augmentation (condition,) of a picture, float32."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(sizes.latent, generator=source), torch.randn(sizes.condition, generator=source)


def read_captions(words: WordList, encoder: WordEncoder, captions: Sequence[str], sizes: GanSizes) -> TextFeatures:
    """Features of captions, on the encoder's device."""
    numbers, lengths = words.numbers(captions, sizes.words)
    features: TextFeatures = encoder(numbers.to(encoder.embedding.weight.device), lengths)
    return features


def open_generator(folder: Path, sizes: GanSizes) -> StagedGenerator:
    """The generator of a folder, float32, in evaluation mode.

    Raises:
        PrerequisiteMissing: Its file is missing, cut off or of another architecture.
    """
    generator = StagedGenerator(sizes)
    _load(generator, folder / GENERATOR_FILE)
    return generator


def open_text(folder: Path, sizes: GanSizes) -> tuple[WordList, WordEncoder]:
    """Vocabulary and text encoder of a folder, float32, in evaluation mode.

    Raises:
        PrerequisiteMissing: A file is missing, cut off or of another architecture.
    """
    words = WordList.read(folder)
    encoder = WordEncoder(len(words.words), sizes)
    _load(encoder, folder / TEXT_FILE)
    return words, encoder


def _load(module: nn.Module, path: Path) -> None:
    """Fill a module from a file that holds each of its floating-point tensors, and nothing else."""
    own = module.state_dict()
    counters = {name: value for name, value in own.items() if not value.is_floating_point()}
    try:
        stored = load_file(path)
        module.load_state_dict({name: value.float() for name, value in stored.items()} | counters)
    except FileNotFoundError:
        raise PrerequisiteMissing(f"{path} is missing.") from None
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise PrerequisiteMissing(f"{path} does not hold the weights that config.json describes: {reason}") from None
    module.eval()


def write_folder(
    folder: Path, sizes: GanSizes, words: WordList, generator: Mapping[str, torch.Tensor], text: WordEncoder
) -> None:
    """Write a whole base.

    Args:
        folder: Made when it is missing.
        sizes: Of generator and text encoder.
        words: The vocabulary.
        generator: Its weights and running statistics, as they are to be stored.
        text: Stored in the same number format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_sizes(sizes, folder)
    words.write(folder)
    save_file(dict(generator), folder / GENERATOR_FILE)
    save_file(stored(text, next(iter(generator.values())).dtype), folder / TEXT_FILE)


def stored(module: nn.Module, number_format: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    """Weights and running statistics of a module on the CPU; counters, which draw nothing, are left out."""
    tensors = {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
    return {name: value.detach().to("cpu", number_format, copy=True).contiguous() for name, value in tensors.items()}
