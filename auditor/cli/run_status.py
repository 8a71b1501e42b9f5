"""The command that says how far a run is: status."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from auditor.cli.context import settings_of
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say, warn
from auditor.errors import PrerequisiteMissing, TransientError

if TYPE_CHECKING:
    from auditor.cluster.slurm import QueuedJob
    from auditor.cluster.status import Status
    from auditor.settings import Settings

CoverageBy = Literal["family", "format", "base", "reason"]
KnownRun = Annotated[str | None, typer.Option("--run", help="Name of the run. Default: the one submitted last.")]


def status_command(
    context: typer.Context,
    run: KnownRun = None,
    as_json: AsJson = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="What share of the listed files is audited, and why the rest is not.")
    ] = False,
    by: Annotated[
        CoverageBy, typer.Option("--by", help="With --coverage: group by family, format, base or reason.")
    ] = "family",
) -> None:
    """Say how far the planned audits are: done, running, failed and why, speed and time left.

    Example:

        auditor status --coverage --by base
    """
    if coverage:
        _show_coverage(settings_of(context), by, as_json)
        return
    from auditor.cluster.runs import latest_run, open_run
    from auditor.cluster.slurm import Slurm
    from auditor.cluster.status import take_status

    settings = settings_of(context)
    chosen = open_run(settings, run) if run else latest_run(settings)
    queue: tuple[QueuedJob, ...] | None = None
    if chosen is not None:
        try:
            queue = Slurm(settings.cluster.sbatch_timeout_s).queue()
        except (PrerequisiteMissing, TransientError) as error:
            warn(f"the queue is not known: {error}")
    status = take_status(settings, chosen, queue)
    if as_json:
        emit_json(_status_values(status))
    else:
        _show(status)


def _show_coverage(settings: Settings, by: CoverageBy, as_json: bool) -> None:
    from auditor.catalog.coverage import read_coverage

    groups = read_coverage(settings.catalog_path, by)
    if as_json:
        emit_json([{**asdict(group), "units": group.units} for group in groups])
        return
    off = {base.family: name for name, base in settings.recipe.bases.items() if not base.enabled}
    rows = [
        (
            group.name or "not known",
            group.units,
            group.audited,
            f"{group.audited / group.units:.0%}" if group.units else "-",
            group.pending,
            group.main_reason or "-",
            group.downloads_without,
            f"recipe.bases.{off[group.name]}.enabled = true" if by == "family" and group.name in off else "",
        )
        for group in groups
    ]
    columns = (by, "files", "audited", "share", "pending", "mostly because", "downloads without", "can be switched on")
    shown = len(columns) if any(row[-1] for row in rows) else len(columns) - 1
    emit_table(columns[:shown], [row[:shown] for row in rows])


def _status_values(status: Status) -> dict[str, object]:
    return {
        "run": status.run,
        "wanted": status.wanted,
        "done": status.done,
        "running_tasks": status.running,
        "held_by_queued_tasks": status.held,
        "unsubmitted": status.unsubmitted,
        "outcomes": dict(status.outcomes),
        "failed": dict(status.failed),
        "queue": status.queue,
        "per_hour": status.per_hour,
        "hours_left": status.hours_left,
    }


def _show(status: Status) -> None:
    left = "unknown" if status.hours_left is None else f"{status.hours_left:.1f} h"
    speed = "unknown" if status.per_hour is None else f"{status.per_hour:.0f} an hour"
    rows: list[tuple[str, object]] = [
        ("run", status.run),
        ("wanted", status.wanted),
        ("done", status.done),
        ("in the queue", status.held),
        ("not submitted", status.unsubmitted),
        ("running tasks", status.running),
        ("speed", speed),
        ("time left", left),
    ]
    rows += [(f"  {outcome}", count) for outcome, count in status.outcomes.items()]
    rows += [(f"failed: {reason}", count) for reason, count in status.failed.items()]
    for stage, states in (status.queue or {}).items():
        rows.append((f"{stage} jobs", ", ".join(f"{n} {state.lower()}" for state, n in states.items())))
    emit_table(("what", "value"), rows)
    if status.unsubmitted:
        say(f"next: {redo_command()}   ({status.unsubmitted} items are in no task)")


def redo_command() -> str:
    """What gets the rest of a plan done: on a cluster a submission, elsewhere the audit itself."""
    return "auditor submit --resume" if shutil.which("sbatch") else "auditor audit"
