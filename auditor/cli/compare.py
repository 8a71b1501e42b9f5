"""The commands that put adapters beside each other: similar, compare, duplicates, diff."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.context import catalog_of
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, emit_text, say, warn

if TYPE_CHECKING:
    from auditor.catalog.reading import Table

_MOST_SHOWN = 20


def similar_command(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(metavar="REPO", help="owner/name.")],
    k: Annotated[int, typer.Option("--limit", "-k", min=1, max=10_000, help="Most adapters shown.")] = 10,
    as_json: AsJson = False,
) -> None:
    """List the adapters that change images most nearly as this one does.

    Example:

        auditor similar owner/name -k 5
    """
    from auditor.catalog.comparisons import similar

    table = similar(catalog_of(context), repo, k)
    if as_json:
        emit_json(table.records())
        return
    repos = [str(row["repo_id"]) for row in table.records()]
    rows = [
        (
            row["repo_id"] if repos.count(str(row["repo_id"])) == 1 else f"{row['repo_id']} {row['path']}",
            *(_cell(row[name]) for name in ("cosine", "concepts", "trigger", "base", "license")),
        )
        for row in table.records()
    ]
    emit_table(("adapter", "cosine", "does", "trigger", "base", "licence"), rows, numeric=("cosine",))
    say("cosine: 1 is the same direction of change, 0 is none in common; does: its concepts and their scores")
    if repos:
        say(f"next: auditor compare {repo} {repos[0]}")


def compare_command(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="A", help="owner/name.")],
    second: Annotated[str, typer.Argument(metavar="B", help="owner/name.")],
    page: Annotated[
        Path | None, typer.Option("--page", help="Also write an HTML page: a figure, and pictures side by side.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what one adapter does more than another, beyond both intervals, and list both concept by concept.

    Example:

        auditor compare owner/one owner/two --page both.html
    """
    from auditor.catalog.comparisons import compare

    database = catalog_of(context)
    found = compare(database, first, second)
    if page is not None:
        from auditor.catalog.compare_page import render_comparison

        page.write_text(render_comparison(database, found), encoding="utf-8")
        say(f"page: {page}")
    if as_json:
        emit_json({**asdict(found), "table": found.table.records(), "words": found.words})
        return
    emit_text(found.words)
    records = found.table.records()
    rows = [
        (
            row["concept"],
            *(f"{row[f'score_{x}']:.2f} [{row[f'low_{x}']:.2f}, {row[f'high_{x}']:.2f}]" for x in "ab"),
            f"{row['difference']:+.2f}",
            "yes" if row["distinct_intervals"] else "no",
        )
        for row in records[:_MOST_SHOWN]
    ]
    first, second = (found.first, found.second) if found.first != found.second else ("first", "second")
    emit_table(("concept", first, second, "difference", "apart"), rows, numeric=("difference",))
    if len(records) > _MOST_SHOWN:
        say(f"the first {_MOST_SHOWN} of {len(records)}; --json gives all")
    say("score [95 % interval]: 1 is as far as the concept's words reach; apart: beyond both intervals")
    if page is None:
        say("pictures side by side: add --page both.html")


def duplicates_command(
    context: typer.Context,
    by_effect: Annotated[bool, typer.Option("--by-effect", help="Different weights that do nearly the same.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-k", min=1, help="Most rows.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List adapters that are copies of each other: same weights in whatever file, or nearly the same effect.

    Example:

        auditor duplicates --by-effect
    """
    from auditor.catalog.comparisons import duplicates

    table = duplicates(catalog_of(context), by_effect=by_effect, limit=limit)
    if as_json:
        emit_json(table.records())
    elif table.rows:
        _emit(table)
        if by_effect:
            say("cosine: 1 is the same direction of change; next: auditor compare FIRST SECOND")
        else:
            say("copies: files with the same weights, most downloaded first; different weights: --by-effect")
    else:
        say("no two adapters are alike in that way")


def diff_command(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The earlier catalog.duckdb.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The later one.")],
    as_json: AsJson = False,
) -> None:
    """Compare two catalogs: what came, went, ended otherwise, and scores that moved beyond their intervals.

    The same file under the same recipe must score the same; where it does not, the audit is at fault.

    Example:

        auditor diff yesterday.duckdb catalog.duckdb
    """
    from auditor.catalog.comparisons import difference

    found = difference(old, new)
    parts = {"new": found.added, "gone": found.gone, "other outcome": found.outcomes, "moved": found.moved}
    if as_json:
        emit_json({name: table.records() for name, table in parts.items()})
        return
    emit_text(", ".join(f"{len(table.rows)} {name}" for name, table in parts.items()))
    say("new, gone: listed files; other outcome: files that ended otherwise; moved: scores beyond both their intervals")
    for name, table in parts.items():
        if table.rows:
            emit_text(f"{name}:")
            _emit(table, limit=_MOST_SHOWN)
    if found.moved.rows:
        warn(f"{len(found.moved.rows)} scores of unchanged files moved beyond their intervals: a fault of the audit")


def _emit(table: Table, limit: int | None = None) -> None:
    rows = [[_cell(cell) for cell in row] for row in table.rows[:limit]]
    numeric = [name for place, name in enumerate(table.columns) if any(isinstance(r[place], float) for r in table.rows)]
    emit_table(table.columns, rows, numeric=numeric)
    if limit is not None and len(table.rows) > limit:
        say(f"the first {limit} of {len(table.rows)}; --json gives all")


def _cell(cell: object) -> object:
    if isinstance(cell, float):
        return f"{cell:.2f}"
    return ", ".join(map(str, cell)) if isinstance(cell, list) else cell
