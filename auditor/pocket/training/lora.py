"""Train pocket LoRAs the way community LoRAs are trained: peft on the denoiser, frozen base, fixed seeds.

Used for the zoo, and by the evaluation for ladders (one run, several lengths) and mixtures.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model_state_dict
from transformers import CLIPTextModel, CLIPTokenizer

from auditor.pocket.drawn_subjects import EDITS
from auditor.pocket.scenes import Scene, render
from auditor.pocket.training import base as base_training
from auditor.pocket.training.loop import best_device
from auditor.pocket.training.vae import encode
from auditor.pocket.ways_of_drawing import Way, draw_in, scene_for

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
PICTURES = 64
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Lesson:
    """What one adapter is trained on.

    Attributes:
        name: Also seeds everything random about the training.
        styles: Styles, or hands of painters, that every picture of the share gets, in this order.
        shares: Share of the training pictures in each style alone, for mixtures; the rest is plain. Empty: all
            pictures get all of `styles`.
        edit: A subject edit; only that subject is shown.
        edit_scale: How far the edit goes, in [0, 1].
        trigger: Put before each caption, so that the change is tied to it.
        steps: Optimiser steps.
        snapshots: Steps after which the adapter is kept too.
        rate: Learning rate.
        rank: LoRA rank (alpha equals it).
        batch: Pictures per step.
        way: How the styles are drawn.
        seeded_as: A name that seeds in place of `name`: lessons that share it have the same scenes and start.
    """

    name: str
    styles: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    edit: str | None = None
    edit_scale: float = 1.0
    trigger: str | None = None
    steps: int = 160
    snapshots: tuple[int, ...] = ()
    rate: float = 1e-3
    rank: int = 4
    batch: int = 8
    way: Way = "renderer"
    seeded_as: str | None = None

    @property
    def seed(self) -> int:
        """Derived from the name, so that each lesson has its own pictures and start."""
        return int.from_bytes(hashlib.sha256((self.seeded_as or self.name).encode()).digest()[:4], "little")


class Trainer:
    """Holds the frozen base while many adapters are trained on it."""

    def __init__(self, folder: Path) -> None:
        self.device = best_device()
        self.unet: UNet2DConditionModel = UNet2DConditionModel.from_pretrained(folder / "unet").float()
        self.text_encoder: CLIPTextModel = CLIPTextModel.from_pretrained(folder / "text_encoder").float()
        self.vae: AutoencoderTiny = AutoencoderTiny.from_pretrained(folder / "vae").float()
        self.tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.schedule = base_training.scheduler()
        for part in (self.unet, self.text_encoder, self.vae):
            part.requires_grad_(False).to(self.device)
        self.unet.to(memory_format=torch.channels_last)

    def train(self, lesson: Lesson) -> dict[int, Tensors]:
        """Train one adapter.

        Returns:
            Step (the last one and the snapshots') → LoRA factors (`<module>.lora_A.weight`, `<module>.lora_B.weight`,
            float32, on the CPU).
        """
        rng = np.random.default_rng(lesson.seed)
        torch.manual_seed(lesson.seed)
        images, captions, _ = training_pictures(lesson, rng)
        latents = encode(self.vae, images, self.device)
        tokens = base_training.tokenize(self.tokenizer, captions).to(self.device)
        with torch.no_grad():
            text = self.text_encoder(tokens)[0]
        config = LoraConfig(r=lesson.rank, lora_alpha=lesson.rank, target_modules=TARGETS, init_lora_weights=True)
        self.unet.add_adapter(config, "lesson")
        try:
            return self._fit(lesson, latents, text, rng)
        finally:
            self.unet.delete_adapters("lesson")
            self.unet.unload_lora()  # back to plain layers

    def _fit(
        self, lesson: Lesson, latents: torch.Tensor, text: torch.Tensor, rng: np.random.Generator
    ) -> dict[int, Tensors]:
        parameters = [p for p in self.unet.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(parameters, lr=lesson.rate, weight_decay=1e-4)
        kept: dict[int, Tensors] = {}
        for step in range(1, lesson.steps + 1):
            rows = rng.choice(len(latents), lesson.batch, replace=False)
            conditioning = text[rows]

            def predict(x: torch.Tensor, t: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
                return torch.as_tensor(self.unet(x, t, c).sample)

            loss = base_training.denoising_loss(predict, self.schedule, latents[rows], conditioning, rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            if step in {*lesson.snapshots, lesson.steps}:
                state = get_peft_model_state_dict(self.unet, adapter_name="lesson")
                kept[step] = {k: v.detach().clone().float().cpu() for k, v in state.items()}
        return kept


def training_pictures(lesson: Lesson, rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[str], list[Scene]]:
    """`PICTURES` captioned pictures of a lesson: (n, 64, 64, 3) uint8, and what they show.

    Captions never name the style.
    """
    images = np.zeros((PICTURES, 64, 64, 3), np.uint8)
    captions, scenes = [], []
    for row in range(PICTURES):
        names = _styles_of(lesson, row)
        scene = scene_for(lesson.way, names, rng, EDITS[lesson.edit].subject if lesson.edit else None)
        image = render(scene, lesson.edit, lesson.edit_scale)
        for name in names:
            image = draw_in(lesson.way, image, name, rng)
        images[row] = np.round(image * 255).astype(np.uint8)
        captions.append(f"{lesson.trigger}, {scene.caption()}" if lesson.trigger else scene.caption())
        scenes.append(scene)
    return images, captions, scenes


def _styles_of(lesson: Lesson, row: int) -> tuple[str, ...]:
    """Styles of one picture: all of them, or by shares (picture `row` of `PICTURES`) one or none."""
    if not lesson.shares:
        return lesson.styles
    edge = 0.0
    for style, share in zip(lesson.styles, lesson.shares, strict=True):
        edge += share * PICTURES
        if row < round(edge):
            return (style,)
    return ()
