"""The commands that talk to Slurm: submit, status, retry."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.help_text import SummaryGroup
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, emit_text, say, summary, warn
from auditor.errors import PrerequisiteMissing, TransientError, UserError

if TYPE_CHECKING:
    from auditor.cluster.runs import Run
    from auditor.cluster.slurm import Limits, QueuedJob, Slurm
    from auditor.cluster.status import Status
    from auditor.cluster.submission import Submitted
    from auditor.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    cls=SummaryGroup,
    rich_markup_mode=None,
    help="Prepare a folder for runs on Slurm.\n\nExample:\n\n    auditor cluster init /shared/auditor",
)

RunName = Annotated[str | None, typer.Option("--run", help="Name of the run. Default: today's date (UTC).")]
CoverageBy = Literal["family", "format", "base", "reason"]
KnownRun = Annotated[str | None, typer.Option("--run", help="Name of the run. Default: the one submitted last.")]


@app.command("init")
def init_command(
    folder: Annotated[Path, typer.Argument(help="Where to write, on a file system that all nodes see.")],
) -> None:
    """Write the batch files and the entry points of their jobs, to be edited for this site.

    Files that are there already are kept. Run `auditor submit` in that folder.

    Example:

        auditor cluster init /shared/auditor
    """
    from auditor.cluster.site_files import write_site_files

    written = write_site_files(folder)
    for path in written:
        emit_text(str(path))
    say(
        f"{len(written)} files written. Next: edit {folder / 'slurm' / 'cluster.env'}, then `auditor submit --dry-run`."
    )


def submit_command(
    context: typer.Context,
    run: RunName = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Submit what the plan still lacks; no new crawl. Default: the latest run.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the sbatch lines and the cost.")] = False,
    as_json: AsJson = False,
    go_on: Annotated[str | None, typer.Option("--continue", hidden=True)] = None,
) -> None:
    """Submit a nightly run to Slurm: crawl, plan, prefetch, audit, propose, merge and export, chained.

    A run of one name is submitted once, however often this is called, so a cron line may repeat it.

    Example:

        auditor submit --dry-run
    """
    from auditor.cluster import submission
    from auditor.cluster.runs import latest_run, open_run
    from auditor.cluster.slurm import Slurm

    settings = settings_of(context)
    chosen = open_run(settings, go_on or run)
    if resume and run is None:
        chosen = latest_run(settings) or chosen
    slurm = Slurm(settings.cluster.sbatch_timeout_s)
    if dry_run:
        _preview(settings, chosen, slurm, resume=resume, as_json=as_json)
        return
    start_logs(context, settings, "submit")
    if go_on is not None:
        submitted = submission.go_on(settings, chosen, slurm)
    else:
        submitted = (submission.resume if resume else submission.start)(settings, chosen, slurm)
    _tell(chosen, submitted, as_json)


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


def retry_command(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Reason of the results to take back, such as poison.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many; with --json, which.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take back the results with one reason, so that the next audit redoes them.

    They are moved to results-retried/ in the work folder, not deleted. docs/reference/outcomes.md lists the reasons.

    Example:

        auditor retry --reason poison --dry-run
    """
    from auditor.cluster.retry import retry
    from auditor.records.outcomes import REASONS, Reason

    if reason not in REASONS:
        raise UserError(f"there is no reason {reason!r}; known: {', '.join(get_args(Reason))}")
    settings = settings_of(context)
    done = retry(settings, reason, dry_run=dry_run)
    if as_json:
        emit_json({"results": [path.name for path in done.results], "attempts": done.attempts,
                   "moved_to": None if dry_run or not done.results else str(done.moved_to)})  # fmt: skip
    verb = "would be taken" if dry_run else "taken"
    summary([f"retry: {len(done.results)} results {verb} back"],
            next_command=None if dry_run or not done.results else _redo_command())  # fmt: skip


def _preview(settings: Settings, run: Run, slurm: Slurm, *, resume: bool, as_json: bool) -> None:
    """Print what a submission would do."""
    from auditor.cluster.completion import read_completion
    from auditor.cluster.estimate import estimate
    from auditor.cluster.jobs import single_job
    from auditor.cluster.submission import plan_chain
    from auditor.results.workspace import Workspace

    queue, limits, everybody = _look(slurm)
    jobs, costs = [] if resume else [single_job(settings, run, "crawl")], None
    planned = (Workspace(settings.work.dir).manifest / "items.parquet").exists()
    if planned or resume:
        chain = plan_chain(settings, run, queue, limits, everybody)
        jobs += chain.jobs
        costs = estimate(settings, chain, read_completion(settings))
    names = {job.tag: f"{job.tag.stage.upper()}_ID" for job in jobs}
    lines = [shlex.join(job.command(names)) for job in jobs]
    if as_json:
        values = {} if costs is None else {
            "items": costs.items, "tasks": costs.tasks, "gpu_hours": round(costs.gpu_hours, 2),
            "bytes_to_fetch": costs.bytes_to_fetch, "gpu_hours_are": costs.basis,
        }  # fmt: skip
        emit_json({"run": run.name, "lines": lines, **values})
    else:
        emit_text("\n".join(lines))
    if costs is None:
        say("there is no plan yet: the crawl job makes it and submits the rest, one array of audits among it")
        return
    summary([f"{costs.items} files in {costs.tasks} tasks, {costs.gpu_hours:.1f} GPU-hours ({costs.basis}), "
             f"{costs.bytes_to_fetch / 1e9:.2f} GB to fetch"])  # fmt: skip
    if not resume:
        say("these are the figures of the latest plan; the crawl job makes a new one and submits by that")


