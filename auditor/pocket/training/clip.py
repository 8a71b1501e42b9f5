"""Train the pocket CLIP: a real open_clip model with its own vocabulary.

    python -m auditor.pocket.training.clip --out weights/clip --work .auditor/training

About 40 minutes on one CPU core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from auditor.pocket import corpus
from auditor.pocket.training.loop import Plan, best_device, train
from auditor.pocket.training.tokenizer import CONTEXT, build_tokenizer

CORPUS_SIZE = 60_000
MEAN = STD = (0.5, 0.5, 0.5)


def model_config(vocabulary: int) -> dict[str, object]:
    """The open_clip configuration: image tower 5 x 160 on 8-pixel patches, text tower 3 x 128."""
    return {
        "embed_dim": 128,
        "vision_cfg": {
            "image_size": 64,
            "layers": 5,
            "width": 160,
            "head_width": 32,
            "patch_size": 8,
            "patch_dropout": 0.4,
        },
        "text_cfg": {
            "context_length": CONTEXT,
            "vocab_size": vocabulary,
            "width": 128,
            "heads": 4,
            "layers": 3,
            "hf_tokenizer_name": ".",
        },
    }


def create(config: dict[str, object]) -> open_clip.CLIP:
    """Build the model of `model_config` with fresh weights."""
    text = {k: v for k, v in dict(config["text_cfg"]).items() if k != "hf_tokenizer_name"}  # type: ignore[call-overload]
    return open_clip.CLIP(embed_dim=config["embed_dim"], vision_cfg=config["vision_cfg"], text_cfg=text)


def _save(model: open_clip.CLIP, config: dict[str, object], out: Path) -> None:
    kept = json.loads(json.dumps(config))
    kept["vision_cfg"].pop("patch_dropout")  # a training device only
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    out.mkdir(parents=True, exist_ok=True)
    (out / "open_clip_config.json").write_text(json.dumps({"model_cfg": kept, "preprocess_cfg": preprocess}, indent=1))
    weights = {k: v.detach().half().contiguous().cpu() for k, v in model.state_dict().items()}
    save_file(weights, out / "open_clip_model.safetensors")


@torch.no_grad()
def retrieval_top1(model: open_clip.CLIP, images: torch.Tensor, tokens: torch.Tensor) -> float:
    """Share of images whose own caption is the nearest of all given captions."""
    model.eval()
    x = torch.cat([F.normalize(model.encode_image(b), dim=-1) for b in images.split(100)])
    y = F.normalize(model.encode_text(tokens), dim=-1)
    return float(((x @ y.T).argmax(1) == torch.arange(len(x), device=x.device)).float().mean())


def _pixels(images: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def held_out_top1(model: open_clip.CLIP, tokenizer: object, folder: Path, count: int = 500) -> float:
    """Retrieval among `count` held-out pictures with distinct captions."""
    images, captions = corpus.build(folder, 2000, seed=2)
    rows = sorted({c: i for i, c in reversed(list(enumerate(captions)))}.values())[:count]
    device = next(model.parameters()).device
    tokens = tokenizer(
        [captions[i] for i in rows], padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt"
    )["input_ids"].to(device)  # type: ignore[operator]
    return retrieval_top1(model, _pixels(images[rows], device), tokens)


def main() -> None:
    """Train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = best_device()
    images, captions = corpus.build(arguments.work / "corpus", CORPUS_SIZE, seed=1)
    tokenizer = build_tokenizer(captions, arguments.out)
    tokens = tokenizer(captions, padding="max_length", max_length=CONTEXT, truncation=True, return_tensors="pt")[
        "input_ids"
    ].to(device)
    config = model_config(len(tokenizer))
    model = create(config).to(device)

    def loss_at(step: int) -> torch.Tensor:
        if step >= int(arguments.steps * 0.75):  # the last quarter sees whole pictures, as use does
            model.visual.patch_dropout = torch.nn.Identity()
        rows = np.sort(np.random.default_rng([7, step]).choice(CORPUS_SIZE, arguments.batch, replace=False))
        x, y, scale = model(_pixels(images[rows], device), tokens[rows])[:3]
        logits = scale * x @ y.T
        # Two pictures of a batch may share a caption; both then count as right.
        same = (tokens[rows][:, None] == tokens[rows][None]).all(-1).float()
        target = same / same.sum(1, keepdim=True)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    plan = Plan(arguments.steps, rate=1e-3, warmup=150, weight_decay=0.05, checkpoint=arguments.work / "clip.pt")
    train(model, loss_at, plan, "clip")
    _save(model, config, arguments.out)
    top1 = held_out_top1(model, tokenizer, arguments.work / "corpus")
    (arguments.out / "figures.json").write_text(json.dumps({"held_out_top1_of_500": top1, "steps": arguments.steps}))
    print(f"held-out retrieval top-1 of 500: {top1:.3f}")


if __name__ == "__main__":
    main()
