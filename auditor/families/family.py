"""The families of base models: one entry each, read by recognition, loading, settings, `auditor doctor` and the docs.

A family is a set of weights' kin: one architecture, trained once. Two models of one architecture that were trained
apart (SDXL and Playground) are two families, since an adapter of the one says nothing on the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Task = Literal["text_to_image", "image_editing", "image_to_image", "inpainting", "control", "video"]
TASK_WORDS: Mapping[Task, str] = {
    "text_to_image": "text-to-image",
    "image_editing": "image editing",
    "image_to_image": "image-to-image",
    "inpainting": "inpainting",
    "control": "image control",
    "video": "video",
}
Guidance = Literal["two_passes", "embedded", "none"]
"""How a prompt is enforced. `two_passes`: classifier-free guidance. `embedded`: a number that goes into the network.
`none`: distilled away; the guidance setting must be 1 or less."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """How pictures are drawn by default; settings may say otherwise.

    Attributes:
        pipeline: Class of diffusers.
        size: Width and height in pixels.
        steps: Denoising steps.
        guidance: Guidance scale.
        sampler: Name of the sampler, as in the settings.
        dtype: Number format of the weights.
        kind: How guidance works.
    """

    pipeline: str
    size: int
    steps: int
    guidance: float
    sampler: str = "flow_euler"
    dtype: str = "bfloat16"
    kind: Guidance = "two_passes"


@dataclass(frozen=True, slots=True)
class Family:
    """One family of base models.

    Attributes:
        name: As settings and records call it.
        title: As people call it.
        repo: Published home of its first model.
        denoiser: Component that adapters change first.
        blocks: Stem of each sequence of blocks → how many there are.
        width: Width of the hidden states; of the text embedding for UNets.
        rendering: How to draw with it; null where adapters of the family are recognised and not audited.
        mirrors: Repos that hold the same weights.
        variant: Variant of the weight files in `repo`, such as fp16.
        text_encoders: Those that adapters change, by component.
        input_layer: First layer, whose width tells a control or inpainting adapter.
        shapes: Family whose names and shapes it shares exactly.
        stands_back_for: Family that shapes alone mean when they fit both: the one that far more files are made for.
        task: What it makes.
        depths: Where it has only the first of the blocks that `shapes` has: stem → how many.
    """

    name: str
    title: str
    repo: str
    denoiser: Literal["unet", "transformer"]
    blocks: Mapping[str, int]
    width: int
    rendering: Rendering | None = None
    mirrors: tuple[str, ...] = ()
    variant: str | None = None
    text_encoders: tuple[str, ...] = ()
    input_layer: str = "x_embedder"
    shapes: str | None = None
    stands_back_for: str | None = None
    task: Task = "text_to_image"
    depths: Mapping[str, int] = field(default_factory=dict)

    @property
    def repos(self) -> tuple[str, ...]:
        """Home and mirrors."""
        return (self.repo, *self.mirrors)
