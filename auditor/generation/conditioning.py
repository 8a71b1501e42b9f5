"""Prompt embeddings and noise in the form that each pipeline class takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch

CACHE_BYTES = 512 * 1024**2

Embedding = tuple[torch.Tensor, torch.Tensor | None]
"""Token embeddings (tokens, width) and, where the class has one, the pooled embedding (width,)."""


class PromptEncoder:
    """Embeds prompts and remembers the result, as long as the text encoders stay as they are.

    Prompts longer than the tokenizer's window are cut there, as the pipelines do.
    """

    def __init__(self, pipe: Any, *, guided: bool) -> None:
        self._pipe = pipe
        self._class = type(pipe).__name__
        # FLUX takes the guidance as a number into the network: there is no second, unguided evaluation
        self._guided = guided and self._class != "FluxPipeline"
        self._cache: OrderedDict[tuple[str, object], Embedding] = OrderedDict()
        self._bytes = 0

    def keep_only(self, state: object) -> None:
        """Forget what was embedded in any other state of the text encoders."""
        for key in [key for key in self._cache if key[1] != state]:
            self._drop(key)

    def arguments(self, prompts: Sequence[str], state: object) -> dict[str, torch.Tensor]:
        """Keyword arguments that replace `prompt` in the pipeline's call.

        Args:
            prompts: One per image.
            state: What the text encoders currently are; embeddings are shared within one state.
        """
        wanted = [*prompts, ""] if self._guided else list(prompts)
        rows = self._rows(wanted, state)
        positive = [rows[prompt] for prompt in prompts]
        result = _stack(positive, "")
        if self._guided:
            negative = rows[""]
            if getattr(self._pipe.config, "force_zeros_for_empty_prompt", False):
                negative = _zeros(negative)
            result |= _stack([negative] * len(prompts), "negative_")
        return result

    def _rows(self, prompts: Sequence[str], state: object) -> dict[str, Embedding]:
        distinct = list(dict.fromkeys(prompts))
        missing = [prompt for prompt in distinct if (prompt, state) not in self._cache]
        # rows fetched now are held here, so that adding others cannot push them out unseen
        rows = {prompt: self._cache[prompt, state] for prompt in distinct if prompt not in missing}
        if missing:
            for prompt, row in zip(missing, self._encode(missing), strict=True):
                rows[prompt] = row
                self._keep((prompt, state), row)
        return rows

    def _encode(self, prompts: list[str]) -> list[Embedding]:
        device = self._pipe._execution_device
        if self._class == "StableDiffusionPipeline":
            tokens, _ = self._pipe.encode_prompt(prompts, device, 1, False)
            pooled = None
        elif self._class == "StableDiffusionXLPipeline":
            tokens, _, pooled, _ = self._pipe.encode_prompt(
                prompts, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
            )
        elif self._class == "StableDiffusion3Pipeline":
            tokens, _, pooled, _ = self._pipe.encode_prompt(
                prompts, None, None, device=device, do_classifier_free_guidance=False
            )
        else:
            tokens, pooled, _ = self._pipe.encode_prompt(prompts, None, device=device)
        return [(tokens[row].clone(), None if pooled is None else pooled[row].clone()) for row in range(len(prompts))]

    def _keep(self, key: tuple[str, object], row: Embedding) -> None:
        self._cache[key] = row
        self._bytes += _size(row)
        while self._bytes > CACHE_BYTES and len(self._cache) > 1:
            self._drop(next(iter(self._cache)))

    def _drop(self, key: tuple[str, object]) -> None:
        self._bytes -= _size(self._cache.pop(key))


def draw_noise(pipe: Any, seeds: Sequence[int], size: int) -> tuple[torch.Tensor, list[torch.Generator]]:
    """Starting noise of each image from its own CPU generator: the same wherever it stands in a batch.

    Args:
        pipe: The pipeline that will take it.
        seeds: One per image.
        size: Height and width of the images in pixels.

    Returns:
        Noise in the pipeline's latent form, float32 on the CPU, and the generators for samplers that
        draw more.
    """
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    factor = pipe.vae_scale_factor
    if type(pipe).__name__ == "FluxPipeline":
        channels, side = pipe.transformer.config.in_channels // 4, 2 * (size // (factor * 2))
    else:
        denoiser = pipe.unet if hasattr(pipe, "unet") else pipe.transformer
        channels, side = denoiser.config.in_channels, size // factor
    noise = torch.stack([torch.randn(channels, side, side, generator=g) for g in generators])  # (n, c, h, w)
    if type(pipe).__name__ == "FluxPipeline":
        noise = pipe._pack_latents(noise, len(seeds), channels, side, side)  # (n, h w / 4, 4 c)
    return noise, generators


def _stack(rows: Sequence[Embedding], prefix: str) -> dict[str, torch.Tensor]:
    result = {f"{prefix}prompt_embeds": torch.stack([tokens for tokens, _ in rows])}
    pooled = [p for _, p in rows if p is not None]
    if pooled:
        result[f"{prefix}pooled_prompt_embeds"] = torch.stack(pooled)
    return result


def _zeros(row: Embedding) -> Embedding:
    tokens, pooled = row
    return torch.zeros_like(tokens), None if pooled is None else torch.zeros_like(pooled)


def _size(row: Embedding) -> int:
    return sum(t.numel() * t.element_size() for t in row if t is not None)
