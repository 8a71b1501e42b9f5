"""The ways of drawing that are compared: picture size, steps, guidance, alone and together; and numbers of probes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product

from auditor.families.guided_steps import ALWAYS, Interval
from auditor.planning.audit_cost import evaluations
from auditor.settings import BaseModelSettings, RecipeSettings

FEWEST_STEPS = 4
SMALLEST_SIDE = 32
_SIZES = (1.0, 0.75, 0.5)
_STEPS = (1.0, 0.75, 0.5)
_FIRST_HALF = (0.0, 0.5)
_PROBES = (1.0, 0.75, 0.5)


@dataclass(frozen=True, order=True)
class Drawing:
    """One way of drawing.

    Attributes:
        size: Side of the pictures in pixels.
        steps: Denoising steps.
        guidance: Guidance scale.
        guidance_interval: Where it acts, in shares of the steps.
    """

    size: int
    steps: int
    guidance: float
    guidance_interval: Interval = ALWAYS

    @property
    def key(self) -> str:
        """Name of what is kept of it."""
        interval = "" if self.guidance_interval == ALWAYS else "-{:g}-{:g}".format(*self.guidance_interval)
        return f"{self.size}-{self.steps}-{self.guidance:g}{interval}"

    def on(self, base: BaseModelSettings) -> BaseModelSettings:
        """The base's settings, drawing so."""
        return base.model_copy(update=asdict(self))

    def work(self, base: BaseModelSettings) -> float:
        """Denoiser evaluations of a picture times its pixels: what its time is taken to grow with."""
        return float(evaluations(self.on(base)) * self.size**2)


def own_drawing(base: BaseModelSettings) -> Drawing:
    """As the settings say: what the others are compared with."""
    return Drawing(base.size, base.steps, base.guidance, base.guidance_interval)


def cheaper_drawings(base: BaseModelSettings) -> list[Drawing]:
    """Those that take less work than the base's own, the cheapest first.

    Sizes are three quarters and, from 1,024 pixels on, half of it; steps three quarters and half; guidance as it is, or
    in the first half of the steps, or none, where that saves evaluations.
    """
    grain = max(8, base.size // 8)
    sizes = {grain * round(base.size * share / grain) for share in _SIZES if share >= 0.75 or base.size >= 1024}
    steps = {max(FEWEST_STEPS, round(base.steps * share)) for share in _STEPS}
    own = own_drawing(base)
    guided = [(own.guidance, own.guidance_interval)]
    without = base.model_copy(update={"guidance": 1.0, "guidance_interval": ALWAYS})
    if evaluations(without) < evaluations(base):
        guided += [(1.0, ALWAYS), *([(base.guidance, _FIRST_HALF)] if base.guidance_interval == ALWAYS else [])]
    found = (
        Drawing(max(side, SMALLEST_SIDE), min(count, base.steps), *guidance)
        for side, count, guidance in product(sizes, steps, guided)
    )
    return sorted(
        {each for each in found if each.work(base) < own.work(base)}, key=lambda each: (each.work(base), each)
    )


def probe_counts(recipe: RecipeSettings) -> tuple[int, ...]:
    """Numbers of probes that are compared, the recipe's own first; never fewer than the test of an effect needs."""
    counts = (round(recipe.probe_count * share) for share in _PROBES)
    return tuple(dict.fromkeys(max(count, min(recipe.solver.least_probes, recipe.probe_count)) for count in counts))


def looks_within(recipe: RecipeSettings, probes: int) -> tuple[int, ...]:
    """The recipe's looks below a number of probes, and that number where the recipe looks at all."""
    return (*(look for look in recipe.looks if look < probes), probes) if recipe.looks else ()
