"""A base that is one module of ours, personalised by other weights in place of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.adapters.layout import BaseLayout
from auditor.adapters.normalised import NormalisedAdapter
from auditor.common.device_memory import in_batches, memory_named
from auditor.errors import BaseDamaged, ItemError, Refused
from auditor.generation.fingerprint import combine, fingerprint_tensors, require_unchanged
from auditor.generation.generator import DenoiserCalls, check_images, checked_seeds, relative_change
from auditor.generation.merging import Merger
from auditor.generation.render_options import RenderOptions
from auditor.generation.trouble import release
from auditor.records.adapter import ApplicationProof

COMPONENT = "model"
"""What records call the one component of such a base."""


class ReplacedWeightsBase(ABC):
    """A generator whose adapters are whole models: the tensors that differ take the place of the base's.

    A kind of generator says how it is loaded, how it draws, and what its output for a proof is. Everything else is
    shared: what differs is put in, proved to act, and put back bit for bit, which a fingerprint checks.

    Images are float-equal, not bit-equal, between batches of different sizes: matrix kernels round by shape.
    """

    def __init__(self, path: Path | str, options: RenderOptions | None = None) -> None:
        """Load the base and take its fingerprint.

        Args:
            path: Local folder with configuration and weights as safetensors.
            options: How it draws.

        Raises:
            PrerequisiteMissing: The folder is not there, or lacks something.
            UserError: A setting that the base cannot follow.
        """
        self.path = Path(path)
        self.options = options or RenderOptions()
        self.batch_size = self.options.batch_size
        self.calls = DenoiserCalls()
        self.last_checks = check_images(np.zeros((0, self.options.size, self.options.size, 3), np.uint8))
        self._adapter: NormalisedAdapter | None = None
        self._strength = 0.0
        self._load()
        self._original = fingerprint_tensors(self._components())
        self.base_fingerprint = combine(self._original)

    @abstractmethod
    def _open(self) -> Any:
        """The model, in evaluation mode, on its device and in its number format."""

    @abstractmethod
    def _draw(self, prompts: Sequence[str], seeds: Sequence[int]) -> torch.Tensor:
        """Pictures of one batch with the weights as they are now: (n, 3, size, size), 0 to 1 before clamping.

        Everything random comes from each picture's own seed, so that a picture does not depend on its batch. Calls are
        counted with `_count`.
        """

    @abstractmethod
    def _proof(self) -> torch.Tensor:
        """What the weights that draw give on a fixed input, as one tensor: it moves when they do."""

    @property
    def adapted(self) -> bool:
        """Whether the adapter's weights are in place now."""
        return self._strength != 0.0

    def layout(self) -> BaseLayout:
        """Every weight and statistic that a copy may replace, by the names in its files."""
        weights = self._model.state_dict().items()
        own = {name: tuple(tensor.shape) for name, tensor in weights if tensor.is_floating_point()}
        return BaseLayout(COMPONENT, {COMPONENT: {}}, self.options.family, {COMPONENT: own})

    def fingerprint(self) -> str:
        """Digest of every weight of the base as it is now, an adapter in place not counted."""
        self._set_strength(0.0)
        return combine(fingerprint_tensors(self._components()))

    def apply(self, adapter: NormalisedAdapter) -> ApplicationProof:
        """Put the weights of a copy in and prove it: each is in place and finite, and the output moves.

        Raises:
            Refused: A weight or the output is not finite in the base's precision.
            ItemError: No weight that draws differs from the base's. In both cases the adapter is off again.
        """
        if self._adapter is not None:
            raise RuntimeError("an adapter is already in place; remove it first")
        base_output = self._proof_run()
        try:
            self._adapter, self._strength = adapter, 1.0
            norm = float(self._merger.put(adapter.changes) ** 0.5)
            if norm == 0.0:
                raise ItemError("no_effect", "no_learned_change", "Every weight is the base's own.")
            shift = relative_change(self._proof_run(), base_output)
            if shift == 0.0:
                message = "Its weights differ from the base's only where they draw nothing."
                raise ItemError("no_effect", "no_learned_change", message)
        except BaseException:
            self._take_off()
            raise
        return ApplicationProof(
            pairs_in_file=adapter.facts.pairs,
            layers_injected=len(adapter.changes),
            pairs_unmatched=0,
            delta_norm=norm,
            latent_shift=shift,
            fingerprint=self.base_fingerprint,
        )

    def remove(self) -> None:
        """Put the base's own weights back and compare every one with its fingerprint.

        Raises:
            BaseDamaged: A weight differs; call `rebuild` and redo what was made since the last good check.
        """
        self._take_off()
        require_unchanged(self._components(), self._original)

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
        """Render one image per prompt, each from its own seed.

        Args:
            prompts: n texts.
            seeds: n seeds, 0 to 2^63 - 1.
            scale: Strength of the copy: W + scale x (W' - W). Its own is 1.
            adapter: False renders the base, bit-equal to one whose weights were never replaced.

        Returns:
            (n, size, size, 3) uint8. `last_checks` holds their flags.

        Raises:
            MemoryTooSmall: Not even one picture at a time fits; smaller batches were tried before and stay in use.
        """
        checked_seeds(prompts, seeds)
        self._set_strength(scale if adapter and self._adapter is not None else 0.0)
        images = np.zeros((len(prompts), self.options.size, self.options.size, 3), np.uint8)
        nonfinite = np.zeros(len(prompts), np.bool_)

        def render(rows: slice) -> None:
            with torch.inference_mode():
                drawn = self._draw(prompts[rows], seeds[rows])
            nonfinite[rows] = (~torch.isfinite(drawn).flatten(1).all(dim=1)).cpu().numpy()
            pixels = drawn.float().nan_to_num(0.0).clamp(0, 1).mul(255).round().to(torch.uint8)
            images[rows] = pixels.permute(0, 2, 3, 1).cpu().numpy()

        with memory_named(f"One picture of {self.options.size} pixels by the base in {self.path}"):
            self.batch_size = in_batches(len(prompts), self.batch_size, render, on_smaller=lambda size: release())
        self.last_checks = check_images(images, nonfinite)
        return images

    def _load(self) -> None:
        self._model: torch.nn.Module = self._open()
        self._model.requires_grad_(False)
        self._merger = Merger({COMPONENT: self._model})
        self._adapter, self._strength = None, 0.0

    def _set_strength(self, strength: float) -> None:
        self._merger.set_strength(strength)
        self._strength = strength

    def _take_off(self) -> None:
        self._merger.clear()
        self._adapter, self._strength = None, 0.0

    def _components(self) -> dict[str, torch.nn.Module]:
        """Everything whose weights draw, by name."""
        return {COMPONENT: self._model}

    def _count(self, samples: int) -> None:
        """Count samples that went through the network which draws."""
        purpose = "adapted" if self.adapted else "base"
        setattr(self.calls, purpose, getattr(self.calls, purpose) + samples)

    @torch.inference_mode()
    def _proof_run(self) -> torch.Tensor:
        output = self._proof().detach().double().cpu()
        if not torch.isfinite(output).all():
            raise Refused("nonfinite_weights", "The output of the network is not finite.")
        return output
