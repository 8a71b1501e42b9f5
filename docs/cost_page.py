"""The page of costs: the table of `auditor cost` for a whole Hub, by the shipped recipe and by cheaper ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from auditor.cli.cost import COLUMNS, cost_rows, shares
from auditor.lexicons import load_lexicon
from auditor.measuring.reference import reference_pictures
from auditor.planning.audit_cost import BaseCost, catalog_cost
from auditor.settings import resolve

ADAPTERS: Final[Mapping[str, int]] = {"sd15": 15_000, "sdxl": 35_000, "flux1_dev": 30_000}
TRIGGERS, SUBJECTS = 0.5, 0.5
CHEAPER: Final = (
    "recipe.probe_count=25",
    "recipe.looks=[12,25]",
    "recipe.dose_probes=4",
    "recipe.subject_probes=12",
    "recipe.bases.sdxl.size=768",
    "recipe.bases.sdxl.steps=15",
    "recipe.bases.sd15.steps=15",
    "recipe.bases.flux1_dev.size=512",
    "recipe.bases.flux1_dev.steps=15",
)
GOAL_DAYS: Final = 30
GOAL_TIMES: Final = 50


def cost_page(notice: str) -> str:
    """The page, from the hub profile as it ships."""
    shipped, cheaper = _costs(()), _costs(CHEAPER)
    sets = " ".join(f"--set {text}" for text in CHEAPER)
    options = " ".join(f"--adapters {base}={count}" for base, count in ADAPTERS.items())
    return f"""# What it costs

{notice}80,000 adapters, half of them with a trigger, half of these of one subject. Pictures, seconds and days go from
the least (sampling stops at its first look, nothing acts) to the most (every probe, arm and strength). Seconds are
measured where the last column says so (one GPU, once: [benchmarks](benchmarks.md)) and scaled by steps and area;
encoder, download and the naming (1.6 s a request) come on top. The naive way, measured in the same run, draws 50
pictures with and 50 without each adapter, one by one. `auditor calibrate` puts the seconds of your own device in place
of these ([how](calibration.md)).

## The recipe as it ships

    auditor --profile hub cost {options}

{_table(shipped)}
## A cheaper one

    auditor --profile hub {sets} cost {options}

{_table(cheaper)}
{_verdict(shipped, cheaper)}"""


def _costs(overrides: Sequence[str]) -> list[BaseCost]:
    recipe = resolve(config=None, profile="hub", work_dir=Path(".auditor"), overrides=tuple(overrides)).settings.recipe
    reference = reference_pictures(recipe, load_lexicon(recipe.lexicon))
    return catalog_cost(recipe, ADAPTERS, shares(TRIGGERS, SUBJECTS), reference)


def _table(found: Sequence[BaseCost]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in cost_rows(found))]) + "\n"


def _verdict(shipped: Sequence[BaseCost], cheaper: Sequence[BaseCost]) -> str:
    least, most = _days(cheaper)
    before, after = ("{:.0f} to {:.0f}".format(*_days(costs)) for costs in (shipped, cheaper))
    met = "met" if most <= GOAL_DAYS else "within reach" if least <= GOAL_DAYS else "missed"
    ratios = [one.cheaper for one in cheaper if one.cheaper is not None]
    low, high = min(ratio.least for ratio in ratios), max(ratio.most for ratio in ratios)
    times = "met" if low >= GOAL_TIMES else "missed"
    return f"""## Where that stands

The goal is at most {GOAL_DAYS} GPU-days. The shipped recipe takes {before}, the cheaper one {after}:
with it the goal is {met}. The other goal, {GOAL_TIMES} times cheaper than the naive way for every adapter, is
{times}: by base it is {low:.0f} to {high:.0f} times cheaper. What it costs in the scores is not known: on
production models no score was ever compared; `auditor calibrate` does so on your GPU, with your adapters. What each
setting costs on the pocket, and half of the steps on half of the probes together, is in
[benchmarks](benchmarks.md#what-each-lever-costs), with two that are no settings and why. Most of the time is FLUX.1's.
Not counted, because not measured at this size: merging into a compiled denoiser with full batches.
"""


def _days(found: Sequence[BaseCost]) -> tuple[float, float]:
    return sum(one.gpu_days.least for one in found), sum(one.gpu_days.most for one in found)
