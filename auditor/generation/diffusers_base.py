"""A diffusers pipeline as a base, with at most one adapter on it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.adapters.layout import BaseLayout
from auditor.adapters.normalised import NormalisedAdapter
from auditor.common.device_memory import in_batches, memory_named
from auditor.errors import BaseDamaged, ItemError, Refused
from auditor.families.guided_steps import ALWAYS, Interval
from auditor.families.table import PIPELINES
from auditor.generation.applying import Applier
from auditor.generation.conditioning import PromptEncoder, call_arguments, draw_noise
from auditor.generation.fingerprint import combine, fingerprint_tensors, require_unchanged
from auditor.generation.generator import DenoiserCalls, check_images, checked_seeds, relative_change
from auditor.generation.guidance_interval import GuidanceInterval
from auditor.generation.injection import has_wrappers, layout_of
from auditor.generation.pipeline_loading import load_pipeline, modules_of
from auditor.generation.prompt_forms import FORMS
from auditor.generation.render_options import RenderOptions
from auditor.generation.trouble import WIDER, in_bfloat16, in_wider_formats, use_less_memory
from auditor.generation.watch import PipelineWatch
from auditor.records.adapter import ApplicationProof

PROOF_PROMPT = "a photo"
PROOF_SEED = 20_240_229
PROOF_STEPS = 2
_BASE_TEXT = "base"


class DiffusersBase:
    """A text-to-image pipeline of diffusers loaded from a local folder.

    Images are float-equal, not bit-equal, between batches of different sizes: matrix kernels round by shape.
    Render both arms of a comparison with the same batching.
    """

    def __init__(self, path: Path | str, options: RenderOptions | None = None) -> None:
        """Load the base and take its fingerprint.

        Args:
            path: Local folder in the Hub's layout, weights as safetensors.
            options: How it draws.
        """
        self.path = Path(path)
        self.options = options or RenderOptions()
        self.batch_size = self.options.batch_size
        self.calls = DenoiserCalls()
        self.last_checks = check_images(np.zeros((0, self.options.size, self.options.size, 3), np.uint8))
        self._load()
        self._original = fingerprint_tensors(modules_of(self._pipe))
        self.base_fingerprint = combine(self._original)

    def _open(self) -> Any:
        """The pipeline, ready to render."""
        return load_pipeline(self.path, self.options)

    def _load(self) -> None:
        self._pipe = self._open()
        self._denoiser_name = PIPELINES[type(self._pipe).__name__]
        self._denoiser: Any = getattr(self._pipe, self._denoiser_name)
        self._decoder_dtype = self._pipe.vae.dtype
        self._layout = layout_of(modules_of(self._pipe), self._denoiser_name, self.options.family)
        self._prompts = PromptEncoder(self._pipe, guided=self.options.guidance > 1)
        self._proof_prompts = PromptEncoder(self._pipe, guided=False)
        self._adapter: NormalisedAdapter | None = None
        self._adapter_state = _BASE_TEXT
        self._proof_output: torch.Tensor | None = None
        self._applier = Applier(self._pipe, self.options.application)
        self._watch = PipelineWatch(self._denoiser, self._pipe.vae.decoder, self.calls)
        if self.options.compiled:
            # the forward alone: the hooks of the watch count, which no graph should try to hold
            self._denoiser.forward = torch.compile(self._denoiser.forward)
        passes = FORMS[type(self._pipe).__name__].passes
        self._interval = GuidanceInterval(self._denoiser, passes, self._watch.not_evaluated)

    def draw_as(self, *, size: int, steps: int, guidance: float, guidance_interval: Interval = ALWAYS) -> None:
        """Draw larger or smaller, in more or fewer steps, with more or less guidance from now on; an adapter stays on.

        Args:
            size: Height and width of the images, pixels.
            steps: Denoising steps.
            guidance: Guidance scale; 1 or less switches classifier-free guidance off.
            guidance_interval: Where it acts, from and to in shares of the steps.
        """
        if (guidance > 1) != (self.options.guidance > 1):
            self._prompts = PromptEncoder(self._pipe, guided=guidance > 1)
        if size != self.options.size:
            self._proof_output = None
        self.options = replace(
            self.options, size=size, steps=steps, guidance=guidance, guidance_interval=guidance_interval
        )

    def layout(self) -> BaseLayout:
        """Modules of the denoiser and the text encoders that an adapter may change."""
        return self._layout

    def fingerprint(self) -> str:
        """Digest of every weight of the base as it is now, an adapter in place not counted."""
        self._applier.set_strength(0.0)
        return combine(fingerprint_tensors(modules_of(self._pipe)))

    def apply(self, adapter: NormalisedAdapter) -> ApplicationProof:
        """Put an adapter on and prove it: every change in place, finite, at scale 1, and the output moves.

        Raises:
            Refused: Factors or the denoiser's output are not finite in the base's precision.
            ItemError: Failed as `not_applied`. In both cases the adapter is off again.
        """
        if self._adapter is not None:
            raise RuntimeError("an adapter is already in place; remove it first")
        prompt = " ".join([PROOF_PROMPT, *(embedding.spelling for embedding in adapter.embeddings)])
        base_output = self._base_proof_output(prompt)
        try:
            norm = self._applier.put_on(adapter)
            if norm == 0.0 and not adapter.no_learned_change:
                raise ItemError("no_effect", "no_learned_change", "On this base every weight change is exactly zero.")
            self._adapter, self._adapter_state = adapter, uuid.uuid4().hex
            shift = self._proof_shift(prompt, base_output)
            if shift == 0.0 and not adapter.no_learned_change:
                message = "Every layer carries the adapter, yet the denoiser's output does not move."
                raise ItemError("failed", "not_applied", message)
        except BaseException:
            self._take_off()
            raise
        return ApplicationProof(
            pairs_in_file=adapter.facts.pairs,
            layers_injected=adapter.facts.pairs - len(adapter.unmatched),
            pairs_unmatched=len(adapter.unmatched),
            delta_norm=norm,
            latent_shift=shift,
            fingerprint=self.base_fingerprint,
        )

    def remove(self) -> None:
        """Take the adapter off and compare every weight of the base with its fingerprint.

        Raises:
            BaseDamaged: A weight differs; call `rebuild` and redo what was made since the last good check.
        """
        self._take_off()
        components = modules_of(self._pipe)
        if left := [name for name, model in components.items() if has_wrappers(model)]:
            raise BaseDamaged(f"Adapter layers are left in {', '.join(left)}. The base must be rebuilt.")
        require_unchanged(components, self._original)

    def rebuild(self) -> None:
        """Load the base anew from its files.

        Raises:
            BaseDamaged: The files themselves are no longer what they were.
        """
        self._load()
        if self.fingerprint() != self.base_fingerprint:
            raise BaseDamaged(f"The files in {self.path} are not the ones this run began with.")

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, scale: float = 1.0, adapter: bool = True
    ) -> NDArray[np.uint8]:
        """Render one image per prompt, each from its own noise.

        Args:
            prompts: n texts.
            seeds: n noise seeds, 0 to 2^63 - 1.
            scale: Strength of the adapter; its file's own is 1.
            adapter: False renders the base, bit-equal to a pipeline that never wore an adapter.

        Returns:
            (n, size, size, 3) uint8. `last_checks` holds their flags.

        Raises:
            MemoryTooSmall: Not even one picture at a time fits; smaller batches were tried before and stay in use.
        """
        checked_seeds(prompts, seeds)
        adapted = adapter and self._adapter is not None and scale != 0.0
        images = np.zeros((len(prompts), self.options.size, self.options.size, 3), np.uint8)
        nonfinite = np.zeros(len(prompts), np.bool_)
        if self._adapter is not None:
            self._applier.set_strength(scale if adapted else 0.0)
        self._watch.purpose = "adapted" if adapted else "base"
        state = self._text_state(scale) if adapted else _BASE_TEXT

        def render(rows: slice) -> None:
            images[rows], nonfinite[rows] = self._render(prompts[rows], seeds[rows], state)

        with memory_named(f"One picture of {self.options.size} pixels by the base in {self.path}"):
            self.batch_size = in_batches(
                len(prompts), self.batch_size, render, on_smaller=lambda size: use_less_memory(self._pipe, size)
            )
        self.last_checks = check_images(images, nonfinite)
        return images

    def _take_off(self) -> None:
        self._applier.take_off()
        self._adapter, self._adapter_state = None, _BASE_TEXT
        self._prompts.keep_only(_BASE_TEXT)
        self._proof_prompts.keep_only(_BASE_TEXT)

    def _text_state(self, scale: float) -> str:
        """Name of the text encoders' state: embeddings are reused within one."""
        if self._adapter is None or not self._adapter.touches_text_encoder():
            return _BASE_TEXT
        return f"{self._adapter_state}@{scale!r}"

    @torch.inference_mode()
    def _render(
        self, prompts: Sequence[str], seeds: Sequence[int], state: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """One batch: (n, size, size, 3) uint8 and (n,) whether it is not finite in wider number formats either."""
        return in_wider_formats(lambda now: self._render_once(prompts, seeds, state + now), self._pipe)

    def _render_once(
        self, prompts: Sequence[str], seeds: Sequence[int], state: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        self._watch.start_batch()
        decoded = self._call(
            self._prompts.arguments(prompts, state), seeds, self.options.steps, self.options.guidance, "pt"
        )
        nonfinite = ~torch.isfinite(decoded).flatten(1).all(dim=1)
        if (undecodable := self._watch.nonfinite()) is not None:
            nonfinite |= undecodable
        pixels = decoded.float().nan_to_num(0.0).clamp(0, 1).mul(255).round().to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).cpu().numpy(), nonfinite.cpu().numpy()

    def _call(
        self,
        conditioning: dict[str, Any],
        seeds: Sequence[int],
        steps: int,
        guidance: float,
        kind: str,
    ) -> Any:
        noise, generators = draw_noise(self._pipe, seeds, self.options.size)
        exact = FORMS[type(self._pipe).__name__].keeps_float32
        self._interval.begin(self._pipe.scheduler, self.options.guidance_interval, guided=guidance > 1)
        result = self._pipe(
            **conditioning,
            latents=noise.to(device=self.options.device, dtype=None if exact else self._denoiser.dtype),
            generator=generators,
            num_inference_steps=steps,
            **call_arguments(self._pipe, guidance),
            height=self.options.size,
            width=self.options.size,
            output_type=kind,
        )
        self._pipe.vae.to(self._decoder_dtype)  # AuraFlow decodes in float32 and leaves it so
        return result.images

    def _proof_shift(self, prompt: str, base_output: torch.Tensor) -> float:
        """How far the adapter moves the denoiser's output; measured in bfloat16 where float16 overflows.

        Raises:
            Refused: `nonfinite_weights`, in that too.
        """
        try:
            return relative_change(self._proof_run(self._text_state(1.0), prompt), base_output)
        except Refused:
            if self.options.dtype != "float16":
                raise
        with in_bfloat16(self._pipe):
            self._applier.set_strength(0.0)
            base_output = self._proof_run(_BASE_TEXT + WIDER, prompt)
            self._applier.set_strength(1.0)
            return relative_change(self._proof_run(self._text_state(1.0) + WIDER, prompt), base_output)

    @torch.inference_mode()
    def _proof_run(self, state: str, prompt: str) -> torch.Tensor:
        """The denoiser's outputs over two unguided steps from a fixed latent, one early and one late."""
        self._watch.purpose = "proof"
        self._watch.start_keeping()
        try:
            conditioning = self._proof_prompts.arguments([prompt], state)
            self._call(conditioning, [PROOF_SEED], PROOF_STEPS, 1.0, "latent")
        finally:
            output = self._watch.kept()
        if not torch.isfinite(output).all():
            raise Refused("nonfinite_weights", "With the adapter the denoiser's output is not finite.")
        return output

    def _base_proof_output(self, prompt: str) -> torch.Tensor:
        if prompt != PROOF_PROMPT:
            return self._proof_run(_BASE_TEXT, prompt)
        if self._proof_output is None:
            self._proof_output = self._proof_run(_BASE_TEXT, prompt)
        return self._proof_output
