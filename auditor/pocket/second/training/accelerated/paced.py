"""Training bounded by a clock: the rate follows the share of the time that is gone, and on a GPU a step is one graph.

Small models spend most of a step on starting kernels; a recorded step starts them all at once. Nothing in the loop
waits for the device but a look at the clock every few steps.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from auditor.pocket.training.loop import best_device

LOOK_EVERY = 20
"""Steps between looks at the clock."""
NO_GRAPH = "POCKET_NO_GRAPH"
"""Environment variable that switches recording off."""
WARM_UP = 0.03
"""Share of the time in which the rate rises."""


@dataclass(frozen=True)
class Pace:
    """How long and how fast to train.

    Attributes:
        seconds: Wall-clock time, recording of the graph included.
        rate: Peak learning rate (AdamW), then a cosine down to 1 %.
        average: Decay of the moving average of the weights.
        weight_decay: Of AdamW.
        graph: Record a step as a CUDA graph; a step must then draw everything on the device.
    """

    seconds: float
    rate: float
    average: float = 0.998
    weight_decay: float = 0.01
    graph: bool = True


def rate_at(share: float, peak: float) -> float:
    """Learning rate when `share` of the time is gone."""
    if share < WARM_UP:
        return peak * max(share / WARM_UP, 0.02)
    progress = min(1.0, (share - WARM_UP) / (1 - WARM_UP))
    return peak * (0.01 + 0.99 * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * progress)))))


class _Step:
    """One optimiser step, recorded where that is possible."""

    def __init__(self, model: nn.Module, loss: Callable[[], torch.Tensor], pace: Pace) -> None:
        self.loss, self.pace = loss, pace
        self.device = best_device()
        self.parameters: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.rate = torch.tensor(pace.rate * 0.02, device=self.device)
        cuda = self.device.type == "cuda"
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=self.rate, weight_decay=pace.weight_decay, betas=(0.9, 0.98), capturable=cuda
        )
        self.averaged = deepcopy(model)
        self.kept: list[torch.Tensor] = [p for p in self.averaged.parameters() if p.requires_grad]
        self.blend = torch.ones((), device=self.device)
        self.shown = torch.zeros((), device=self.device)
        self.graph = self._record() if cuda and pace.graph and NO_GRAPH not in os.environ else None

    def __call__(self) -> None:
        if self.graph is not None:
            self.graph.replay()
        else:
            self._run()

    def _run(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        with torch.no_grad():
            difference = list(torch._foreach_sub(self.parameters, self.kept))
            torch._foreach_mul_(difference, self.blend)
            torch._foreach_add_(self.kept, difference)
            self.shown.lerp_(loss.detach().float(), 0.02)

    def _record(self) -> torch.cuda.CUDAGraph:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                self._run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._run()
        except RuntimeError as error:  # the device's state is uncertain after a failed recording: begin anew
            print(f"no graph, stepping one by one: {str(error)[:1000]}", file=sys.stderr, flush=True)
            os.environ[NO_GRAPH] = "1"
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        return graph


def train_paced(
    model: nn.Module, loss: Callable[[], torch.Tensor], pace: Pace, name: str,
    keep: Callable[[nn.Module], None] | None = None,
) -> tuple[nn.Module, int]:  # fmt: skip
    """Minimise `loss()` until the time is over.

    Args:
        model: Trained in place.
        loss: Draws its own batch and returns a scalar.
        pace: Time and rate.
        name: For the progress lines.
        keep: Called with the averaged model at each quarter of the time, so that something is there whatever happens.

    Returns:
        The averaged model in eval mode, and the steps taken.
    """
    began = time.monotonic()
    model.train()
    step = _Step(model, loss, pace)
    taken, quarter, told = 0, 1, began
    while True:
        share = (time.monotonic() - began) / pace.seconds
        if share >= 1 and taken:
            break
        step.rate.fill_(rate_at(share, pace.rate))
        step.blend.fill_(max(1 - pace.average, 1 / (taken + 10)))
        for _ in range(LOOK_EVERY if share > 0.01 else 2):
            step()
            taken += 1
        shown = float(step.shown)  # waits for the device: the clock counts what is done, not what is queued
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"{name} {told - began:.0f} s step {taken} loss {shown:.4f}", file=sys.stderr, flush=True)
        if keep is not None and share * 4 >= quarter:
            quarter += 1
            keep(step.averaged)
    print(f"{name} done: {taken} steps in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return step.averaged.eval(), taken


def wait_for(path: Path, seconds: float) -> bool:
    """Wait until a file is there."""
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True
