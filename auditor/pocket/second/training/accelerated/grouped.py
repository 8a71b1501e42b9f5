"""Many LoRAs trained at once on one frozen denoiser: each has its own factors, and its own share of the batch.

The arithmetic is that of `lora.Trainer` one adapter at a time: rank 4 on the attention's four projections, AdamW, one
gradient norm per adapter. Random numbers come from another generator, so the recipe is equal and the bytes are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from auditor.pocket.second.training import base as base_training
from auditor.pocket.second.training.accelerated.models import Velocity
from auditor.pocket.second.training.lora import PICTURES, TARGETS, Lesson, Tensors, training_pictures
from auditor.pocket.second.training.vae import encode
from auditor.pocket.training.loop import best_device


class GroupedLinear(nn.Module):
    """A frozen linear layer with one low-rank change per adapter; rows of the batch are grouped by adapter."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down: torch.Tensor | None = None
        self.up: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(adapters * pictures, tokens, in) → the same with `out` features."""
        y = torch.as_tensor(self.base(x))
        if self.down is None or self.up is None:
            return y
        grouped = x.reshape(len(self.down), -1, x.shape[-1])
        change = grouped @ self.down.transpose(1, 2) @ self.up.transpose(1, 2)
        return y + change.view_as(y)


@dataclass
class Factors:
    """Stacked factors of a group: module name → (adapters, rank, in) and (adapters, out, rank)."""

    down: dict[str, torch.Tensor]
    up: dict[str, torch.Tensor]

    def one(self, number: int) -> Tensors:
        """An adapter's state as peft names it, on the CPU."""
        state: Tensors = {}
        for name in self.down:
            state[f"{name}.lora_A.weight"] = self.down[name][number].detach().float().cpu().clone()
            state[f"{name}.lora_B.weight"] = self.up[name][number].detach().float().cpu().clone()
        return state

    def copy(self) -> Factors:
        """The factors as they are now."""
        return Factors({k: v.detach().clone() for k, v in self.down.items()},
                       {k: v.detach().clone() for k, v in self.up.items()})  # fmt: skip


class GroupedBase:
    """The pocket base with room for a group of adapters in every attention projection."""

    def __init__(self, folder: Path) -> None:
        torch.backends.cudnn.allow_tf32 = False  # as exact as on a CPU
        self.device = best_device()
        self.unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet").float()
        self.text_encoder: Any = CLIPTextModel.from_pretrained(folder / "text_encoder").float()
        self.vae: Any = AutoencoderTiny.from_pretrained(folder / "vae").float()
        self.tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        for part in (self.unet, self.text_encoder, self.vae):
            part.requires_grad_(False).to(self.device).eval()
        self.layers = dict(self._replace())
        self.velocity = Velocity(self.device)

    def _replace(self) -> Iterator[tuple[str, GroupedLinear]]:
        for name, module in list(self.unet.named_modules()):
            if isinstance(module, nn.Linear) and any(name.endswith(f".{target}") for target in TARGETS):
                parent_name, _, child = name.rpartition(".")
                parent = self.unet.get_submodule(parent_name)
                grouped = GroupedLinear(module)
                if child.isdigit():
                    parent[int(child)] = grouped
                else:
                    setattr(parent, child, grouped)
                yield name, grouped

    def fresh(self, lessons: Sequence[Lesson]) -> Factors:
        """Starting factors as peft makes them: uniform down, zero up; seeded by each lesson."""
        down: dict[str, list[torch.Tensor]] = {name: [] for name in self.layers}
        up: dict[str, torch.Tensor] = {}
        for lesson in lessons:
            generator = torch.Generator().manual_seed(lesson.seed)
            for name, layer in self.layers.items():
                bound = 1 / math.sqrt(layer.base.in_features)
                start = torch.rand((lesson.rank, layer.base.in_features), generator=generator) * 2 - 1
                down[name].append(start * bound)
        for name, layer in self.layers.items():
            shape = (len(lessons), layer.base.out_features, lessons[0].rank)
            up[name] = torch.zeros(shape, device=self.device)
        return Factors({k: torch.stack(v).to(self.device) for k, v in down.items()}, up)

    @contextmanager
    def wearing(self, factors: Factors | None) -> Iterator[None]:
        """The layers use these factors inside the block."""
        for name, layer in self.layers.items():
            layer.down = None if factors is None else factors.down[name]
            layer.up = None if factors is None else factors.up[name]
        try:
            yield
        finally:
            for layer in self.layers.values():
                layer.down = layer.up = None

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """(n, tokens, width) embeddings of prompts."""
        tokens = base_training.tokenize(self.tokenizer, list(texts)).to(self.device)
        return torch.cat([self.text_encoder(part)[0] for part in tokens.split(2048)])


def _pictures_of(lesson: Lesson) -> tuple[np.ndarray, list[str]]:
    return training_pictures(lesson, np.random.default_rng(lesson.seed))


def train_group(base: GroupedBase, lessons: Sequence[Lesson], pool: Executor) -> dict[int, Factors]:
    """Train lessons that share steps, snapshots, rate, rank and batch.

    Returns:
        Step (the snapshots' and the last) → the group's factors.
    """
    first = lessons[0]
    drawn = list(pool.map(_pictures_of, lessons, chunksize=4))
    latents = torch.stack([encode(base.vae, images, base.device) for images, _ in drawn])  # (adapters, pictures, ...)
    text = base.embed([c for _, captions in drawn for c in captions])
    text = text.view(len(lessons), PICTURES, *text.shape[1:])
    factors = base.fresh(lessons)
    parameters = [p.requires_grad_() for p in (*factors.down.values(), *factors.up.values())]
    optimiser = torch.optim.AdamW(parameters, lr=first.rate, weight_decay=1e-4)
    generator = torch.Generator(base.device).manual_seed(first.seed)
    groups = torch.arange(len(lessons), device=base.device)[:, None]
    kept: dict[int, Factors] = {}
    with base.wearing(factors):
        for step in range(1, first.steps + 1):
            rows = torch.rand((len(lessons), PICTURES), device=base.device, generator=generator)
            rows = rows.argsort(1)[:, : first.batch]
            x, c = latents[groups, rows].flatten(0, 1), text[groups, rows].flatten(0, 1)
            noise = torch.randn(x.shape, device=base.device, generator=generator)
            times = torch.randint(1000, (len(x),), device=base.device, generator=generator)
            noisy, target = base.velocity.noisy(x, noise, times)
            errors = F.mse_loss(base.unet(noisy, times, c).sample, target, reduction="none")
            optimiser.zero_grad(set_to_none=True)
            errors.view(len(lessons), -1).mean(1).sum().backward()  # a sum: adapters do not share a gradient
            _clip_each(parameters, len(lessons))
            optimiser.step()
            if step in {*first.snapshots, first.steps}:
                kept[step] = factors.copy()
    return kept


@torch.no_grad()
def _clip_each(parameters: Sequence[torch.Tensor], count: int) -> None:
    """Scale each adapter's gradient to a norm of at most 1."""
    norms = (
        torch.stack([p.grad.view(count, -1).square().sum(1) for p in parameters if p.grad is not None]).sum(0).sqrt()
    )
    scale = (1 / (norms + 1e-6)).clamp(max=1)
    for p in parameters:
        if p.grad is not None:
            p.grad.mul_(scale.view(-1, *[1] * (p.grad.dim() - 1)))
