"""The commands that work: nightly, crawl, plan, prefetch, audit, merge."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli import steps
from auditor.cli.context import settings_of, start_logs
from auditor.cli.options import AsJson, DryRun, Task, Tasks
from auditor.cli.output import emit_json, say
from auditor.cli.progress import progress
from auditor.errors import EXIT_ITEMS_FAILED, EXIT_REQUEUE

if TYPE_CHECKING:
    from auditor.audit.task import TaskReport
    from auditor.catalog.accounts import MergeReport


def crawl_command(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="List everything, not only what has changed.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """List the Hub's adapters into the work folder. Goes on where an interrupted crawl stopped.

    Between full crawls (setting hub.full_crawl_days) only what has changed is listed. A full one also asks about
    repos that are listed no more, before they are recorded as gone.

    Example:

        auditor crawl --dry-run
    """
    from auditor.pipeline import connection

    settings = settings_of(context)
    start_logs(context, settings, "crawl", dry_run=dry_run)
    with connection.hub(settings) as client:
        report = steps.crawl(settings, client, dry_run, full=full)
    if as_json:
        emit_json({**asdict(report), "complete": report.complete, "pages": report.pages})
    if report.complete and not dry_run:
        say("next: auditor plan")


def plan_command(context: typer.Context, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Choose the adapter files to audit, and say what they will cost.

    Spends at most hub.plan_requests requests on sizes and hashes, none with --dry-run.

    Example:

        auditor plan --dry-run
    """
    from auditor.pipeline import connection

    settings = settings_of(context)
    start_logs(context, settings, "plan", dry_run=dry_run)
    if dry_run:
        manifest = steps.plan(settings, None, store=False)
        unknown = len({(i.repo_id, i.commit_sha) for i in manifest.items if i.size_bytes is None})
        say(f"a plan asks about {min(unknown, settings.hub.plan_requests)} of {unknown} repos of unknown size")
    else:
        with connection.maybe_hub(settings) as client:
            manifest = steps.plan(settings, client, store=True)
        say("next: auditor prefetch")
    if as_json:
        emit_json(
            {
                "items": len(manifest.items),
                "distinct_files": manifest.distinct_files,
                "settled": len(manifest.settled),
                "bytes_to_fetch": manifest.bytes_to_fetch,
                "estimated_bytes": manifest.estimated_bytes,
                "unknown_sizes": manifest.unknown_sizes,
                "requests": manifest.asked,
            }
        )


