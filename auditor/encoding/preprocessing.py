"""Resize and normalise images as open_clip does, straight from arrays: no files, no PIL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F

from auditor.errors import UserError

ResizeMode = Literal["shortest", "squash"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The part of an open_clip preprocessing configuration that matters for evaluation."""

    size: tuple[int, int]
    """Height and width that the model takes."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize_mode: ResizeMode = "shortest"

    @classmethod
    def from_model(cls, model: Any) -> Preprocessing:
        """Read what open_clip attached to a model's image tower.

        Raises:
            UserError: The configuration asks for a way of resizing that is not implemented here.
        """
        config = model.visual.preprocess_cfg
        size, mode, interpolation = config["size"], config["resize_mode"], config["interpolation"]
        if mode not in ("shortest", "squash") or interpolation not in ("bicubic", "bilinear"):
            raise UserError(f"An encoder that resizes by {mode!r}, {interpolation!r} is not supported.")
        height, width = (size, size) if isinstance(size, int) else size
        return cls((height, width), tuple(config["mean"]), tuple(config["std"]), interpolation, mode)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(n, height, width, 3) uint8 → (n, 3, *size) float32, normalised."""
        pixels = images.permute(0, 3, 1, 2).float()  # (n, 3, h, w)
        if tuple(pixels.shape[2:]) != self.size:
            pixels = self._crop(self._resize(pixels))
        return (pixels / 255 - _channels(self.mean, pixels)) / _channels(self.std, pixels)

    def _resize(self, pixels: torch.Tensor) -> torch.Tensor:
        target = self.size
        if self.resize_mode == "shortest":
            height, width = pixels.shape[2:]
            factor = max(self.size[0] / height, self.size[1] / width)
            # PIL's route truncates the longer side
            target = (max(int(height * factor), self.size[0]), max(int(width * factor), self.size[1]))
        resized = F.interpolate(pixels, size=target, mode=self.interpolation, antialias=True, align_corners=False)
        # an image library stores whole levels between resizing and normalising
        return resized.round().clamp(0, 255)

    def _crop(self, pixels: torch.Tensor) -> torch.Tensor:
        top = round((pixels.shape[2] - self.size[0]) / 2)
        left = round((pixels.shape[3] - self.size[1]) / 2)
        return pixels[:, :, top : top + self.size[0], left : left + self.size[1]]


def _channels(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, device=like.device).view(1, -1, 1, 1)
