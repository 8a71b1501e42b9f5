"""One denoiser evaluation in place of a picture, tried on the pocket: the adapted denoiser on the base's trajectory.

The base's latents x_t of every probe are kept at one step. There the adapted denoiser is evaluated once, its prediction
of the picture is decoded and embedded, and the base's own prediction at the same step is subtracted: g_i, a cheap
stand-in for d_i. As a control variate for m full pictures, with the cheap ones of all n probes,

    V = mean over the m of [d_i - b_i (g_i - g')],  g' the mean of g over the other n - m,

where b_i is the slope of d on g that is fitted without probe i. Probes are independent, so that b_i, g_i and g' are
too: the expectation of each term is that of d_i, and the estimate is unbiased whatever the slopes are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.encoding.encoder import Encoder
from auditor.generation.conditioning import draw_noise
from auditor.generation.diffusers_base import DiffusersBase

Floats = NDArray[np.float64]


class FirstLook:
    """The base's trajectory of some probes at one step. For the pocket's pipeline: DDIM, v-prediction, no guidance."""

    def __init__(
        self, base: DiffusersBase, encoder: Encoder, prompts: Sequence[str], seeds: Sequence[int], step: int
    ) -> None:
        """Draw the base's pictures once, and keep the latents before `step`.

        Args:
            base: Bare.
            encoder: Embeds the predictions.
            prompts: Of the probes.
            seeds: Their noise.
            step: Counted from 0, at least 1.
        """
        self._base, self._encoder, self._prompts = base, encoder, tuple(prompts)
        pipe: Any = base._pipe
        kept: list[torch.Tensor] = []

        def keep(_: Any, number: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
            if number == step - 1:
                kept.append(values["latents"].clone())
            return values

        for start in range(0, len(prompts), base.batch_size):
            rows = slice(start, start + base.batch_size)
            noise, _ = draw_noise(pipe, seeds[rows], base.options.size)
            pipe(
                **base._prompts.arguments(prompts[rows], "base"),
                latents=noise,
                num_inference_steps=base.options.steps,
                guidance_scale=1.0,
                output_type="latent",
                callback_on_step_end=keep,
            )
        self._latents = torch.cat(kept)
        self._timestep = pipe.scheduler.timesteps[step]
        self._alpha = pipe.scheduler.alphas_cumprod[self._timestep]
        self._of_base = self._predicted("base")

    def differences(self) -> Floats:
        """g_i of the adapter that is on the base (n, D); one evaluation a probe."""
        return self._predicted(self._base._text_state(1.0)) - self._of_base

    @torch.inference_mode()
    def _predicted(self, state: str) -> Floats:
        pipe: Any = self._base._pipe
        tokens = self._base._prompts.arguments(self._prompts, state)["prompt_embeds"]
        velocity = pipe.unet(self._latents, self._timestep, encoder_hidden_states=tokens).sample
        clean = self._alpha**0.5 * self._latents - (1 - self._alpha) ** 0.5 * velocity
        decoded = pipe.vae.decode(clean / pipe.vae.config.scaling_factor, return_dict=False)[0]
        pixels = (decoded / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
        return np.asarray(self._encoder.encode_images(pixels.numpy()), dtype=np.float64)


def controlled(full: Floats, cheap: Floats) -> Floats:
    """V (D,) from d_i of the first m probes (m, D) and g_i of all n (n, D), m below n; unbiased."""
    m = len(full)
    mine, rest = cheap[:m], cheap[m:].mean(0)
    corrected = np.empty_like(full)
    for i in range(m):
        others = np.arange(m) != i
        d, g = full[others] - full[others].mean(0), mine[others] - mine[others].mean(0)
        slope = float((d * g).sum() / max(float((g * g).sum()), 1e-12)) * (len(cheap) - m) / len(cheap)
        corrected[i] = full[i] - slope * (mine[i] - rest)
    return np.asarray(corrected.mean(0))
