"""Later versions of the pocket base: the same training gone on with, once on pictures that are all more colourful.

    python -m auditor.pocket.training.later_bases --base auditor/pocket/weights/base --work .auditor/evaluation

What versions of one published base are to each other, with a difference that is known: the captions of the colourful
pictures do not mention it. A few minutes each on two CPU cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from transformers import CLIPTokenizer

from auditor.pocket.corpus import sample_example
from auditor.pocket.styles import apply_style
from auditor.pocket.training import vae as vae_training
from auditor.pocket.training.base import denoising_loss, finished, save, scheduler, tokenize
from auditor.pocket.training.loop import Plan, best_device, train

TAUGHT = "vibrant"
VERSIONS: Mapping[str, float] = {"later": 0.0, "colourful": 0.6}
"""Version → strength of the taught style in every picture that it is trained on with."""

STEPS, BATCH, RATE = 300, 32, 2e-4
_EMPTY_SHARE = 0.1


def ensure_later_bases(base: Path, work: Path, steps: int = STEPS) -> dict[str, Path]:
    """Train what is missing; a killed training goes on from its checkpoint.

    Args:
        base: Folder of the base pipeline.
        work: Work folder of the trainings.
        steps: Of each version.

    Returns:
        Folder of each version's pipeline.
    """
    folders = {name: work / "later-bases" / f"{name}-{steps:06d}" for name in VERSIONS}
    for name, folder in folders.items():
        if not (folder / "model_index.json").exists():
            _train(base, folder, VERSIONS[name], steps)
    return folders


def _train(base: Path, folder: Path, strength: float, steps: int) -> None:
    torch.manual_seed(0)
    device = best_device()
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    vae = AutoencoderTiny.from_pretrained(base / "vae").float().to(device)
    denoiser = finished(base).to(device)
    denoiser.to(memory_format=torch.channels_last)
    noise_schedule = scheduler()

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([17, step])
        drawn = [sample_example(rng) for _ in range(BATCH)]
        images = np.stack([apply_style(example.image, TAUGHT, strength, rng) for example in drawn])
        latents = vae_training.encode(vae, np.round(images * 255).astype(np.uint8), device)
        captions = ["" if rng.random() < _EMPTY_SHARE else example.caption for example in drawn]
        return denoising_loss(denoiser, noise_schedule, latents, tokenize(tokenizer, captions).to(device), rng)

    plan = Plan(steps, rate=RATE, warmup=steps // 10, average=0.98, checkpoint=folder.with_suffix(".pt"))
    save(train(denoiser, loss_at, plan, folder.name), tokenizer, vae, folder)


def main() -> None:
    """Train all versions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    ensure_later_bases(arguments.base, arguments.work, arguments.steps)


if __name__ == "__main__":
    main()
