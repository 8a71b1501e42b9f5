"""Train one of the pocket's encoders, each a real model of its library with a vocabulary of its own.

    python -m auditor.pocket.training.clip --make open_clip --out weights/clip --work .auditor/training

Between 20 minutes and an hour on one CPU core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from auditor.pocket import corpus
from auditor.pocket.training.encoder_makes import MAKES, Make
from auditor.pocket.training.loop import Plan, best_device, train

CORPUS_SIZE = 60_000


def _pixels(images: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def held_out_top1(make: Make, folder: Path, count: int = 500) -> float:
    """Share of `count` held-out pictures with distinct captions whose own caption is the nearest of all."""
    make.model.eval()
    images, captions = corpus.build(folder, 2000, seed=2)
    rows = sorted({c: i for i, c in reversed(list(enumerate(captions)))}.values())[:count]
    device = next(make.model.parameters()).device
    x, y = make.embed(_pixels(images[rows], device), make.tokens([captions[i] for i in rows]).to(device))
    return float(((x @ y.T).argmax(1) == torch.arange(len(x), device=device)).float().mean())


def main() -> None:
    """Train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--make", choices=MAKES, default="open_clip")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = best_device()
    images, captions = corpus.build(arguments.work / "corpus", CORPUS_SIZE, seed=1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    make = MAKES[arguments.make](captions, arguments.out)
    make.model.to(device)
    tokens = make.tokens(captions).to(device)

    def loss_at(step: int) -> torch.Tensor:
        if step >= int(arguments.steps * 0.75):  # the last quarter sees whole pictures, as use does
            make.whole_pictures()
        rows = np.sort(np.random.default_rng([7, step]).choice(CORPUS_SIZE, arguments.batch, replace=False))
        x, y = make.embed(_pixels(images[rows], device), tokens[rows])
        # Two pictures of a batch may share a caption; both then count as right.
        same = (tokens[rows][:, None] == tokens[rows][None]).all(-1).float()
        return make.loss(x, y, same)

    checkpoint = arguments.work / ("clip.pt" if arguments.make == "open_clip" else f"{arguments.make}.pt")
    train(make.model, loss_at, Plan(arguments.steps, 1e-3, 150, 0.05, checkpoint=checkpoint), arguments.make)
    top1 = held_out_top1(make, arguments.work / "corpus")
    make.save(arguments.out)
    (arguments.out / "figures.json").write_text(json.dumps({"held_out_top1_of_500": top1, "steps": arguments.steps}))
    print(f"held-out retrieval top-1 of 500: {top1:.3f}")


if __name__ == "__main__":
    main()
