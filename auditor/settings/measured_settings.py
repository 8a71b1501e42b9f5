"""What was measured on the device that audits run on. It changes no score; estimates go by it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from auditor.families.guided_steps import ALWAYS
from auditor.settings.section import Name, Section, Share

Seconds = Annotated[float, Field(ge=0)]


class MeasuredRate(Section):
    """How fast adapters of one base were audited, and what they were like. Written by `auditor calibrate`."""

    device: Name
    """Device that it was measured on."""

    measured_at: Name
    """Day of the measurement (UTC)."""

    adapters: int = Field(ge=1)
    """Adapters that were measured."""

    size: int = Field(ge=16)
    """Side of the pictures, in pixels; other sizes are reckoned by area."""

    steps: int = Field(ge=1)
    """Denoising steps per picture; others are reckoned in proportion."""

    guidance: float = Field(ge=0)
    """Guidance scale; without guidance a picture is reckoned as half."""

    guidance_interval: tuple[Share, Share] = ALWAYS
    """Where guidance acts, in shares of the steps."""

    picture_s: float = Field(gt=0)
    """Seconds per picture with an adapter in place, encoder included."""

    base_picture_s: float = Field(gt=0)
    """The same without an adapter: what a reference is made of."""

    fixed_s: Seconds
    """Seconds per adapter beside its pictures: read, apply, prove, score, remove, check."""

    naming_s: Seconds | None = None
    """Seconds per adapter for naming its concepts in process. Unset: not measured, and not counted."""

    load_s: Seconds
    """Seconds until the base and the encoder are loaded."""

    batch_size: int = Field(ge=1)
    """Pictures at once that fitted."""

    peak_bytes: int | None = Field(default=None, ge=0)
    """Most device memory in use; on a CPU that of the process."""

    probes: tuple[float, float]
    """Plain probes per adapter after which sampling stops: least and most that the mean is likely to be."""

    acting: tuple[Share, Share]
    """Share of measured adapters that act, likewise: these get a dose response and names."""

    drawn: tuple[Share, Share]
    """Share of planned files that are drawn with at all, likewise; the others end when they are read."""

    cosine: float | None = Field(default=None, ge=-1, le=1)
    """Mean cos(V) between this recipe and the one that it was compared with. Unset: it is that one."""

    agreement: Share | None = None
    """Share of adapters with the same top concept."""

    stages: dict[str, float] = Field(default_factory=dict)
    """Mean seconds per adapter and stage, at the setting that was compared with."""
