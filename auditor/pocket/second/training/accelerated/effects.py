"""What adapters change, in CLIP space: pictures with and without each adapter of a group, drawn and encoded on the GPU.

The same arithmetic as an audit: DDIM without guidance from each probe's own noise, pictures rounded to 8 bits,
normalised embeddings, their differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.encoding.open_clip_encoder import OpenClipEncoder
from auditor.pocket.second.training import base as base_training
from auditor.pocket.second.training import vae as vae_training
from auditor.pocket.second.training.accelerated.grouped import Factors, GroupedBase
from auditor.probes import load_probes

STEPS = 8
PROBES = 48


class Studio:
    """Draws the probes with whole groups of adapters."""

    def __init__(self, base: GroupedBase, encoder_folder: Path, probe_set: str, count: int = PROBES) -> None:
        self.base = base
        probes = load_probes(probe_set).first(count)
        self.prompts = list(probes.prompts)
        self.seeds = list(probes.seeds)
        self.noise = noise_of(self.seeds)
        self.text = base.embed(self.prompts)
        self.encoder = OpenClipEncoder(encoder_folder, device=str(base.device), batch_size=2048)
        self.pictures = self.draw(self.text, self.noise, None, 1)
        self.plain = self.encoder.encode_images(self.pictures)

    @torch.no_grad()
    def draw(
        self, text: torch.Tensor, noise: torch.Tensor, factors: Factors | None, adapters: int
    ) -> NDArray[np.uint8]:
        """(adapters * n, 64, 64, 3) uint8: every prompt with every adapter, adapters outermost."""
        schedule = base_training.scheduler()
        schedule.set_timesteps(STEPS)
        x = noise.to(self.base.device).repeat(adapters, 1, 1, 1)
        c = text.repeat(adapters, 1, 1)
        with self.base.wearing(factors):
            for t in schedule.timesteps:
                times = torch.full((len(x),), int(t), device=self.base.device)
                x = schedule.step(self.base.unet(x, times, c).sample, int(t), x).prev_sample
        decoded = torch.cat([self.base.vae.decode(part).sample for part in x.split(2048)])
        pixels = (decoded / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).cpu().numpy()

    def effects(self, factors: Factors, adapters: int) -> NDArray[np.float16]:
        """Differences of embeddings, (adapters, probes, dimension)."""
        pictures = self.draw(self.text, self.noise, factors, adapters)
        rows = self.encoder.encode_images(pictures).reshape(adapters, len(self.prompts), -1)
        return (rows - self.plain[None]).astype(np.float16)

    def worded(self, words: Sequence[str]) -> NDArray[np.float16]:
        """The base's own effect of words in the prompt, (words, probes, dimension)."""
        texts = [f"{prompt}, {word}" for word in words for prompt in self.prompts]
        noise = self.noise.repeat(len(words), 1, 1, 1)
        rows = self.encoder.encode_images(self.draw(self.base.embed(texts), noise, None, 1))
        return (rows.reshape(len(words), len(self.prompts), -1) - self.plain[None]).astype(np.float16)


def noise_of(seeds: Sequence[int]) -> torch.Tensor:
    """(n, 12, 16, 16) starting noise, each from its own CPU generator."""
    shape = (vae_training.CHANNELS, 16, 16)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds])
