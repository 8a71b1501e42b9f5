"""The commands that prepare, submit and repeat runs on Slurm: cluster init, submit, retry."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.help_text import SummaryGroup
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_text, say, summary, warn
from auditor.cli.run_status import redo_command
from auditor.errors import PrerequisiteMissing, TransientError, UserError

if TYPE_CHECKING:
    from auditor.cluster.runs import Run
    from auditor.cluster.slurm import Limits, QueuedJob, Slurm
    from auditor.cluster.submission import Submitted
    from auditor.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    cls=SummaryGroup,
    rich_markup_mode=None,
    help="Prepare a folder for runs on Slurm.\n\nExample:\n\n    auditor cluster init /shared/auditor",
)

RunName = Annotated[str | None, typer.Option("--run", help="Name of the run. Default: today's date (UTC).")]


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
        emit_json(
            {
                "results": [path.name for path in done.results],
                "attempts": done.attempts,
                "moved_to": None if dry_run or not done.results else str(done.moved_to),
            }
        )
    verb = "would be taken" if dry_run else "taken"
    summary(
        [f"retry: {len(done.results)} results {verb} back"],
        next_command=None if dry_run or not done.results else redo_command(),
    )


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
        values = (
            {}
            if costs is None
            else {
                "items": costs.items,
                "tasks": costs.tasks,
                "gpu_hours": round(costs.gpu_hours, 2),
                "gpu_hours_low": round(costs.gpu_hours_low, 2),
                "gpu_hours_high": round(costs.gpu_hours_high, 2),
                "bytes_to_fetch": costs.bytes_to_fetch,
                "gpu_hours_are": costs.basis,
            }
        )
        emit_json({"run": run.name, "lines": lines, **values})
    else:
        emit_text("\n".join(lines))
    if costs is None:
        say("there is no plan yet: the crawl job makes it and submits the rest, one array of audits among it")
        return
    summary(
        [
            f"{costs.items} files in {costs.tasks} tasks, {costs.gpu_hours_low:.1f} to "
            f"{costs.gpu_hours_high:.1f} GPU-hours ({costs.basis}), "
            f"{costs.bytes_to_fetch / 1e9:.2f} GB to fetch"
        ]
    )
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
        jobs = [
            {"stage": tag.stage, "job": job, "new": tag in submitted.new, "tag": str(tag)}
            for tag, job in submitted.jobs.items()
        ]
        emit_json({"run": run.name, "jobs": jobs, "slices_left_out": submitted.left_out, "note": submitted.note})
    for tag in submitted.new:
        say(f"submitted {tag.stage} as job {submitted.jobs[tag]}")
    if submitted.left_out:
        warn(f"{submitted.left_out} slices do not fit into the cluster's queue now; the next submission takes them")
    summary(
        [submitted.note or f"run {run.name}: {len(submitted.jobs)} jobs in the queue"], next_command="auditor status"
    )
