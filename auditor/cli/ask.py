"""The commands that ask the catalog: search and sql. They read, and change nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from auditor.cli.context import catalog_of, options_of, settings_of
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, emit_text, say, shown_cell, warn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typer._click.core import Context

    from auditor.catalog.answers import Hit, Match
    from auditor.catalog.questions.question import Question
    from auditor.encoding.encoder import Encoder


_MINUS_WORD = re.compile(r"^-[^\W\d_]{2}")


class QuestionCommand(TyperCommand):
    """A command whose words may start with a minus: -dark is "not dark", no option."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Reads the arguments with such words spelt out."""
        words = [part for arg in args for part in (("not", arg[1:]) if _MINUS_WORD.match(arg) else (arg,))]
        return super().parse_args(ctx, words)


def search_command(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORDS", help="What the adapter should do.")],
    k: Annotated[int, typer.Option("--limit", "-k", min=1, max=10_000, help="Most adapters shown.")] = 10,
    base: Annotated[str | None, typer.Option("--base", help="Only this base model or family.")] = None,
    license_name: Annotated[str | None, typer.Option("--license", help="Only this licence.")] = None,
    show_sql: Annotated[
        bool, typer.Option("--explain", "--show-sql", help="Print the SQL; it runs as it stands.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Also write a PNG: two pairs of pictures of each answer.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find adapters by what they do to images.

    Asks in plain words: several concepts, and/or/not, amounts, filters, an order, "like OWNER/NAME but more X", or the
    name of a repo. docs/questions.md has the whole language. Every answer says how the question was understood.

    Example:

        auditor search "most vibrant watercolor LoRA, not dark, commercial use ok"

        auditor search "slightly blurry watercolor for sdxl" --explain
    """
    from auditor.catalog.search import search

    work_folder = cache(options_of(context).work_folder)
    answer = search(
        catalog_of(context),
        " ".join(words),
        k,
        base=base,
        license=license_name,
        encoder=lambda: _encoder(context),
        differences=lambda name: _differences(work_folder(), name),
    )
    for note in answer.notes:
        warn(note)
    if as_json:
        emit_json(asdict(answer))
        return
    say(f"understood: {answer.understood}")
    if show_sql:
        emit_text(answer.sql)
    if not answer.hits:
        say(
            "no adapter has any of that; try fewer words or filters, or see what there is: auditor sql 'FROM lora_card'"
        )
        return
    _emit_hits(answer.hits, answer.question)
    if sheet is not None:
        _write_sheet(catalog_of(context), answer.hits, sheet)


def _write_sheet(database: Path, hits: Sequence[Hit], path: Path) -> None:
    """Two pairs of each answer as one picture."""
    from auditor.catalog.picture_sheets import picture_sheet, stored_pairs

    groups = [(hit.repo_id, stored_pairs(database, hit.audit_id)) for hit in hits if hit.audit_id is not None]
    if any(pairs for _, pairs in groups):
        path.write_bytes(picture_sheet(groups))
        say(f"pictures: {path}")
    else:
        warn("no pictures of these adapters are in the catalog (catalog.pairs)")


def sql_command(
    context: typer.Context,
    query: Annotated[str, typer.Argument(metavar="SQL", help="DuckDB SQL.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most rows shown.")] = 1000,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", min=0.1, help="Give up after so many seconds. Default: never.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the catalog in SQL: read-only, without access to files, network or extensions.

    Tables, views and macros explain themselves: DESCRIBE lora_card, or docs/reference/schema.md.

    Example:

        auditor sql "FROM most('vibrant', 'watercolor', k := 5)"

        auditor sql "SELECT outcome, count(*) FROM adapters GROUP BY ALL" --json
    """
    from auditor.catalog.reading import run_sql

    table = run_sql(catalog_of(context), query, limit, timeout_s=timeout_s)
    if as_json:
        emit_json(table.records())
    else:
        emit_table(table.columns, [[shown_cell(cell) for cell in row] for row in table.rows])
    if table.truncated:
        warn(f"only the first {limit} rows are shown; --limit gives more")


_BANDS = {
    "surely": "surely: the interval of every concept lies above 0",
    "maybe": "maybe: measured, but an interval reaches 0",
    "near": "near, but not what was asked for",
}
_LIKE = "nearest first: cosine of what the two adapters change"
_NEAR_SHOWN = 3


def _emit_hits(hits: Sequence[Hit], question: Question) -> None:
    """A table for each band. What is near but not it is shown only when little else was found."""
    sure = [hit for hit in hits if hit.band != "near"]
    shown = sure + [hit for hit in hits if hit.band == "near"][: max(0, _NEAR_SHOWN - len(sure))]
    for band, title in _BANDS.items():
        rows = [hit for hit in shown if hit.band == band]
        if rows:
            # To be like another is a place in an order, and a filter is passed or not: neither is more or less sure.
            if question.like is not None and band == "surely":
                emit_text(_LIKE)
            elif question.wishes:
                emit_text(title)
            emit_table(
                ("", "adapter", "why", "also", "strength", "trigger", "base", "licence", "beware"),
                [_row(hit) for hit in rows],
                numeric=("",),
            )
    say("score [lower, upper end]: 1 is as far as the concept's words reach in the text encoder")
    if any(_alone(match) for hit in shown for match in hit.matched):
        say("(alone): what the concept alone would explain, where the joint score left it nothing")
    if any(match.found_as for hit in shown for match in hit.matched):
        say("A for B: it has A, and the recipe cannot tell A from B")
    say("strength: measured strengths with the concept there and the rest of the change not outgrowing it")
    say(f"more: auditor show {shown[0].repo_id}")


def _row(hit: Hit) -> tuple[object, ...]:
    others = hit.copies - 1
    name = hit.repo_id if others < 1 else f"{hit.repo_id} (+{others} {'copy' if others == 1 else 'copies'})"
    strength = hit.strength
    return (
        hit.place,
        name,
        ", ".join(_why(match) for match in hit.matched) or hit.message,
        ", ".join(hit.side_effects) or None,
        None if strength is None else f"{strength.low:g} to {strength.high:g}",
        f"{hit.trigger} (needed)" if hit.with_trigger else hit.trigger,
        hit.base,
        hit.license,
        ", ".join([*hit.flags, *hit.base_doubts]) or None,
    )


def _alone(match: Match) -> bool:
    return match.score == 0 and match.projection > 0 and match.low is not None


def _why(match: Match) -> str:
    name = match.term if match.found_as is None else f"{match.found_as} for {match.term}"
    if match.low is None or match.high is None:
        return f"{name} {match.score:.2f}"
    if _alone(match):
        return f"{name} {match.projection:.2f} (alone)"
    return f"{name} {match.score:.2f} [{match.low:.2f}, {match.high:.2f}]"


def _encoder(context: typer.Context) -> Encoder:
    from auditor.planning.encoder_opening import load_encoder

    return load_encoder(settings_of(context))


def _differences(work_folder: Path, name: str) -> NDArray[np.generic] | None:
    """The single differences of a result file; None when the results are somewhere else or damaged."""
    from auditor.results.result_file import CorruptResult, read_differences
    from auditor.results.workspace import Workspace

    try:
        return read_differences(Workspace(work_folder).results / name)
    except CorruptResult:
        return None
