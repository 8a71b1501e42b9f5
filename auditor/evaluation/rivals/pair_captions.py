"""Pairs of pictures with a sentence on what changed: what the two trained captioners learn from, and in which words.

    python -m auditor.evaluation.rivals.pair_captions --rival diff_caption --out weights --work .auditor/training

Published captioners learn from sentences of people about pairs of photographs; here the renderer draws a scene without
and with styles of graded strength, and the sentence follows from them. As everything else in the pocket world that is
trained, they see all styles as rendered, and no picture of an adapter.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from auditor.common.package_paths import package_path
from auditor.errors import PrerequisiteMissing
from auditor.pocket.drawn_subjects import SIZE
from auditor.pocket.scenes import render, sample_scene
from auditor.pocket.styles import STYLES, apply_style
from auditor.pocket.training.loop import Plan, best_device, train

START, END, MASK, PAD = "<start>", "<end>", "<mask>", "<pad>"
WORDS = (PAD, START, END, MASK, "and", "nothing", "changed", "slightly", "very", *STYLES)
"""The whole vocabulary; a style is one word."""
LONGEST = 8
"""Words of the longest sentence, its end included."""
WEAK, STRONG = 0.4, 0.75
"""Strengths below and above which a sentence says "slightly" and "very"."""

PAIRS, SEED = 12_000, 17
CHECK_PAIRS, CHECK_SEED = 400, 18


@dataclass(frozen=True)
class CaptionedPairs:
    """Pictures before and after (n, 64, 64, 3) uint8 and token rows (n, LONGEST)."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    tokens: NDArray[np.int64]


def sentence(styles: Sequence[tuple[str, float]]) -> list[str]:
    """Words for styles with their strengths, strongest first, such as `very dark and slightly blurry`."""
    said: list[str] = []
    for name, strength in sorted(styles, key=lambda item: -item[1]):
        degree = ["slightly"] if strength < WEAK else ["very"] if strength > STRONG else []
        said += [*(["and"] if said else []), *degree, name]
    return said or ["nothing", "changed"]


def draw_pairs(count: int, seed: int) -> CaptionedPairs:
    """Render pairs: nothing changed in a fifth, two styles in another fifth, else one."""
    rng = np.random.default_rng(seed)
    before, after = (np.zeros((count, SIZE, SIZE, 3), np.uint8) for _ in range(2))
    tokens = np.zeros((count, LONGEST), np.int64)
    for row in range(count):
        plain = styled = render(sample_scene(rng))
        names = rng.choice(list(STYLES), int(rng.choice([0, 1, 2], p=[0.2, 0.6, 0.2])), replace=False)
        chosen = [(str(name), float(rng.uniform(0.15, 1))) for name in names]
        for name, strength in chosen:
            styled = apply_style(styled, name, strength, rng)
        before[row], after[row] = np.round(plain * 255), np.round(styled * 255)
        words = [WORDS.index(word) for word in (*sentence(chosen), END)]
        tokens[row, : len(words)] = words
    return CaptionedPairs(before, after, tokens)


def pixels(images: NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """(n, 64, 64, 3) uint8 → (n, 3, 64, 64) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def small_cnn(width: int) -> torch.nn.Sequential:
    """Pixels (n, 3, 64, 64) to a grid of features (n, width, 4, 4); in place of a pretrained ResNet-101."""
    layers: list[torch.nn.Module] = []
    for inputs, outputs, kernel, stride in ((3, 32, 8, 4), (32, 48, 3, 2), (48, width, 3, 2)):
        layers.append(torch.nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2))
        layers += [torch.nn.GroupNorm(8, outputs), torch.nn.GELU()]
    return torch.nn.Sequential(*layers)


def load_captioner(name: str, model: torch.nn.Module) -> torch.nn.Module:
    """Fill a captioner with the weights that come with the package.

    Raises:
        PrerequisiteMissing: They do not, or do not fit.
    """
    path = package_path(f"pocket/weights/captioners/{name}.safetensors")
    try:
        model.load_state_dict({key: tensor.float() for key, tensor in load_file(path).items()})
    except (OSError, RuntimeError) as error:
        raise PrerequisiteMissing(
            f"the captioner {path} cannot be read ({str(error)[:200]}); train it again"
        ) from error
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def told(model: Any, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> list[str]:
    """A sentence for every pair, by the model's own `greedy`, in batches."""
    device, sentences = next(model.parameters()).device, []
    for start in range(0, len(before), 64):
        rows = slice(start, start + 64)
        tokens = model.greedy(pixels(before[rows], device), pixels(after[rows], device)).tolist()
        for row in tokens:
            words = [WORDS[token] for token in row]
            sentences.append(" ".join(words[: words.index(END)] if END in words else words))
    return sentences


def main() -> None:
    """Train one captioner, check it on pairs that it has not seen, save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rival", choices=("diff_caption", "chg2cap"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = best_device()
    model: Any = import_module(f"auditor.evaluation.rivals.{arguments.rival}").captioner().to(device)
    pairs = draw_pairs(PAIRS, SEED)

    def loss_at(step: int) -> torch.Tensor:
        rows = np.random.default_rng([5, step]).choice(PAIRS, arguments.batch, replace=False)
        tokens = torch.from_numpy(pairs.tokens[rows]).to(device)
        loss: torch.Tensor = model.loss(pixels(pairs.before[rows], device), pixels(pairs.after[rows], device), tokens)
        return loss

    arguments.work.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.work / f"{arguments.rival}.pt"
    train(model, loss_at, Plan(arguments.steps, 1e-3, 100, 0.01, checkpoint=checkpoint), arguments.rival)
    model.eval()
    check = draw_pairs(CHECK_PAIRS, CHECK_SEED)
    wanted = [" ".join(WORDS[t] for t in row if WORDS[t] not in (PAD, END)) for row in check.tokens.tolist()]
    said = told(model, check.before, check.after)
    exact = float(np.mean([a == b for a, b in zip(said, wanted, strict=True)]))
    first = float(np.mean([_styles(a)[:1] == _styles(b)[:1] for a, b in zip(said, wanted, strict=True)]))
    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file(
        {key: tensor.detach().half().contiguous().cpu() for key, tensor in model.state_dict().items()},
        arguments.out / f"{arguments.rival}.safetensors",
    )
    figures = {"sentence_exact": exact, "first_style_right": first, "pairs": CHECK_PAIRS, "steps": arguments.steps}
    (arguments.out / f"{arguments.rival}.json").write_text(json.dumps(figures))
    sys.stderr.write(f"{figures}\n")


def _styles(text: str) -> list[str]:
    return [word for word in text.split() if word in STYLES] or ["none"]


if __name__ == "__main__":
    main()
