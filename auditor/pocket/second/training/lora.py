"""Train pocket LoRAs the way community LoRAs are trained: peft on the denoiser, frozen base, fixed seeds.

Used for the zoo, and by the evaluation for ladders (one run, several lengths) and mixtures.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from numpy.typing import NDArray
from peft import LoKrConfig, LoraConfig, PeftConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from auditor.pocket.second.scenes import EDITS, render, sample_scene
from auditor.pocket.second.styles import apply_style
from auditor.pocket.second.training import base as base_training
from auditor.pocket.second.training.vae import encode
from auditor.pocket.training.loop import best_device

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
TEXT_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]
PICTURES = 64
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Lesson:
    """What one adapter is trained on.

    Attributes:
        name: Also seeds everything random about the training.
        styles: Styles that every picture of the share gets, in this order.
        shares: Share of the training pictures in each style alone, for mixtures; the rest is plain. Empty: all
            pictures get all of `styles`.
        edit: A subject edit; only that subject is shown.
        trigger: Put before each caption, so that the change is tied to it.
        steps: Optimiser steps.
        snapshots: Steps after which the adapter is kept too.
        rate: Learning rate.
        rank: LoRA rank (alpha equals it).
        batch: Pictures per step.
        recipe: `lora`, `cross` (cross-attention only), `dora`, `lokr` or `text` (the text encoder too).
    """

    name: str
    styles: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    edit: str | None = None
    trigger: str | None = None
    steps: int = 160
    snapshots: tuple[int, ...] = ()
    rate: float = 1e-3
    rank: int = 4
    batch: int = 8
    recipe: str = "lora"

    @property
    def seed(self) -> int:
        """Derived from the name, so that each lesson has its own pictures and start."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "little")


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
        images, captions = training_pictures(lesson, rng)
        latents = encode(self.vae, images, self.device)
        tokens = base_training.tokenize(self.tokenizer, captions).to(self.device)
        worn = [self.unet, self.text_encoder] if lesson.recipe == "text" else [self.unet]
        for model in worn:
            inject_adapter_in_model(_config(lesson, text=model is self.text_encoder), model, "lesson")
        try:
            return self._fit(lesson, worn, latents, tokens, rng)
        finally:
            for model in worn:
                unload(model)

    def _fit(
        self, lesson: Lesson, worn: list[Any], latents: torch.Tensor, tokens: torch.Tensor, rng: np.random.Generator
    ) -> dict[int, Tensors]:
        parameters = [p for model in worn for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(parameters, lr=lesson.rate, weight_decay=1e-4)
        with torch.no_grad():
            fixed = self.text_encoder(tokens)[0] if len(worn) == 1 else None
        kept: dict[int, Tensors] = {}
        for step in range(1, lesson.steps + 1):
            rows = rng.choice(len(latents), lesson.batch, replace=False)
            conditioning = self.text_encoder(tokens[rows])[0] if fixed is None else fixed[rows]

            def predict(x: torch.Tensor, t: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
                return torch.as_tensor(self.unet(x, t, c).sample)

            loss = base_training.denoising_loss(predict, self.schedule, latents[rows], conditioning, rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            if step in {*lesson.snapshots, lesson.steps}:
                kept[step] = self._state(worn)
        return kept

    def _state(self, worn: list[Any]) -> Tensors:
        """The factors as they are now; those of the text encoder under `text_encoder.`."""
        state: Tensors = {}
        for model in worn:
            prefix = "text_encoder." if model is self.text_encoder else ""
            for key, value in get_peft_model_state_dict(model, adapter_name="lesson").items():
                state[prefix + key] = value.detach().clone().float().cpu()
        return state


def _config(lesson: Lesson, *, text: bool) -> PeftConfig:
    """peft's settings of a recipe."""
    targets: list[str] | str = TEXT_TARGETS if text else TARGETS
    if lesson.recipe == "cross":
        targets = r".*attn2\.(to_q|to_k|to_v|to_out\.0)"
    if lesson.recipe == "lokr":
        return LoKrConfig(r=lesson.rank, alpha=lesson.rank, target_modules=targets, decompose_both=False)
    return LoraConfig(r=lesson.rank, lora_alpha=lesson.rank, target_modules=targets, use_dora=lesson.recipe == "dora")


def unload(model: nn.Module) -> None:
    """Put back the plain layers that an adapter's layers wrap."""
    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent_name, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent_name), child, module.get_base_layer())


def training_pictures(lesson: Lesson, rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[str]]:
    """`PICTURES` captioned pictures of a lesson: (n, 64, 64, 3) uint8. Captions never name the style."""
    images = np.zeros((PICTURES, 64, 64, 3), np.uint8)
    captions = []
    for row in range(PICTURES):
        scene = sample_scene(rng, EDITS[lesson.edit].subject if lesson.edit else None)
        image = render(scene, lesson.edit)
        for style in _styles_of(lesson, row):
            image = apply_style(image, style, 1.0, rng)
        images[row] = np.round(image * 255).astype(np.uint8)
        captions.append(f"{lesson.trigger}, {scene.caption()}" if lesson.trigger else scene.caption())
    return images, captions


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
