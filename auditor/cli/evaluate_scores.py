"""More of `auditor evaluate …`: planted truth at the size of production, and what intervals cover."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.evaluate import Development, evaluate_app, share_row
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.cli.progress import progress
from auditor.errors import UserError

if TYPE_CHECKING:
    from auditor.evaluation.scale import ScaleRow
    from auditor.finexl.attribution import Interval

__all__ = ["evaluate_app"]

_NAMING = ("named", "named by cluster", "synonyms joined", "joined are synonyms", "seconds")
_AMOUNTS = ("level order", "score order", "projection order", "level error", "score error", "projection error")
_COVERS = (
    "score covers a longer audit",
    "level covers a longer audit",
    "level covers the truth",
    "level covers the truth, absent",
    "level covers the truth, synonyms",
)


@evaluate_app.command("scale")
def scale_command(
    concepts: Annotated[int, typer.Option("--concepts", min=30, help="Concepts of the made-up lexicon.")] = 997,
    dimension: Annotated[int, typer.Option("--dimension", min=16, help="Dimensions of the made-up encoder.")] = 768,
    cases: Annotated[int, typer.Option("--cases", min=1, help="Adapters of each kind in each geometry.")] = 2,
    ladders: Annotated[int, typer.Option("--ladders", min=1, help="Rows of amounts to be put in order.")] = 6,
    development: Annotated[bool, typer.Option("--development", help="Seeds that the method was chosen on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score planted adapters in made-up geometries of the size of production.

    Needs no models. At full size an hour on one core; --concepts 300 --dimension 230 takes two minutes.

    Example:

        auditor evaluate scale --concepts 300 --dimension 230
    """
    from auditor.evaluation.scale import AMOUNTS, GEOMETRIES, evaluate_scale
    from auditor.finexl.attribution import chance_random

    with progress("scale", len(GEOMETRIES)) as step:
        found = evaluate_scale(
            concepts, dimension, cases=cases, ladders=ladders, development=development, note=lambda name: step(1, name)
        )
    if as_json:
        emit_json(asdict(found))
        return
    for title, rows in (("geometry", found.geometries), ("cases", found.cells)):
        for names in (_NAMING, _AMOUNTS, _COVERS):
            _figures(title, rows, names)
    say(
        f"{concepts} concepts, {dimension} dimensions; order: chance {chance_random(len(AMOUNTS)):.2f}; "
        "in brackets: 95 % interval, cases"
    )


@evaluate_app.command("coverage")
def coverage_command(
    context: typer.Context,
    adapters: Annotated[int, typer.Option("--adapters", min=1, help="At most so many adapters.")] = 6,
    style: Annotated[
        list[str] | None, typer.Option("--style", help="Only the adapters of these styles; repeatable.")
    ] = None,
    passes: Annotated[int, typer.Option("--passes", min=2, help="Seeds for each prompt of the probe set.")] = 4,
    development: Development = False,
    as_json: AsJson = False,
) -> None:
    """Count how often intervals hold what a longer audit of the same adapter says.

    Draws each adapter with every prompt and several seeds, some minutes each, and keeps what it has drawn. What
    intervals for the true amount hold is counted by `auditor evaluate scale`.

    Example:

        auditor evaluate coverage --adapters 2
    """
    from auditor.evaluation.bank import Bank
    from auditor.evaluation.interval_coverage import evaluate_coverage
    from auditor.evaluation.long_audits import single_style_adapters

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-coverage")
    bank = Bank(settings, proposals=False)
    if strange := set(style or ()) - set(bank.world.held_out):
        raise UserError(f"there is no adapter of one style {', '.join(sorted(strange))} alone")
    chosen = single_style_adapters(bank, style or bank.world.style_names(not development)[:adapters])
    with progress("coverage", len(chosen) * passes) as step:
        found = evaluate_coverage(bank, chosen, passes, note=lambda n: step(1, n))
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(
        ("of size", "covered", "95 % interval", "too high", "too low", "worst concept"),
        [
            (
                r.what,
                _percent(r.covered.mean),
                f"{100 * r.covered.low:.1f} to {100 * r.covered.high:.1f} %",
                _percent(r.below),
                _percent(r.above),
                f"{r.worst[1]} {_percent(r.worst[0])}" if r.worst else "too few cases",
            )
            for r in found.rows
        ],
    )
    say(f"{found.adapters} adapters, {found.audits} audits of {found.probes} probes each; wanted: 95 %")


@evaluate_app.command("unseen")
def unseen_command(context: typer.Context, development: Development = False, as_json: AsJson = False) -> None:
    """Leave each style out of the lexicon and count its adapters that are then called unexplained.

    Example:

        auditor evaluate unseen
    """
    from auditor.evaluation.bank import Bank
    from auditor.evaluation.unseen import evaluate_unseen

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-unseen")
    with progress("unseen") as step:
        found = evaluate_unseen(Bank(settings, proposals=False), not development, note=lambda n: step(1, n))
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(
        ("style", "explained by the first concept", "without its own", "then taken for"),
        [
            (s.style, "" if s.known is None else _percent(s.known), _percent(s.unseen), s.taken_for)
            for s in found.styles
        ],
    )
    emit_table(
        ("what", "count", "95 % interval"),
        [
            share_row("no concept names it: unexplained", found.unexplained),
            share_row("a concept names it: unexplained all the same", found.false_alarms),
        ],
    )
    say(f"limit: {_percent(found.limit)}, which a twentieth of the development styles stay below")


def _figures(title: str, rows: tuple[ScaleRow, ...], names: tuple[str, ...]) -> None:
    kept = [name for name in names if any(name in row.figures for row in rows)]
    if kept:
        emit_table((title, *kept), [(row.name, *(_cell(row.figures.get(name)) for name in kept)) for row in rows])


def _cell(figure: Interval | None) -> str:
    return "" if figure is None else f"{figure.mean:.2f} ({figure.low:.2f}-{figure.high:.2f}, {figure.cases})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
