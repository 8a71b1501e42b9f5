"""The command that names what an audit left for later: propose."""

from __future__ import annotations

from typing import Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.options import AsJson, DryRun
from auditor.cli.output import emit_json, say, summary, warn
from auditor.cli.progress import progress
from auditor.errors import EXIT_REQUEUE


def propose_command(
    context: typer.Context,
    task: Annotated[int, typer.Option("--task", min=0, help="Which share of the waiting results, from 0.")] = 0,
    tasks: Annotated[int, typer.Option("--tasks", min=1, help="How many shares there are.")] = 1,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let the vision-language model name what kept pictures show, and finish the results that wait for it.

    Ends with 75 when results still wait because the model was away or the command was asked to stop.

    Example:

        auditor propose --task 0 --tasks 2
    """
    from auditor.pipeline import stages

    settings = settings_of(context)
    if dry_run:
        waiting, chosen = len(stages.waiting(settings, task, tasks)), settings.recipe.proposer
        requests = waiting * chosen.requests
        if as_json:
            emit_json({"waiting": waiting, "most_requests": requests})
        say(f"{waiting} results wait, at most {requests} requests with {2 * chosen.pairs_per_request} pictures each")
        return
    start_logs(context, settings, f"propose-{task}")
    with progress("propose", len(stages.waiting(settings, task, tasks))) as step:
        report = stages.propose(settings, task, tasks, on_record=lambda record: step(1, record.item.repo_id))
    if as_json:
        emit_json(vars(report) | {"named": dict(report.named)})
    named = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.named.items())) or "nothing"
    summary([f"propose: {named}; {report.unanswered + report.left} still wait"], next_command="auditor merge")
    if report.other_recipe:
        warn(
            f"{report.other_recipe} results wait for another recipe; run this with the settings they were audited with"
        )
    if report.lost:
        warn(f"the pictures of {report.lost} results are damaged; `auditor audit` makes them again")
    if report.unanswered or report.left or report.lost:
        raise typer.Exit(EXIT_REQUEUE)
