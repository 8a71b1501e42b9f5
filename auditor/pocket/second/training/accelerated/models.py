"""The encoder, the decoder and the denoiser on a GPU: the lessons of `clip`, `vae` and `base`, bounded by a clock."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTokenizer

from auditor.pocket.second import corpus
from auditor.pocket.second.training import base as base_training
from auditor.pocket.second.training import clip as clip_training
from auditor.pocket.second.training import vae as vae_training
from auditor.pocket.second.training.accelerated.paced import Pace, train_paced
from auditor.pocket.second.training.tokenizer import build_tokenizer
from auditor.pocket.training.loop import best_device

HELD_OUT_SEED = 2
AUTOCAST = torch.bfloat16


def _rows(count: int, batch: int, device: torch.device) -> torch.Tensor:
    return torch.randint(count, (batch,), device=device)


def _resident(work: Path, count: int, device: torch.device) -> tuple[torch.Tensor, list[str]]:
    """All pictures of the corpus, (n, 3, 64, 64) uint8 on the device, and their captions."""
    images, captions = corpus.build(work / "corpus", count, seed=1)
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).contiguous(), captions


def _scaled(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.float() / 127.5 - 1


def train_clip(work: Path, weights: Path, count: int, seconds: float, batch: int = 1024) -> None:
    """Train and save the CLIP."""
    torch.manual_seed(7)
    device = best_device()
    pixels, captions = _resident(work, count, device)
    tokenizer = build_tokenizer(captions, weights / "clip")
    tokens = base_training.tokenize(tokenizer, captions).to(device)
    config = clip_training.model_config(len(tokenizer))
    model = clip_training.create(config).to(device)
    model.visual.patch_dropout = nn.Identity()

    def loss() -> torch.Tensor:
        rows = _rows(count, batch, device)
        text = tokens[rows]
        with torch.autocast(device.type, AUTOCAST, cache_enabled=False):
            x, y, scale = model(_scaled(pixels[rows]), text)[:3]
        logits = scale.float() * x.float() @ y.float().T
        # Two pictures of a batch may share a caption; both then count as right.
        same = (text[:, None] == text[None]).all(-1).float()
        target = same / same.sum(1, keepdim=True)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    def keep(averaged: nn.Module) -> None:
        clip_training.save(averaged, config, weights / "clip")

    trained, steps = train_paced(model, loss, Pace(seconds, rate=1e-3, weight_decay=0.05), "clip", keep)
    keep(trained)
    top1 = clip_training.held_out_top1(trained, tokenizer, work / "corpus")
    figures = {"held_out_top1_of_500": top1, "steps": steps, "batch": batch, "pictures": count}
    (weights / "clip" / "figures.json").write_text(json.dumps(figures))
    print(f"held-out retrieval top-1 of 500: {top1:.3f}")


def train_vae(work: Path, weights: Path, count: int, seconds: float, batch: int = 192) -> None:
    """Fit the encoder, train and save the decoder."""
    torch.manual_seed(11)
    device = best_device()
    pixels, _ = _resident(work, count, device)
    vae = vae_training.create()
    vae_training.fit_encoder(vae, pixels[:4000].permute(0, 2, 3, 1).cpu().numpy())
    vae.to(device, memory_format=torch.channels_last)

    def loss() -> torch.Tensor:
        target = _scaled(pixels[_rows(count, batch, device)])
        with torch.no_grad():
            latents = vae.encode(target).latents
        # A denoiser's latents are never exact: the decoder learns to bear a little noise.
        with torch.autocast(device.type, AUTOCAST, cache_enabled=False):
            restored = vae.decode(latents + 0.04 * torch.randn_like(latents)).sample
        return F.mse_loss(restored.float(), target) + 0.1 * F.l1_loss(restored.float(), target)

    def keep(averaged: nn.Module) -> None:
        saved = vae_training.create()
        saved.load_state_dict({k: v.cpu() for k, v in averaged.state_dict().items()})
        saved.half().save_pretrained(weights / "base" / "vae")

    pace = Pace(seconds, rate=2e-3, average=0.995, weight_decay=0.0)
    trained, steps = train_paced(vae, loss, pace, "vae", keep)
    assert isinstance(trained, AutoencoderTiny)
    keep(trained)
    held_out, _ = corpus.build(work / "corpus", 2000, HELD_OUT_SEED)
    exact = _scaled(torch.from_numpy(np.array(held_out[:500])).to(device).permute(0, 3, 1, 2))
    with torch.no_grad():
        error = float(F.mse_loss(trained.decode(trained.encode(exact).latents).sample, exact))
    (weights / "base" / "vae_figures.json").write_text(json.dumps({"held_out_mse": error, "steps": steps}))
    (work / "vae.done").touch()
    print(f"held-out mean squared error on [-1, 1]: {error:.4f}")


class Velocity:
    """Noising and the velocity target, computed on the device (the scheduler's own keep their tables on the CPU)."""

    def __init__(self, device: torch.device) -> None:
        products = base_training.scheduler().alphas_cumprod.to(device)
        self.signal, self.noise = products.sqrt().view(-1, 1, 1, 1), (1 - products).sqrt().view(-1, 1, 1, 1)

    def noisy(
        self, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents with noise of `times` (n,), and the velocity that leads back."""
        signal, share = self.signal[times], self.noise[times]
        return signal * latents + share * noise, signal * noise - share * latents


def train_base(
    work: Path, weights: Path, count: int, seconds: float, batch: int = 256, start: Path | None = None
) -> None:
    """Train and save the denoiser and its text encoder; `start` is a finished pipeline to go on from."""
    torch.manual_seed(13)
    device = best_device()
    images, captions = corpus.build(work / "corpus", count, seed=1)
    tokenizer: CLIPTokenizer = (
        CLIPTokenizer.from_pretrained(start / "tokenizer") if start else build_tokenizer(captions, work / "tokenizer")
    )
    tokens = base_training.tokenize(tokenizer, captions).to(device)
    empty = base_training.tokenize(tokenizer, [""]).to(device)
    vae: AutoencoderTiny = vae_training.create()
    vae_training.fit_encoder(vae, np.asarray(images[:4000]))
    vae.to(device)
    latents = torch.cat([vae_training.encode(vae, images[i : i + 2000], device) for i in range(0, count, 2000)])
    denoiser = (base_training.finished(start) if start else base_training.created(tokenizer)).to(device)
    denoiser.unet.to(memory_format=torch.channels_last)
    velocity = Velocity(device)

    def loss() -> torch.Tensor:
        rows = _rows(count, batch, device)
        x, noise = latents[rows], torch.randn((batch, *latents.shape[1:]), device=device)
        times = torch.randint(1000, (batch,), device=device)
        dropped = torch.rand((batch, 1), device=device) < 0.1  # for guidance
        noisy, target = velocity.noisy(x, noise, times)
        with torch.autocast(device.type, AUTOCAST, cache_enabled=False):
            predicted = denoiser(noisy, times, torch.where(dropped, empty, tokens[rows]))
        return F.mse_loss(predicted.float(), target)

    def keep(averaged: nn.Module) -> None:
        base_training.save(averaged, tokenizer, vae, weights / "base")

    trained, steps = train_paced(denoiser, loss, Pace(seconds, rate=1e-3, average=0.9985), "base",
                                 lambda m: torch.save(m.state_dict(), work / "base-kept.pt"))  # fmt: skip
    keep(trained)
    (weights / "base" / "base_figures.json").write_text(json.dumps({"steps": steps, "batch": batch, "pictures": count}))
    (work / "base.done").touch()
