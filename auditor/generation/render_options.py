"""How a base is loaded and draws."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.families.guided_steps import ALWAYS, Interval


@dataclass(frozen=True)
class RenderOptions:
    """Everything but the folder that decides what a base draws, and how fast.

    Attributes:
        device: torch device.
        dtype: float32, float16 or bfloat16.
        sampler: A name from `pipeline_loading.SAMPLERS`, or `default` for the folder's own.
        steps: Denoising steps.
        guidance: Guidance scale; 1 or less switches classifier-free guidance off.
        guidance_interval: Where guidance acts, from and to in shares of the steps.
        size: Height and width of the images, pixels.
        batch_size: Images per batch, as long as the memory allows.
        pipeline: Pipeline class, else the folder's own if allowed.
        variant: Weight variant, such as `fp16`.
        family: Base family, else what the shapes say.
        application: How adapters are put on, `inject` or `merge`.
        temperature: Of the tokens that an autoregressive base draws.
        compiled: Compile the denoiser; with `merge` once, with `inject` anew for every adapter.
    """

    device: str = "cpu"
    dtype: str = "float32"
    sampler: str = "default"
    steps: int = 25
    guidance: float = 7.5
    guidance_interval: Interval = ALWAYS
    size: int = 512
    batch_size: int = 24
    pipeline: str | None = None
    variant: str | None = None
    family: str | None = None
    application: str = "inject"
    compiled: bool = False
    temperature: float = 1.0
