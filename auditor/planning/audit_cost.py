"""What audits cost before a night was timed: pictures counted from the recipe, seconds by a rate.

The rate is what `auditor calibrate` measured on this device where that was done, else a figure measured elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from auditor.families.guided_steps import ALWAYS, guided_steps
from auditor.families.table import FAMILIES
from auditor.settings import BaseModelSettings, MeasuredRate, RecipeSettings

Arms = Literal["plain", "trigger", "subject"]
"""What is measured of an adapter: its weights alone, also its trigger on all probes, or also its subject."""


@dataclass(frozen=True)
class Span:
    """From the least to the most; what lies between depends on the adapter."""

    least: float
    most: float

    @property
    def middle(self) -> float:
        """Halfway."""
        return (self.least + self.most) / 2

    def __add__(self, other: Span) -> Span:
        """Both together."""
        return Span(self.least + other.least, self.most + other.most)

    def times(self, factor: float) -> Span:
        """As often, or as long."""
        return Span(self.least * factor, self.most * factor)


@dataclass(frozen=True)
class Rate:
    """How fast one family was drawn somewhere.

    Attributes:
        seconds: Per picture, batches full, adapter injected.
        steps: At this number of steps.
        size: And this side in pixels; time is taken to grow with steps and area.
        fixed_s: Per adapter beside its pictures: read, apply, prove, remove, check.
        naive_s: Per adapter the naive way, where that was measured: 50 pictures with and 50 without the adapter, one by
            one, at the pipeline's own steps.
        source: Device, and whether it was measured by this project.
    """

    seconds: float
    steps: int
    size: int
    fixed_s: float
    naive_s: float | None
    source: str
    measured: MeasuredRate | None = None
    """What `auditor calibrate` found on this device, when that is where the figures are from."""

    @property
    def base_seconds(self) -> float:
        """Per picture without an adapter."""
        return self.seconds if self.measured is None else self.measured.base_picture_s


_MEASURED = "measured, NVIDIA H200"
_PUBLISHED = "from published H100 throughputs, not measured"
RATES: Final[Mapping[str, Rate]] = {
    "sd15": Rate(0.211, 25, 512, 1.6, 258.0, _MEASURED),
    "sd21": Rate(0.5, 25, 768, 2.0, None, _PUBLISHED),
    "sdxl": Rate(1.336, 25, 1024, 4.1, 508.0, _MEASURED),
    "sd35_medium": Rate(2.4, 28, 1024, 4.0, None, _PUBLISHED),
    "sd35_large": Rate(4.4, 28, 1024, 4.0, None, _PUBLISHED),
    "flux1": Rate(5.72, 28, 1024, 2.1, 542.0, _MEASURED),
}
"""docs/benchmarks.md, adapters on a GPU; the others are upper ends of published figures."""

UNKNOWN_RATE: Final = Rate(1.2, 25, 1024, 4.0, None, "no figure for this family; a guess")


def pictures(recipe: RecipeSettings, arms: Arms, measured: MeasuredRate | None = None) -> Span:
    """Adapted and base pictures of one adapter, the reference left out.

    Least: sampling stops at the first look and nothing acts, so that there is no dose response. Most: all probes, all
    arms, all strengths, and the class of a subject for the first time. Where adapters were measured, the plain arm and
    the dose response are what their mean is likely to be.
    """
    count = recipe.probe_count
    first = min((look for look in recipe.looks if look < count), default=count)
    plain = Span(first, count)
    strengths = [scale for scale in recipe.dose_scales if scale != recipe.lora_scale]
    dose = Span(0, len(strengths) * recipe.dose_probes)
    if measured is not None:
        plain = Span(min(measured.probes[0], count), min(measured.probes[1], count))
        dose = Span(dose.most * measured.acting[0], dose.most * measured.acting[1])
    found = plain + dose
    if not recipe.trigger_arms or arms == "plain":
        return found
    if arms == "trigger" or recipe.subject_contexts == "none":
        # base and adapter with the word, and what the plain arm left out
        stop = first if recipe.trigger_stopping else count
        return found + Span(2 * stop + max(0, stop - plain.least), 3 * count - plain.most)
    contexts = recipe.subject_probes
    looked = min((look for look in recipe.looks if look < contexts), default=contexts)
    return found + Span(2 * looked, 3 * contexts + min(8, contexts))


def seconds_each(base: BaseModelSettings, drawn: Span, measured: MeasuredRate | None = None) -> Span:
    """GPU seconds of one adapter with so many pictures, naming in process included where that was measured."""
    rate = rate_of(base, measured)
    each = drawn.times(rate.seconds * _slower(base, rate)) + Span(rate.fixed_s, rate.fixed_s)
    if measured is None or measured.naming_s is None:
        return each
    return each + Span(measured.naming_s * measured.acting[0], measured.naming_s * measured.acting[1])


def reference_seconds_of(base: BaseModelSettings, count: int, measured: MeasuredRate | None = None) -> float:
    """GPU seconds of one reference with so many pictures."""
    rate = rate_of(base, measured)
    return count * rate.base_seconds * _slower(base, rate)


def _slower(base: BaseModelSettings, rate: Rate) -> float:
    """How much longer a picture takes than the one that was timed: by steps, area, and guidance where it is known."""
    if base.kind != "diffusers":
        return (base.size / rate.size) ** 2
    slower = (base.steps / rate.steps) * (base.size / rate.size) ** 2
    if rate.measured is not None:
        timed = base.model_copy(
            update={"guidance": rate.measured.guidance, "guidance_interval": rate.measured.guidance_interval}
        )
        return slower * evaluations(base) / evaluations(timed)
    # elsewhere guidance acted in all steps, as it does in a base of the shipped profile
    always = base.model_copy(update={"guidance_interval": ALWAYS})
    return slower * evaluations(base) / evaluations(always)


def rate_of(base: BaseModelSettings, measured: MeasuredRate | None = None) -> Rate:
    """The figure that stands for a base: the one measured here, if there is one."""
    known = RATES.get(base.family, UNKNOWN_RATE)
    if measured is None:
        return known
    source = f"measured here, {measured.device}, {measured.adapters} adapters"
    return Rate(measured.picture_s, measured.steps, measured.size, measured.fixed_s, None, source, measured)


def _distilled(base: BaseModelSettings) -> bool:
    """Guidance costs no second pass: it is an input of the model, or there is none."""
    family = FAMILIES.get(base.family)
    rendering = None if family is None else family.rendering
    return rendering is not None and rendering.kind != "two_passes"


def evaluations(base: BaseModelSettings) -> int:
    """Denoiser evaluations per picture: two in each step where guidance draws without the prompt too."""
    if _distilled(base) or base.guidance <= 1.0:
        return base.steps
    return base.steps + len(guided_steps(base.steps, base.guidance_interval))


@dataclass(frozen=True)
class BaseCost:
    """A base's share of a catalog."""

    base: str
    adapters: int
    drawn: Span
    evaluations: int
    each_s: Span
    reference_s: float
    naive_s: float | None
    source: str

    @property
    def gpu_days(self) -> Span:
        """Of all its adapters and its reference."""
        return (self.each_s.times(self.adapters) + Span(self.reference_s, self.reference_s)).times(1 / 86400)

    @property
    def cheaper(self) -> Span | None:
        """Times cheaper than the naive way, at most pictures and at least."""
        if self.naive_s is None:
            return None
        return Span(self.naive_s / self.each_s.most, self.naive_s / self.each_s.least)


def catalog_cost(
    recipe: RecipeSettings,
    adapters: Mapping[str, int],
    shares: Mapping[Arms, float],
    reference_pictures: int,
    measured: Mapping[str, MeasuredRate] | None = None,
) -> list[BaseCost]:
    """Cost of a catalog by base.

    Args:
        recipe: Whose bases, probes, steps and sizes count.
        adapters: Adapters per base; bases of `recipe`.
        shares: Of adapters of each kind, together 1.
        reference_pictures: Pictures of one base's reference.
        measured: What was measured on this device, by base.
    """
    found = []
    for name, count in adapters.items():
        base, known = recipe.bases[name], (measured or {}).get(name)
        drawn = Span(0, 0)
        for arms, share in shares.items():
            drawn = drawn + pictures(recipe, arms, known).times(share)
        rate = rate_of(base, known)
        each, reference = seconds_each(base, drawn, known), reference_seconds_of(base, reference_pictures, known)
        found.append(BaseCost(name, count, drawn, evaluations(base), each, reference, rate.naive_s, rate.source))
    return found
