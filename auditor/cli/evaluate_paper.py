"""`auditor evaluate paper`: every table of the paper beside ours."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.evaluate_answers import evaluate_app
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.cli.progress import progress

__all__ = ["evaluate_app"]


@evaluate_app.command("paper")
def paper_command(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="A few development styles, in minutes.")] = False,
    page: Annotated[Path | None, typer.Option("--page", help="Also write a Markdown page.", dir_okay=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Print every table of the paper beside ours, rivals and chance lines.

    Trains and audits what is missing, on held-out styles, and goes on where it was interrupted. Texts of rivals are
    judged by a matcher over the lexicon's names, or by the language model at `serving.address` where
    `recipe.proposer.kind` is openai.

    Example:

        auditor evaluate paper --quick --page paper.md
    """
    from auditor.evaluation.paper_page import evaluate_paper, write_page
    from auditor.evaluation.paper_table import cell, standing
    from auditor.evaluation.paper_work import quick_options, whole_options
    from auditor.evaluation.rivals.rival_list import load_rivals

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-paper")
    options = quick_options() if quick else whole_options()
    with progress("paper") as step:
        tables = evaluate_paper(settings, options, note=lambda n: step(1, n))
    if page is not None:
        write_page(page, tables, options, [(r.name, r.replaced) for r in load_rivals().values()])
    if as_json:
        emit_json([asdict(table) | {"standing": standing(table)} for table in tables])
        return
    for table in tables:
        rows = [(row.name, *(cell(figure, table.unit) for figure in row.figures)) for row in table.rows]
        emit_table((f"{table.key} {table.title}", *table.columns), rows)
        for sentence in (*standing(table), *table.notes):
            say(sentence)
