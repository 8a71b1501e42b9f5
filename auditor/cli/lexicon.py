"""The commands about the lexicon."""

from __future__ import annotations

from typing import Annotated

import typer

from auditor.cli.context import catalog_of
from auditor.cli.help_text import SummaryGroup
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say

app = typer.Typer(
    no_args_is_help=True,
    cls=SummaryGroup,
    rich_markup_mode=None,
    help="Look after the words that every adapter is scored on.\n\nExample:\n\n    auditor lexicon candidates",
)


@app.command("candidates")
def candidates_command(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most phrases shown.")] = 50,
    owners: Annotated[int, typer.Option("--owners", min=1, help="Only phrases found with this many owners.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Show what the vision-language model named that is no concept yet, most frequent first.

    These are candidates for the next version of the lexicon: until then such a phrase is scored by the text encoder
    alone. Spelling variants count together.

    Example:

        auditor lexicon candidates --owners 3
    """
    from auditor.catalog.reading import run_sql

    # Both numbers come from typer as integers.
    sql = f"FROM lexicon_candidates WHERE owners >= {owners} ORDER BY adapters DESC, mean_support DESC, phrase"
    table = run_sql(catalog_of(context), sql, limit)
    if as_json:
        emit_json(table.records())
        return
    if not table.rows:
        say("every phrase that was named is a concept of the lexicon, or none was named")
        return
    shown = [
        (r["phrase"], r["adapters"], r["owners"], f"{r['mean_support']:.2f}", r["example"]) for r in table.records()
    ]
    emit_table(("phrase", "adapters", "owners", "support", "example"), shown, numeric=("adapters", "owners", "support"))
