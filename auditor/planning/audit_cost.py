"""What audits cost before any was timed: pictures counted from the recipe, seconds from figures measured elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from auditor.families.table import FAMILIES
from auditor.settings import BaseModelSettings, RecipeSettings

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


def pictures(recipe: RecipeSettings, arms: Arms) -> Span:
    """Adapted and base pictures of one adapter, the reference left out.

    Least: sampling stops at the first look and nothing acts, so that there is no dose response. Most: all probes, all
    arms, all strengths, and the class of a subject for the first time.
    """
    count = recipe.probe_count
    first = min((look for look in recipe.looks if look < count), default=count)
    plain = Span(first, count)
    strengths = [scale for scale in recipe.dose_scales if scale != recipe.lora_scale]
    found = plain + Span(0, len(strengths) * recipe.dose_probes)
    if not recipe.trigger_arms or arms == "plain":
        return found
    if arms == "trigger" or recipe.subject_contexts == "none":
        # base and adapter with the word on all probes, and what the plain arm left out
        return found + Span(2 * count, 2 * count) + Span(count - first, 0)
    contexts = recipe.subject_probes
    looked = min((look for look in recipe.looks if look < contexts), default=contexts)
    return found + Span(2 * looked, 3 * contexts + min(8, contexts))


def seconds_each(base: BaseModelSettings, drawn: Span) -> Span:
    """GPU seconds of one adapter with so many pictures."""
    rate = rate_of(base)
    each = rate.seconds * (base.steps / rate.steps) * (base.size / rate.size) ** 2
    return drawn.times(each) + Span(rate.fixed_s, rate.fixed_s)


def rate_of(base: BaseModelSettings) -> Rate:
    """The figure that stands for a base."""
    return RATES.get(base.family, UNKNOWN_RATE)


def evaluations(base: BaseModelSettings) -> int:
    """Denoiser evaluations per picture: two a step where guidance draws without the prompt too."""
    family = FAMILIES.get(base.family)
    rendering = None if family is None else family.rendering
    once = base.guidance <= 1.0 or (rendering is not None and rendering.kind != "two_passes")
    return base.steps * (1 if once else 2)


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
    recipe: RecipeSettings, adapters: Mapping[str, int], shares: Mapping[Arms, float], reference_pictures: int
) -> list[BaseCost]:
    """Cost of a catalog by base.

    Args:
        recipe: Whose bases, probes, steps and sizes count.
        adapters: Adapters per base; bases of `recipe`.
        shares: Of adapters of each kind, together 1.
        reference_pictures: Pictures of one base's reference.
    """
    drawn = Span(0, 0)
    for arms, share in shares.items():
        drawn = drawn + pictures(recipe, arms).times(share)
    found = []
    for name, count in adapters.items():
        base = recipe.bases[name]
        rate = rate_of(base)
        reference = seconds_each(base, Span(reference_pictures, reference_pictures)).most - rate.fixed_s
        found.append(
            BaseCost(
                name, count, drawn, evaluations(base), seconds_each(base, drawn), reference, rate.naive_s, rate.source
            )
        )
    return found
