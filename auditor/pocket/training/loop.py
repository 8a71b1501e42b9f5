"""One training loop for all pocket models: cosine rate, clipping, averaged weights, checkpoints, progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from auditor.common.atomic_files import replacing


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Attributes:
        steps: Optimiser steps in all.
        rate: Peak learning rate (AdamW), reached after `warmup` steps, then cosine down to 2 %.
        average: Decay of the exponential moving average of the weights; 0 keeps the last weights.
        checkpoint: Where to keep the state, so that a killed run goes on; None keeps nothing.
        every: Steps between checkpoints.
    """

    steps: int
    rate: float
    warmup: int = 100
    weight_decay: float = 0.01
    average: float = 0.0
    checkpoint: Path | None = None
    every: int = 250


def best_device() -> torch.device:
    """A GPU when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def learning_rate(plan: Plan, step: int) -> float:
    """Linear warm-up, then a cosine from `plan.rate` to 2 % of it."""
    if step < plan.warmup:
        return plan.rate * (step + 1) / plan.warmup
    progress = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return plan.rate * (0.02 + 0.98 * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * progress)))))


def _save(path: Path, state: dict[str, object]) -> None:
    with replacing(path) as temporary:
        torch.save(state, temporary)


def train(model: nn.Module, loss_at: Callable[[int], torch.Tensor], plan: Plan, name: str) -> nn.Module:
    """Minimise `loss_at(step)` over the model's parameters.

    `loss_at` must draw its batch from the step number alone, so that a resumed run sees the same batches.

    Returns:
        The averaged model (or the model itself when `plan.average` is 0), in eval mode.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=plan.rate, weight_decay=plan.weight_decay, betas=(0.9, 0.98))
    averaged = deepcopy(model) if plan.average else model
    start = 0
    if plan.checkpoint is not None and plan.checkpoint.exists():
        state = torch.load(plan.checkpoint, weights_only=True, map_location=best_device())
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        start = int(state["step"])
    began, shown = time.monotonic(), 0.0
    model.train()
    for step in range(start, plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(plan, step)
        optimiser.zero_grad(set_to_none=True)
        loss = loss_at(step)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if plan.average:
            _update_average(averaged, model, min(plan.average, (step + 1) / (step + 10)))
        shown = 0.98 * shown + 0.02 * loss.item() if step > start else loss.item()
        if (step + 1) % 50 == 0 or step + 1 == plan.steps:
            pace = (time.monotonic() - began) / (step + 1 - start)
            left = pace * (plan.steps - step - 1) / 60
            print(
                f"{name} step {step + 1}/{plan.steps} loss {shown:.4f} {pace:.2f} s/step, {left:.0f} min left",
                file=sys.stderr,
                flush=True,
            )
        if plan.checkpoint is not None and ((step + 1) % plan.every == 0 or step + 1 == plan.steps):
            _save(
                plan.checkpoint,
                {
                    "model": model.state_dict(),
                    "averaged": averaged.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step + 1,
                },
            )
    return averaged.eval()


@torch.no_grad()
def _update_average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    for kept, new in zip(averaged.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
    for kept_buffer, new_buffer in zip(averaged.buffers(), model.buffers(), strict=True):
        kept_buffer.copy_(new_buffer)