def prefetch_command(
    context: typer.Context,
    task: Task = 0,
    tasks: Tasks = 1,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the planned files, so that audits need no network. Goes on where it stopped, with half a file too.

    A file that is gone, gated, too large or not what was announced is recorded as such, as the audit would.
    After several slices, `auditor plan` takes up the sizes and hashes that they learned.
    Ends with 75 when the network left files for another run, or the cache is full.

    Example:

        auditor prefetch --dry-run
    """
    from auditor.pipeline import connection, stages
    from auditor.planning.slices import Slice

    settings = settings_of(context)
    start_logs(context, settings, f"prefetch-{task}", dry_run=dry_run)
    part = Slice(task, tasks)
    with connection.hub(settings) as client:
        if dry_run:
            cost = stages.prefetch_cost(settings, client, part)
            size = f"about {cost.bytes / 1e6:,.1f} MB" if cost.bytes is not None else "an unknown number of bytes"
            say(
                f"{cost.files} files to fetch, {size}, {cost.requests} requests, at least {cost.seconds / 60:.1f} min "
                f"by the rate limit"
            )
            if as_json:
                emit_json(asdict(cost))
            return
        report = steps.prefetch(settings, client, part)
    if as_json:
        emit_json({**asdict(report), "bytes_per_second": round(report.bytes_per_second)})
    if not report.put_off and not report.stopped:
        say(f"next: auditor audit{'   (it makes room in the cache)' if report.no_room else ''}")
    if report.put_off or report.no_room or report.stopped:
        raise typer.Exit(EXIT_REQUEUE)


def audit_command(
    context: typer.Context,
    task: Task = 0,
    tasks: Tasks = 1,
    slices: Annotated[
        str | None, typer.Option("--slices", help="Stored slices to take --task from, instead of the plan.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use prefetched files only; put the others off.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Audit the planned files that have no result yet.

    Ends with 4 when an item failed, and with 75 when it was asked to stop (SIGTERM, SIGUSR2) or items were put off.

    Example:

        auditor audit --task 0 --tasks 4
    """
    from auditor.audit.signals import hold_signals
    from auditor.pipeline import connection
    from auditor.planning.slices import Slice, StoredSlice

    hold_signals()
    settings = settings_of(context)
    if offline:
        settings = settings.model_copy(update={"hub": settings.hub.model_copy(update={"offline": True})})
    start_logs(context, settings, f"audit-{task}", dry_run=dry_run)
    part = Slice(task, tasks) if slices is None else StoredSlice(slices, task)
    if dry_run:
        cost = steps.audit_cost(settings, part.items(settings))
        if as_json:
            emit_json(asdict(cost))
        return
    with connection.maybe_hub(settings) as client:
        report = steps.audit(settings, client, part)
    if as_json:
        emit_json(_audit_values(report))
    if not report.interrupted and not report.transient:
        say(f"next: {'auditor propose' if report.pending else 'auditor merge'}")
    _leave(report)


def merge_command(
    context: typer.Context,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Read and verify every result file again, not only what has changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build the catalog from all results and swap it in; readers never wait.

    Rows of result files that have not changed are taken over from the catalog before, so a night costs what is new.

    Example:

        auditor merge

        auditor merge --rebuild --json
    """
    settings = settings_of(context)
    start_logs(context, settings, "merge")
    report = steps.merge(settings, rebuild=rebuild)
    if as_json:
        emit_json(_merge_values(report))


def nightly_command(context: typer.Context, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Run the whole chain here: crawl, plan, prefetch, audit, propose and merge. What is done is not done again.

    Without an auditor.toml this is the pocket profile: offline, on the CPU, in minutes. Files for others are
    written by `auditor export`, which this leaves to you.

    Example:

        auditor nightly
    """
    from auditor.pipeline import connection, stages
    from auditor.planning.slices import Slice

    settings = settings_of(context)
    start_logs(context, settings, "nightly", dry_run=dry_run)
    with connection.hub(settings) as client:
        crawled = steps.crawl(settings, client, dry_run)
        if dry_run:
            if as_json:
                emit_json({"crawl": asdict(crawled)})
            return
        steps.plan(settings, client, store=True)
        while True:
            fetched = steps.prefetch(settings, client, Slice())
            report = steps.audit(settings, client, Slice())
            # A full cache is worked off in rounds, as long as each makes room for some.
            if not fetched.no_room or not fetched.fetched or report.interrupted:
                break
    if settings.recipe.proposer.kind != "none" and stages.waiting(settings):
        with progress("propose") as step:
            proposed = stages.propose(settings, on_record=lambda named: step(1, named.item.repo_id))
        report.unanswered = proposed.unanswered + proposed.left
    merged = steps.merge(settings)
    if as_json:
        emit_json({"crawl": asdict(crawled), "audit": _audit_values(report), "merge": _merge_values(merged)})
    _leave(report)


def _audit_values(report: TaskReport) -> dict[str, object]:
    return {**vars(report), "outcomes": dict(report.outcomes)}


def _merge_values(report: MergeReport) -> dict[str, object]:
    return {
        "listed": report.listed,
        "outcomes": dict(report.outcomes),
        "pending": report.pending,
        "audits": report.audits,
        "read": report.read,
        "carried": report.carried,
        "rejected": len(report.rejected),
        "seconds": round(report.seconds, 1),
        "reconciles": report.reconciles,
    }


def _leave(report: TaskReport) -> None:
    if report.interrupted or report.transient or report.unanswered:
        raise typer.Exit(EXIT_REQUEUE)
    if report.outcomes.get("failed"):
        raise typer.Exit(EXIT_ITEMS_FAILED)