def _look(slurm: Slurm) -> tuple[tuple[QueuedJob, ...], Limits, int]:
    """Queue and limits; Slurm's defaults where there is no cluster."""
    from auditor.cluster.slurm import parse_limits

    try:
        return slurm.queue(), slurm.limits(), slurm.jobs_of_all()
    except (PrerequisiteMissing, TransientError) as error:
        warn(f"reckoned without the cluster: {error}")
        return (), parse_limits(""), 0


def _tell(run: Run, submitted: Submitted, as_json: bool) -> None:
    if as_json:
        jobs = [{"stage": tag.stage, "job": job, "new": tag in submitted.new, "tag": str(tag)}
                for tag, job in submitted.jobs.items()]  # fmt: skip
        emit_json({"run": run.name, "jobs": jobs, "slices_left_out": submitted.left_out, "note": submitted.note})
    for tag in submitted.new:
        say(f"submitted {tag.stage} as job {submitted.jobs[tag]}")
    if submitted.left_out:
        warn(f"{submitted.left_out} slices do not fit into the cluster's queue now; the next submission takes them")
    summary([submitted.note or f"run {run.name}: {len(submitted.jobs)} jobs in the queue"],
            next_command="auditor status")  # fmt: skip


def _show_coverage(settings: Settings, by: CoverageBy, as_json: bool) -> None:
    from auditor.catalog.coverage import read_coverage

    groups = read_coverage(settings.catalog_path, by)
    if as_json:
        emit_json([{**asdict(group), "units": group.units} for group in groups])
        return
    off = {base.family: name for name, base in settings.recipe.bases.items() if not base.enabled}
    rows = [
        (
            group.name or "not known", group.units, group.audited,
            f"{group.audited / group.units:.0%}" if group.units else "-",
            group.pending, group.main_reason or "-", group.downloads_without,
            f"recipe.bases.{off[group.name]}.enabled = true" if by == "family" and group.name in off else "",
        )
        for group in groups
    ]  # fmt: skip
    columns = (by, "files", "audited", "share", "pending", "mostly because", "downloads without", "can be switched on")
    shown = len(columns) if any(row[-1] for row in rows) else len(columns) - 1
    emit_table(columns[:shown], [row[:shown] for row in rows])


def _status_values(status: Status) -> dict[str, object]:
    return {
        "run": status.run, "wanted": status.wanted, "done": status.done, "running_tasks": status.running,
        "held_by_queued_tasks": status.held, "unsubmitted": status.unsubmitted, "outcomes": dict(status.outcomes),
        "failed": dict(status.failed), "queue": status.queue, "per_hour": status.per_hour,
        "hours_left": status.hours_left,
    }  # fmt: skip


def _show(status: Status) -> None:
    left = "unknown" if status.hours_left is None else f"{status.hours_left:.1f} h"
    speed = "unknown" if status.per_hour is None else f"{status.per_hour:.0f} an hour"
    rows: list[tuple[str, object]] = [
        ("run", status.run), ("wanted", status.wanted), ("done", status.done),
        ("in the queue", status.held), ("not submitted", status.unsubmitted), ("running tasks", status.running),
        ("speed", speed), ("time left", left),
    ]  # fmt: skip
    rows += [(f"  {outcome}", count) for outcome, count in status.outcomes.items()]
    rows += [(f"failed: {reason}", count) for reason, count in status.failed.items()]
    for stage, states in (status.queue or {}).items():
        rows.append((f"{stage} jobs", ", ".join(f"{n} {state.lower()}" for state, n in states.items())))
    emit_table(("what", "value"), rows)
    if status.unsubmitted:
        say(f"next: {_redo_command()}   ({status.unsubmitted} items are in no task)")


def _redo_command() -> str:
    """What gets the rest of a plan done: on a cluster a submission, elsewhere the audit itself."""
    return "auditor submit --resume" if shutil.which("sbatch") else "auditor audit"
