"""Hooks on a pipeline's denoiser and decoder: count samples, keep outputs for a proof, notice NaN."""

from __future__ import annotations

from typing import Any, Literal

import torch

from auditor.generation.generator import DenoiserCalls

Purpose = Literal["base", "adapted", "proof"]


class PipelineWatch:
    """Sees every sample that goes through one pipeline."""

    def __init__(self, denoiser: torch.nn.Module, decoder: torch.nn.Module, calls: DenoiserCalls) -> None:
        self.purpose: Purpose = "base"
        """Counter that the next samples belong to."""
        self._calls = calls
        self._kept: list[torch.Tensor] | None = None
        self._nonfinite: list[torch.Tensor] = []
        denoiser.register_forward_hook(self._after_denoiser, with_kwargs=True)
        decoder.register_forward_hook(self._after_decoder)

    def not_evaluated(self, samples: int) -> None:
        """Samples that the denoiser is being given and will not evaluate."""
        setattr(self._calls, self.purpose, getattr(self._calls, self.purpose) - samples)

    def start_keeping(self) -> None:
        """Keep the denoiser's outputs from now on, for `kept`."""
        self._kept = []

    def kept(self) -> torch.Tensor:
        """All outputs since `start_keeping` as one float64 vector, and stop keeping."""
        outputs, self._kept = self._kept or [], None
        return torch.cat([torch.zeros(0), *(output.flatten() for output in outputs)]).double()

    def start_batch(self) -> None:
        """Forget what the decoder did before."""
        self._nonfinite = []

    def nonfinite(self) -> torch.Tensor | None:
        """Which images of the batch the decoder gave NaN or infinity, (n,) bool; null if it did not run."""
        return torch.cat(self._nonfinite) if self._nonfinite else None

    def _after_denoiser(self, module: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        sample = args[0] if args else kwargs.get("hidden_states", kwargs.get("sample"))
        # Z-Image's takes and gives a list of pictures
        setattr(self._calls, self.purpose, getattr(self._calls, self.purpose) + len(sample))
        if self._kept is not None:
            first = output[0] if isinstance(output, tuple) else output.sample
            for part in first if isinstance(first, list) else [first]:
                self._kept.append(part.detach().float().cpu())

    def _after_decoder(self, module: torch.nn.Module, args: Any, output: torch.Tensor) -> None:
        # the pipeline clamps what it returns, which hides infinities; slicing decodes in several calls
        self._nonfinite.append(~torch.isfinite(output).flatten(1).all(dim=1))
