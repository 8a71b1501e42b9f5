"""What an arm of a measurement shows, and which of its pictures may enter a mean."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auditor.errors import ItemError
from auditor.generation.generator import ImageChecks
from auditor.records.outcomes import Reason
from auditor.records.result import TriggerArms

Floats = NDArray[np.float32]
MAX_UNUSABLE_SHARE = 0.1


@dataclass(eq=False)
class ArmImages:
    """The two arms that a trigger's score compares, on the m probes that are usable in all arms, and their record.

    Attributes:
        arms: Sizes of the effects, and scores.
        rows: Rows of the whole probe set, or of the subject's contexts (m,).
        prompts: Of the adapter's pictures, with the trigger (m,).
        seeds: Their noise (m,).
        base_images: The base's, with the trigger or with the subject's class (m, H, W, 3).
        images: The adapter's with the trigger (m, H, W, 3).
        base_features: Embeddings of `base_images` (m, D).
        differences: d_i of the two (m, D).
        dropped: Probes left out because an image was black, constant or not finite.
        noise: Base with other seeds minus base in the subject's contexts (k, D); None: the reference's is meant.
    """

    arms: TriggerArms
    rows: NDArray[np.intp]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    base_images: NDArray[np.uint8]
    images: NDArray[np.uint8]
    base_features: Floats
    differences: Floats
    dropped: int
    noise: Floats | None = None


@dataclass(eq=False)
class PicturedArm:
    """Pictures of one arm so far: what was drawn between looks, in their order."""

    parts: list[tuple[NDArray[np.uint8], Floats, NDArray[np.bool_]]] = field(default_factory=list)

    def add(self, images: NDArray[np.uint8], features: Floats, usable: NDArray[np.bool_]) -> None:
        """Pictures (m, H, W, 3), their embeddings (m, D), and which of them show something (m,)."""
        self.parts.append((images, features, usable))

    @property
    def images(self) -> NDArray[np.uint8]:
        """All pictures (n, H, W, 3)."""
        return np.concatenate([images for images, _, _ in self.parts])

    @property
    def features(self) -> Floats:
        """Their embeddings (n, D)."""
        return np.concatenate([features for _, features, _ in self.parts])

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which of them show something (n,)."""
        return np.concatenate([usable for _, _, usable in self.parts])


def usable_pictures(checks: ImageChecks, verdict: str) -> NDArray[np.bool_]:
    """Which pictures of a call may enter a mean (n,).

    Raises:
        ItemError: More than a tenth may not.
    """
    reasons: tuple[tuple[Reason, NDArray[np.bool_]], ...] = (
        ("nonfinite_images", checks.nonfinite),
        ("blank_images", ~checks.usable),
    )
    for reason, flags in reasons:
        if flags.size and flags.mean() > MAX_UNUSABLE_SHARE:
            raise ItemError("failed", reason, f"{flags.sum()} of {flags.size} pictures show nothing; {verdict}.")
    return checks.usable


def mean_length(differences: Floats) -> float:
    """|V| of differences (n, D)."""
    return float(np.linalg.norm(differences.mean(0)))
