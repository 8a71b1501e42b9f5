"""Prompt embeddings and noise in the form that each pipeline class takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch

from auditor.generation.prompt_forms import FORMS, Row

CACHE_BYTES = 512 * 1024**2


class PromptEncoder:
    """Embeds prompts and remembers the result, as long as the text encoders stay as they are.

    Prompts longer than the tokenizer's window are cut there, as the pipelines do.
    """

    def __init__(self, pipe: Any, *, guided: bool) -> None:
        self._pipe = pipe
        self._form = FORMS[type(pipe).__name__]
        self._guided = guided and self._form.negative
        self._cache: OrderedDict[tuple[str, object], Row] = OrderedDict()
        self._bytes = 0

    def keep_only(self, state: object) -> None:
        """Forget what was embedded in any other state of the text encoders."""
        for key in [key for key in self._cache if key[1] != state]:
            self._drop(key)

    def arguments(self, prompts: Sequence[str], state: object) -> dict[str, Any]:
        """Keyword arguments that replace `prompt` in the pipeline's call.

        Args:
            prompts: One per image.
            state: What the text encoders currently are; embeddings are shared within one state.
        """
        wanted = [*prompts, ""] if self._guided else list(prompts)
        rows = self._rows(wanted, state)
        positive = [rows[prompt] for prompt in prompts]
        if not self._guided:
            return self._form.stack(positive)
        negative = rows[""]
        if getattr(self._pipe.config, "force_zeros_for_empty_prompt", False):
            negative = {name: torch.zeros_like(tensor) for name, tensor in negative.items()}
        # together, so that both are padded to one length: some classes join them
        stacked = self._form.stack([*positive, *[negative] * len(prompts)])
        return {name: rows[: len(prompts)] for name, rows in stacked.items()} | {
            f"negative_{name}": rows[len(prompts) :] for name, rows in stacked.items()
        }

    def _rows(self, prompts: Sequence[str], state: object) -> dict[str, Row]:
        distinct = list(dict.fromkeys(prompts))
        missing = [prompt for prompt in distinct if (prompt, state) not in self._cache]
        # rows fetched now are held here, so that adding others cannot push them out unseen
        rows = {prompt: self._cache[prompt, state] for prompt in distinct if prompt not in missing}
        if missing:
            found = self._form.encode(self._pipe, missing, self._pipe._execution_device)
            for prompt, row in zip(missing, found, strict=True):
                rows[prompt] = row
                self._keep((prompt, state), row)
        return rows

    def _keep(self, key: tuple[str, object], row: Row) -> None:
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
    form = FORMS[type(pipe).__name__]
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    denoiser = pipe.unet if hasattr(pipe, "unet") else pipe.transformer
    channels, factor = denoiser.config.in_channels, pipe.vae_scale_factor
    side = size // factor if form.noise == "latents" else 2 * (size // (factor * 2))
    if form.noise == "packed":
        channels //= 4
    elif form.noise == "patched":
        side //= 2
    noise = torch.stack([torch.randn(channels, side, side, generator=g) for g in generators])  # (n, c, h, w)
    if form.noise == "packed":
        noise = pipe._pack_latents(noise, len(seeds), channels, side, side)  # (n, h w / 4, 4 c)
    return noise, generators


def call_arguments(pipe: Any, guidance: float) -> dict[str, Any]:
    """Arguments of a call that differ between the classes: guidance under its own name, and what is always set."""
    form = FORMS[type(pipe).__name__]
    return {form.guidance: max(guidance + form.guidance_offset, 0.0), **form.fixed}


def _size(row: Row) -> int:
    return sum(t.numel() * t.element_size() for t in row.values())
