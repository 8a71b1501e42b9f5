"""`auditor calibrate`: how fast this device is, and which cheaper recipe says the same on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say, summary, warn
from auditor.cli.progress import progress
from auditor.errors import EXIT_REQUEUE

if TYPE_CHECKING:
    from auditor.calibration.calibrating import Calibration
    from auditor.calibration.choice import Candidate

COLUMNS = (
    "base", "drawn as", "probes", "seconds each", "cos(V)", "at least", "worst", "top agrees", "at least", "agree",
    "same", "levels off", "",
)  # fmt: skip
"""Drawn as: size, steps and guidance."""


def calibrate_command(
    context: typer.Context,
    minutes: Annotated[float, typer.Option(min=0.1, help="Time to spend, for all bases together.")] = 10.0,
    adapters: Annotated[int, typer.Option(min=1, help="Adapters to measure per base.")] = 8,
    cosine: Annotated[float, typer.Option(min=0, max=1, help="Least mean cos(V) to the recipe in force.")] = 0.99,
    agreement: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of adapters with the same top concept.")
    ] = 0.97,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write. Default: calibration.toml in the work folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure some planned adapters here, and write the cheapest recipe that says the same, with its costs.

    Needs a plan. A sample of it is audited by the recipe in force, then drawn smaller, in fewer steps, on fewer probes
    and without guidance, alone and together. The file that is written is named by `include` in auditor.toml; estimates
    then go by what was measured. What was measured is kept: run it again and it goes on (it ends with 75 until all is
    done). docs/calibration.md says how the bounds are judged.

    Example:

        auditor calibrate --minutes 10
    """
    from auditor.calibration.calibrating import Options, calibrate
    from auditor.calibration.choice import Bounds
    from auditor.calibration.recipe_file import recipe_tree, write_recipe_file
    from auditor.pipeline import connection

    settings = settings_of(context)
    start_logs(context, settings, "calibrate")
    options = Options(60 * minutes, adapters, seed, Bounds(cosine, agreement))
    with connection.maybe_hub(settings) as client, progress("calibrate") as step:
        found = calibrate(settings, client, options, lambda what: step(1, what))
    for name, why in found.absent.items():
        warn(f"{name} was not measured: {why}")
    for name, trials in found.bases.items():
        if not trials.candidates:
            warn(f"{name} was not measured: the time sufficed for no adapter, or none of the sample is drawn with")
    path = out or settings.work.dir / "calibration.toml"
    if found.taken:
        write_recipe_file(path, settings, found)
    if as_json:
        emit_json({"file": str(path), "whole": found.whole, **recipe_tree(settings, found)})
    else:
        emit_table(COLUMNS, candidate_rows(found), numeric=COLUMNS[2:12])
    _tell(found, path)
    if not found.whole:
        raise typer.Exit(EXIT_REQUEUE)


def candidate_rows(found: Calibration) -> list[list[str]]:
    """What was compared, by base, with what is taken marked."""
    rows = []
    for name, trials in found.bases.items():
        for each in trials.candidates:
            drawing, probes = found.taken.get(name, (None, 0))
            taken = drawing is not None and (each.drawing, each.probes) == (drawing.key, probes)
            rows.append([name, *_row(each), "taken" if taken else ""])
    return rows


def _row(each: Candidate) -> list[str]:
    said = ["as it is", *[""] * 7]
    if (like := each.likeness) is not None:
        said = [
            f"{like.cosine:.4f}", f"{like.cosine_low:.4f}", f"{like.worst:.4f}", f"{like.agreement:.3f}",
            f"{like.agreement_low:.3f}", f"{like.agreeing} of {like.adapters}", f"{like.same} of {like.adapters}",
            f"{like.level_error:.3f}",
        ]  # fmt: skip
    return [each.drawing, str(each.probes), f"{each.seconds:.2f}", *said]


def _tell(found: Calibration, path: Path) -> None:
    for name, rate in found.rates.items():
        memory = "" if rate.peak_bytes is None else f", {rate.peak_bytes / 1e9:.1f} GB at most"
        say(
            f"{name} on {rate.device}: {rate.picture_s:.3f} s a picture, {rate.fixed_s:.2f} s an adapter beside them, "
            f"batches of {rate.batch_size}{memory}"
        )
    lines = []
    for name, (drawing, probes) in found.taken.items():
        own = next(c for c in found.bases[name].candidates if c.likeness is None)
        mine = next(c for c in found.bases[name].candidates if (c.drawing, c.probes) == (drawing.key, probes))
        if mine is own:
            lines.append(f"{name}: nothing cheaper was shown to reach the bounds")
        else:
            drawn = f"{drawing.size} pixels, {drawing.steps} steps, guidance {drawing.guidance:g}"
            lines.append(f"{name}: {drawn}, {probes} probes: {own.seconds / mine.seconds:.1f} times cheaper")
    summary(lines, next_command=f'write include = ["{path}"] into auditor.toml' if found.taken else None)
    if not found.whole:
        say("the time did not suffice for everything; the same command goes on from here")
