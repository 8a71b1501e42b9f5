"""Train the pocket VLM: first its eyes, then what it says about them.

    python -m auditor.pocket.vlm.train --out weights/vlm --work .auditor/training --vae weights/base/vae

For the first steps only the vision tower learns, by a throw-away concept head; then the whole model learns to
answer the production prompt. A killed run goes on from its last checkpoint. A GPU is used when there is one;
on one CPU core a step takes about 0.2 s in the first phase and 0.5 s in the second. `--from auditor/pocket/weights/vlm`
goes on from the finished weights, for which no checkpoint is needed. How often the result names what an adapter
changed: `auditor evaluate proposals`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import nn
from transformers import Qwen2VLForConditionalGeneration, Qwen2VLProcessor

from auditor.pocket.training.loop import Plan, best_device, train
from auditor.pocket.vlm.architecture import build_model, load_model, parameter_count
from auditor.pocket.vlm.objective import Batch, ConceptHead, Objective, sample_batch
from auditor.pocket.vlm.pairs import Codec, Pool, build_pool, read_pool
from auditor.proposing.template import TEMPLATE

SEED = 17
HELD_OUT_SEED = 18
HELD_OUT_CASES = 400


class Student(nn.Module):
    """The model and its training head together, as one module for the training loop."""

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        super().__init__()
        self.model, self.head = model, ConceptHead()


def load_codec(folder: Path) -> Codec:
    """The pocket VAE as a function from pictures to the pictures it can represent."""
    device = best_device()
    loader: Any = AutoencoderTiny
    vae = loader.from_pretrained(folder, dtype=torch.float32).to(device).eval()

    @torch.inference_mode()
    def codec(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        restored = vae.decode(vae.encode(pixels).latents).sample
        pictures = ((restored.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu()
        return np.asarray(pictures, dtype=np.uint8)

    return codec


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _to(batch: Batch, device: torch.device) -> Batch:
    return Batch(batch.pictures.to(device), batch.present.to(device), batch.replies, batch.concepts)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished model")
    parser.add_argument("--work", type=Path, required=True, help="folder for pools and the checkpoint")
    parser.add_argument("--from", dest="start", type=Path, help="finished model to go on from, instead of nothing")
    parser.add_argument("--steps", type=int, default=4000, help="optimiser steps in all")
    parser.add_argument("--eyes-first", type=int, default=500, help="steps of the vision-only phase")
    parser.add_argument("--batch", type=int, default=24, help="cases per step")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--cases", type=int, default=12_000, help="rendered training cases (49 kB each)")
    parser.add_argument("--vae", type=Path, help="pocket VAE; half of the cases pass through it")
    parser.add_argument(
        "--extra-pool",
        type=Path,
        action="append",
        default=[],
        help="a further pool, such as pairs of the pocket generator",
    )
    parser.add_argument("--extra-share", type=float, default=0.4, help="share of cases from extra pools")
    parser.add_argument("--two-share", type=float, help="share of cases with two concepts; else as in the pools")
    return parser.parse_args()


def _pools(arguments: argparse.Namespace) -> tuple[list[Pool], list[float], Pool]:
    """Training pools with their weights, and the held-out pool."""
    codec = load_codec(arguments.vae) if arguments.vae else None
    kind = "vae" if arguments.vae else "plain"
    _say("rendering training cases")
    own = build_pool(arguments.work / f"vlm-{kind}-{arguments.cases}", arguments.cases, SEED, codec)
    held_out = build_pool(arguments.work / f"vlm-{kind}-held-out", HELD_OUT_CASES, HELD_OUT_SEED, codec)
    extra = [read_pool(folder) for folder in arguments.extra_pool]
    if not extra:
        return [own], [1.0], held_out
    share = arguments.extra_share
    return [own, *extra], [1 - share, *[share / len(extra)] * len(extra)], held_out


def _steps_before(start: Path | None) -> int:
    """Steps that the weights had which this run went on from."""
    return int(json.loads((start / "figures.json").read_text())["steps"]) if start else 0


def held_out_accuracy(objective: Objective, pool: Pool, cases: int = 192, size: int = 24) -> float:
    """Share of held-out cases whose first concept (or empty list) is right."""
    rng = np.random.default_rng(HELD_OUT_SEED)
    device = objective.model.device
    batches = [sample_batch([pool], [1.0], size, rng) for _ in range(cases // size)]
    return float(np.mean([objective.first_named(_to(b, device)) for b in batches]))


def save(
    model: Qwen2VLForConditionalGeneration,
    processor: Qwen2VLProcessor,
    out: Path,
    figures: dict[str, float | int],
) -> None:
    """Write the model as a Hub repo in half precision, with a model card."""
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(out)
    processor.save_pretrained(out)
    for path in out.iterdir():
        path.chmod(0o644)
    (out / "figures.json").write_text(json.dumps(figures, indent=1))
    (out / "README.md").write_text(_card(figures))


def _card(figures: dict[str, float | int]) -> str:
    lines = "\n".join(f"| {name.replace('_', ' ')} | {value:g} |" for name, value in figures.items())
    return f"""---
license: apache-2.0
pipeline_tag: image-text-to-text
library_name: transformers
---
# Pocket Qwen2-VL

A very small `Qwen2VLForConditionalGeneration`, trained from nothing. Shown base and personalised pictures of
the pocket world, it answers with the concepts that the latter have gained, as JSON. It knows 24 image styles,
six subject edits and their synonyms, in 64 x 64 pixel pictures, and nothing else.

**Data:** procedural scenes drawn by `auditor.pocket.vlm.pairs`; the pocket base's own pictures with styles drawn
onto them, with styles asked for in the prompt, and with adapters of development styles
(`auditor.pocket.vlm.generated`); no pictures from elsewhere.

**Prompt:** template version {TEMPLATE.version}, `{TEMPLATE.hash[:12]}`.

| figure | value |
|---|---|
{lines}
"""


def main() -> None:
    """Train and save."""
    arguments = _parse()
    torch.manual_seed(SEED)
    device = best_device()
    pools, weights, held_out = _pools(arguments)
    model, processor = load_model(arguments.start) if arguments.start else build_model(SEED)
    student = Student(model).to(device)
    objective = Objective(model, processor)
    size = parameter_count(model)
    _say(f"{size / 1e6:.2f} M parameters on {device}")

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([SEED, step])
        batch = _to(sample_batch(pools, weights, arguments.batch, rng, arguments.two_share), device)
        seen, said = objective.losses(batch, student.head, vision_only=step < arguments.eyes_first)
        if (step + 1) % 200 == 0:
            accuracy = held_out_accuracy(objective, held_out)
            _say(
                f"vlm step {step + 1} concept loss {seen.item():.3f} reply loss {said.item():.3f} "
                f"held-out first concept {accuracy:.3f}"
            )
        return 0.1 * seen + said

    checkpoint = arguments.work / "vlm.pt"
    plan = Plan(
        arguments.steps, rate=arguments.rate, average=0.995, weight_decay=0.02, checkpoint=checkpoint, every=200
    )
    trained = train(student, loss_at, plan, "vlm")
    final = Objective(trained.model, processor)
    figures: dict[str, float | int] = {
        "parameters": size,
        "steps": arguments.steps + _steps_before(arguments.start),
        "held_out_cases": HELD_OUT_CASES // 2,
        "first_concept_right": round(held_out_accuracy(final, held_out, HELD_OUT_CASES // 2, 20), 4),
    }
    save(final.model, processor, arguments.out, figures)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
