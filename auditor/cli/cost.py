"""`auditor cost`: what a catalog takes, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.context import settings_of
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.errors import UserError

if TYPE_CHECKING:
    from auditor.planning.audit_cost import Arms, BaseCost

COLUMNS = (
    "base", "adapters", "pictures", "evaluations", "seconds each", "naive", "times cheaper", "reference", "GPU-days",
    "figures",
)  # fmt: skip
"""Of the table; pictures, seconds and days from least to most."""


def cost_command(
    context: typer.Context,
    adapters: Annotated[
        list[str] | None, typer.Option("--adapters", metavar="BASE=N", help="Adapters of a base; repeatable.")
    ] = None,
    triggers: Annotated[float, typer.Option(min=0, max=1, help="Share of adapters that declare a trigger.")] = 0.5,
    subjects: Annotated[
        float, typer.Option(min=0, max=1, help="Share of those whose trigger names one subject.")
    ] = 0.5,
    as_json: AsJson = False,
) -> None:
    """Say what auditing so many adapters takes: pictures, seconds, GPU-days, beside the naive way.

    Counted from the recipe in force. The seconds are those that `auditor calibrate` measured on this device, and for
    bases that it has not measured those of docs/benchmarks.md; the last column says which.

    Example:

        auditor --profile hub cost --adapters sd15=15000 --adapters sdxl=35000 --adapters flux1_dev=30000
    """
    from auditor.lexicons import load_lexicon
    from auditor.measuring.reference import reference_pictures
    from auditor.planning.audit_cost import catalog_cost

    settings = settings_of(context)
    recipe = settings.recipe
    wanted = _counts(adapters or [f"{name}=1" for name in recipe.active_bases], recipe.bases)
    reference = reference_pictures(recipe, load_lexicon(recipe.lexicon))
    found = catalog_cost(recipe, wanted, shares(triggers, subjects), reference, settings.measured)
    if as_json:
        emit_json([{**asdict(one), "gpu_days": asdict(one.gpu_days)} for one in found])
        return
    emit_table(COLUMNS, cost_rows(found), numeric=COLUMNS[1:9])
    say("naive: 50 pictures with and 50 without the adapter, one by one, in the pipeline's own steps; where measured")


def shares(triggers: float, subjects: float) -> Mapping[Arms, float]:
    """Adapters by what is measured of them."""
    return {"plain": 1 - triggers, "trigger": triggers * (1 - subjects), "subject": triggers * subjects}


def cost_rows(found: Sequence[BaseCost]) -> list[list[str]]:
    """The table, and a last row of sums when there are several bases."""
    rows = []
    for one in found:
        days, ratio = one.gpu_days, one.cheaper
        row = [
            one.base, f"{one.adapters:,}", f"{one.drawn.least:.0f} to {one.drawn.most:.0f}", str(one.evaluations),
            f"{one.each_s.least:.1f} to {one.each_s.most:.1f}", "" if one.naive_s is None else f"{one.naive_s:.0f}",
            "" if ratio is None else f"{ratio.least:.1f} to {ratio.most:.1f}", f"{one.reference_s / 3600:.1f} h",
            f"{days.least:.1f} to {days.most:.1f}", one.source,
        ]  # fmt: skip
        rows.append(row)
    if len(found) > 1:
        least, most = (sum(getattr(one.gpu_days, name) for one in found) for name in ("least", "most"))
        total = f"{sum(one.adapters for one in found):,}"
        rows.append(["all", total, "", "", "", "", "", "", f"{least:.1f} to {most:.1f}", ""])
    return rows


def _counts(texts: Sequence[str], bases: Mapping[str, object]) -> dict[str, int]:
    """BASE=N options.

    Raises:
        UserError: One of them is no number of adapters of a known base.
    """
    found = {}
    for text in texts:
        name, _, count = text.partition("=")
        if name not in bases:
            raise UserError(f"no base {name!r} in this profile; known: {', '.join(bases)}")
        if not count.isdecimal():
            raise UserError(f"--adapters {text}: write BASE=N, such as sdxl=35000")
        found[name] = int(count)
    return found
