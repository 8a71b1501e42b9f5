"""The commands that ask the catalog: search, sql, show. They read, and change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.context import settings_of
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, emit_text, say, warn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from auditor.catalog.adapter_cards import Card
    from auditor.catalog.search import Hit, Match
    from auditor.encoding.encoder import Encoder
    from auditor.settings import Settings


def search_command(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORDS", help="What the adapter should do.")],
    k: Annotated[int, typer.Option("--limit", "-k", min=1, max=10_000, help="Most adapters shown.")] = 10,
    base: Annotated[str | None, typer.Option("--base", help="Only this base model or family.")] = None,
    license_name: Annotated[str | None, typer.Option("--license", help="Only this licence.")] = None,
    show_sql: Annotated[bool, typer.Option("--show-sql", help="Print the SQL; it runs as it stands.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find adapters by what they do to images.

    Concepts of the lexicon are found by any of their names, "not X" and "least X" are understood, and other words
    are compared through the text encoder. One concept is ranked by the lower end of its score; several by fit, the
    cosine of what an adapter does with what all the words together would do.

    Example:

        auditor search "most vibrant watercolor LoRA"

        auditor search "least blurry watercolor, not dark" --base sdxl --show-sql
    """
    from auditor.catalog.search import search

    settings = settings_of(context)
    answer = search(
        settings.catalog_path,
        " ".join(words),
        k,
        base=base,
        license=license_name,
        encoder=lambda: _encoder(settings),
        differences=lambda name: _differences(settings, name),
    )
    for note in answer.notes:
        warn(note)
    if as_json:
        emit_json(asdict(answer))
        return
    if show_sql:
        emit_text(answer.sql)
    if not answer.hits:
        say("no adapter has all of that; try fewer words, or see which there are: auditor sql 'FROM lora_card'")
        return
    emit_table(
        ("", "adapter", "fit", "score", "why", "probes", "base", "licence", "trigger", "beware"),
        [_row(hit) for hit in answer.hits],
        numeric=("", "fit", "score", "probes"),
    )
    best = answer.hits[0]
    say("score: 1 is as far as the words reach in the text encoder; [lower, upper] end")
    say(f"more: auditor show {best.repo_id}")


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

    table = run_sql(settings_of(context).catalog_path, query, limit, timeout_s=timeout_s)
    if as_json:
        emit_json(table.records())
    else:
        emit_table(table.columns, [[_cell(cell) for cell in row] for row in table.rows])
    if table.truncated:
        warn(f"only the first {limit} rows are shown; --limit gives more")


def show_command(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(metavar="REPO", help="owner/name.")],
    file: Annotated[str | None, typer.Option("--file", help="Only this file of the repo.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is known of a repo's adapters.

    Example:

        auditor show owner/name
    """
    from auditor.catalog.adapter_cards import read_cards

    cards = read_cards(settings_of(context).catalog_path, repo, file)
    if as_json:
        emit_json([asdict(card) for card in cards])
        return
    for card in cards:
        _show(card)


def _row(hit: Hit) -> tuple[object, ...]:
    others = hit.copies - 1
    name = hit.repo_id if others < 1 else f"{hit.repo_id} (+{others} {'copy' if others == 1 else 'copies'})"
    return (
        hit.place,
        name,
        None if hit.fit is None else f"{hit.fit:.2f}",
        None if hit.score is None else f"{hit.score:.2f}",
        ", ".join(_why(match) for match in hit.matched),
        hit.probes,
        hit.base,
        hit.license,
        hit.trigger,
        ", ".join(hit.flags) or None,
    )


def _why(match: Match) -> str:
    if match.low is None or match.high is None:
        return f"{match.term} {match.score:.2f}"
    if match.score == 0 and match.projection != 0:
        return f"{match.term} {match.projection:.2f} (alone)"
    return f"{match.term} {match.score:.2f} [{match.low:.2f}, {match.high:.2f}]"


def _show(card: Card) -> None:
    """One adapter as a few small tables."""
    facts = card.card
    fields = ("outcome", "message", "base", "base_claim", "license", "trigger", "flags", "probes", "explained_share",
              "p_value", "downloads", "likes", "size_bytes", "file_sha256", "commit_sha", "recipe_id")  # fmt: skip
    rows = [(name, _cell(facts[name])) for name in fields if facts[name] not in (None, [])]
    if card.copies_in:
        rows.append(("same bytes in", ", ".join(card.copies_in[:10])))
    if card.trigger is not None:
        rows.append(("trigger's own effect", _cell(card.trigger["interaction_norm"])))
    emit_text(f"{facts['repo_id']} {facts['path'] or ''}".replace("\n", " "))
    emit_table(("what", "found"), rows)
    _section("concepts", ("concept", "score", "low", "high"), card.scores[:10])
    _section("FineXL", ("variant", "concept", "weight", "support"), card.explanations)
    _section("strength", ("scale", "norm"), card.dose)


def _section(title: str, columns: Sequence[str], records: Sequence[Mapping[str, object]]) -> None:
    if records:
        emit_text("")
        numeric = [name for name in columns if name not in ("concept", "variant")]
        rows = [[_cell(record[name]) for name in columns] for record in records]
        emit_table(columns, rows, title=title, numeric=numeric)


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(str(_cell(item)) for item in value)
    if isinstance(value, dict):
        return " ".join(str(_cell(item)) for item in value.values())
    return value


def _encoder(settings: Settings) -> Encoder:
    from auditor.audit.opening import load_encoder

    return load_encoder(settings)


def _differences(settings: Settings, name: str) -> NDArray[np.generic] | None:
    """The single differences of a result file; None when the results are somewhere else or damaged."""
    from auditor.results.result_file import CorruptResult, read_result
    from auditor.results.workspace import Workspace

    try:
        return read_result(Workspace(settings.work.dir).results / name).arrays.get("differences")
    except CorruptResult:
        return None
