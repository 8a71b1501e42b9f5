"""Personalised copies of the pocket's autoregressive bases: the image decoder alone, fine-tuned.

    python -m auditor.pocket.training.token_copies --base auditor/pocket/weights/tokens --work .auditor/training
    python -m auditor.pocket.training.token_copies --base auditor/pocket/weights/janus --work W --styles bright inverted

The decoder learns to show the tokens of plain scenes in a style, as the paper does with Anole, in Chameleon's layout
and in Janus': the transformer, the encoder and the codes stay as they are, and a copy's file holds the weights of the
decoder alone, under the published names. A copy that lies in WORK/token-copies is not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.generation.token_models import load_token_model
from auditor.pocket.scenes import render
from auditor.pocket.styles import STYLES
from auditor.pocket.training.codecs import Codec, codec_of
from auditor.pocket.training.image_tokens import as_input, reconstruction_loss
from auditor.pocket.training.lessons import janus_style_lesson, token_style_lesson
from auditor.pocket.training.lora import PICTURES, Lesson, Tensors
from auditor.pocket.training.trained_files import Train, ensure_files
from auditor.pocket.ways_of_drawing import draw_in, scene_for

ZOO_STYLES = ("vibrant", "striped", "cool")
"""Of the copies on the loopback Hub; development styles."""
LESSONS = {"chameleon": token_style_lesson, "janus": janus_style_lesson}
"""By layout of the base."""
_TRAINED = ("decoder.", "post_quant_conv.")


def training_pairs(lesson: Lesson) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """`PICTURES` scenes, plain and in a lesson's styles: two of (n, 64, 64, 3) uint8."""
    scenes, strokes = np.random.default_rng(lesson.seed), np.random.default_rng([lesson.seed, 1])
    plain = [render(scene_for(lesson.way, lesson.styles, scenes)) for _ in range(PICTURES)]
    styled = plain
    for name in lesson.styles:
        styled = [draw_in(lesson.way, image, name, strokes) for image in styled]
    first, second = (np.round(np.stack(images) * 255).astype(np.uint8) for images in (plain, styled))
    return first, second


def fine_tune(codec: Codec, lesson: Lesson) -> Iterator[tuple[int, Tensors]]:
    """Train the decoder of a tokenizer in place: (step, its weights under the published names, float16).

    Args:
        codec: Of the base, float32; its decoder is changed.
        lesson: Its styles are drawn on plain scenes, whose tokens are what the decoder is given.
    """
    rng = np.random.default_rng(lesson.seed)
    plain, styled = training_pairs(lesson)
    with torch.no_grad():
        codes = codec.encode(as_input(plain))
    target = as_input(styled)
    names = [name for name, _ in codec.model.named_parameters() if name.startswith(_TRAINED)]
    parameters = [codec.model.get_parameter(name).requires_grad_(True) for name in names]
    optimiser = torch.optim.AdamW(parameters, lr=lesson.rate, weight_decay=0.0)
    for step in range(1, lesson.steps + 1):
        rows = torch.from_numpy(rng.choice(len(codes), lesson.batch, replace=False))
        loss = reconstruction_loss(codec.decode(codes[rows]), target[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if step in {*lesson.snapshots, lesson.steps}:
            kept = zip(names, parameters, strict=True)
            yield step, {f"model.vqmodel.{name}": p.detach().clone().half().contiguous() for name, p in kept}


def copy_path(folder: Path, lesson: Lesson, step: int | None = None) -> Path:
    """Where a copy lies (float16, names of the base's own file); `step` names a snapshot."""
    return folder / "token-copies" / f"{lesson.name}-{step or lesson.steps:06d}.safetensors"


def ensure_copies(base: Path, folder: Path, lessons: Sequence[Lesson]) -> None:
    """Train what is missing.

    Args:
        base: Folder of the base.
        folder: Work folder of the trainings.
        lessons: Wanted copies.
    """
    ensure_files(lessons, partial(copy_path, folder), lambda: _trainer(base), {"format": "pt"})


def _trainer(base: Path) -> Train:
    codec = codec_of(load_token_model(base, "cpu", torch.float32).model.model.vqmodel)
    codec.requires_grad_(False)
    return lambda lesson: dict(fine_tune(deepcopy(codec), lesson))


def main() -> None:
    """Train the copies of the loopback Hub, or those of other styles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--styles", nargs="+", choices=list(STYLES), default=ZOO_STYLES)
    arguments = parser.parse_args()
    layout = json.loads((arguments.base / "config.json").read_text("utf-8"))["model_type"]
    ensure_copies(arguments.base, arguments.work, [LESSONS[layout](style) for style in arguments.styles])


if __name__ == "__main__":
    main()
