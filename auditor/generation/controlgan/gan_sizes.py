"""Sizes of a ControlGAN, from the published ones down to a model that a CPU trains in minutes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from auditor.errors import PrerequisiteMissing, UserError

STEM_SIDE = 4
"""Height and width of the map that the first stage begins with, as published."""
CLASS_NAME = "ControlGan"
_LARGEST = {"picture": 1024, "stages": 6, "blocks": 16, "words": 512}
_LARGEST_WIDTH = 8192


@dataclass(frozen=True)
class GanSizes:
    """What decides every shape of the model.

    Attributes:
        picture: Height and width of the last stage's picture, pixels.
        stages: Pictures on the way, each twice as large as the one before.
        channels: Hidden channels between stages.
        stem_channels: Channels of the first stage's 4x4 map; halved each time that the map is doubled.
        blocks: Residual blocks of each stage after the first.
        latent: Numbers of noise.
        condition: Numbers of the augmented sentence.
        embedding: Width of word embeddings.
        word_width: Width of word and sentence features.
        words: Words of a caption that count.
        critic_channels: Channels of a discriminator's first layer.
    """

    picture: int
    stages: int
    channels: int
    stem_channels: int
    blocks: int
    latent: int
    condition: int
    embedding: int
    word_width: int
    words: int
    critic_channels: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value, largest = getattr(self, field.name), _LARGEST.get(field.name, _LARGEST_WIDTH)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
                raise UserError(
                    f"The GAN's {field.name} must be a whole number from 1 to {largest}, not {value!r:.40}."
                )
        doublings = self.stem_doublings
        if doublings < 1 or STEM_SIDE * 2 ** (doublings + self.stages - 1) != self.picture:
            raise UserError(
                f"{self.stages} stages do not lead to pictures of {self.picture} pixels: the first must be 8, 16, 32 …"
            )
        if self.stem_channels % 2 ** (doublings - 1):
            raise UserError(f"{self.stem_channels} channels cannot be halved {doublings - 1} times.")
        if self.word_width % 2:
            raise UserError("The width of word features must be even: half is read from each end of the sentence.")

    @property
    def stem_doublings(self) -> int:
        """How often the first stage doubles its map."""
        return (self.sides[0] // STEM_SIDE).bit_length() - 1

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width of each stage's picture."""
        return tuple(self.picture >> (self.stages - 1 - stage) for stage in range(self.stages))


PUBLISHED = GanSizes(
    picture=256, stages=3, channels=32, stem_channels=512, blocks=2, latent=100, condition=100, embedding=300,
    word_width=256, words=18, critic_channels=64,
)  # fmt: skip
"""Of the authors' model for birds."""


def read_sizes(folder: Path) -> GanSizes:
    """The sizes in a folder's `config.json`.

    Raises:
        PrerequisiteMissing: There is no such file.
        UserError: It is not a ControlGAN's, or its sizes lead nowhere.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise PrerequisiteMissing(f"There is no GAN in {folder}: config.json is missing.")
    try:
        known = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise UserError(f"{path} is not JSON.") from None
    if not isinstance(known, dict) or known.get("_class_name") != CLASS_NAME:
        raise UserError(f"{path} does not describe a model of class {CLASS_NAME}.")
    missing = [field.name for field in fields(GanSizes) if field.name not in known]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}.")
    return GanSizes(**{field.name: known[field.name] for field in fields(GanSizes)})


def write_sizes(sizes: GanSizes, folder: Path) -> None:
    """Write `config.json`."""
    text = json.dumps({"_class_name": CLASS_NAME, **asdict(sizes)}, indent=2)
    (folder / "config.json").write_text(text + "\n", "utf-8")
