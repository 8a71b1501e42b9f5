"""What every generator offers to an audit, whatever library renders its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.adapters.layout import BaseLayout
from auditor.adapters.normalised import NormalisedAdapter
from auditor.records.adapter import ApplicationProof

NEAR_BLACK_LEVEL = 2
"""No pixel above this level (of 255): a safety checker's or an overflowed decoder's black picture."""
CONSTANT_RANGE = 2
"""No channel varies by more than this many levels: there is no picture."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageChecks:
    """One flag per image of a `generate` call. A flagged image must not enter a mean."""

    nonfinite: NDArray[np.bool_]
    """The decoder produced NaN or infinity; the pixels are meaningless."""
    black: NDArray[np.bool_]
    constant: NDArray[np.bool_]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Images without any flag."""
        return ~(self.nonfinite | self.black | self.constant)


def check_images(images: NDArray[np.uint8], nonfinite: NDArray[np.bool_] | None = None) -> ImageChecks:
    """Flag images that show nothing.

    Args:
        images: (n, height, width, 3) uint8.
        nonfinite: (n,) what is known of the values before rounding.
    """
    count = images.shape[0]
    lowest = images.min(axis=(1, 2)) if count else np.zeros((0, 3), np.uint8)  # (n, 3)
    highest = images.max(axis=(1, 2)) if count else np.zeros((0, 3), np.uint8)  # (n, 3)
    return ImageChecks(
        nonfinite=np.zeros(count, np.bool_) if nonfinite is None else nonfinite,
        black=np.asarray((highest <= NEAR_BLACK_LEVEL).all(axis=1)),
        constant=np.asarray((highest.astype(np.int16) - lowest <= CONSTANT_RANGE).all(axis=1)),
    )


@dataclass(slots=True)
class DenoiserCalls:
    """Samples that went through the denoiser: images x steps, twice that with classifier-free guidance."""

    base: int = 0
    """While rendering with no adapter in effect."""
    adapted: int = 0
    """While rendering with an adapter in effect."""
    proof: int = 0
    """While proving that an adapter acts."""


MAX_SEED = 2**63


def checked_seeds(prompts: Sequence[str], seeds: Sequence[int]) -> None:
    """Refuse what no `generate` can draw.

    Raises:
        ValueError: Another number of seeds than of prompts, or a seed outside 0 to 2^63 - 1.
    """
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts but {len(seeds)} seeds")
    if any(not 0 <= seed < MAX_SEED for seed in seeds):
        raise ValueError("a seed is outside 0 to 2^63 - 1")


def relative_change(output: torch.Tensor, base: torch.Tensor) -> float:
    """‖output − base‖ / ‖base‖ in float64."""
    difference = (output.double() - base.double()).norm()
    return float(difference / base.double().norm().clamp_min(torch.finfo(torch.float64).tiny))


class Generator(Protocol):
    """A base model that can wear one adapter at a time."""

    base_fingerprint: str
    """Digest of every weight of the base as it was loaded."""
    calls: DenoiserCalls
    """Counters since construction."""
    last_checks: ImageChecks
    """Flags of the images that the latest `generate` returned."""

    def layout(self) -> BaseLayout:
        """Modules that an adapter may change."""
        ...

    def fingerprint(self) -> str:
        """Digest of every weight of the base as it is now."""
        ...

    def apply(self, adapter: NormalisedAdapter) -> ApplicationProof:
        """Put an adapter on, and prove that it acts as its file says."""
        ...

    def remove(self) -> None:
        """Take the adapter off and check the base against its fingerprint."""
        ...

    def rebuild(self) -> None:
        """Load the base anew from its files, as after `BaseDamaged`."""
        ...

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, scale: float = 1.0, adapter: bool = True
    ) -> NDArray[np.uint8]:
        """Render one image per prompt: (n, height, width, 3) uint8."""
        ...
