"""The command that shows one adapter as a few small tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast

import typer

from auditor.cli.context import settings_of
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, emit_text, shown_cell
from auditor.common.text_safety import clean

if TYPE_CHECKING:
    from auditor.catalog.adapter_cards import Card


def show_command(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(metavar="REPO", help="owner/name, its address, or a part of its name.")],
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


def _show(card: Card) -> None:
    """One adapter as a few small tables."""
    facts = card.card
    fields = (
        "outcome",
        "message",
        "base",
        "base_claim",
        "license",
        "trigger",
        "flags",
        "probes",
        "explained_share",
        "p_value",
        "downloads",
        "likes",
        "size_bytes",
        "file_sha256",
        "commit_sha",
        "recipe_id",
    )
    rows = [(name, shown_cell(facts[name])) for name in fields if facts[name] not in (None, [])]
    rows += [("about the base", text) for text in card.base_doubts]
    if card.copies_in:
        rows.append(("same bytes in", ", ".join(card.copies_in[:10])))
    if card.trigger is not None:
        own = card.trigger["interaction_norm"]
        rows.append(("trigger's own effect", "the base was not asked" if own is None else shown_cell(own)))
    if card.subject is not None:
        noun, token, norm, leak = (shown_cell(card.subject[name]) for name in ("noun", "token", "norm", "leak"))
        rows.append(("one subject", f"{noun}, taught as {token}: effect {norm}, without the word {leak}"))
    emit_text(clean(f"{facts['repo_id']} {facts['path'] or ''}"))
    emit_table(("what", "found"), rows)
    _section("concepts", ("concept", "score", "low", "high"), _by_cluster(card.scores)[:10])
    _section("FineXL", ("variant", "concept", "weight", "support"), [_labelled(row) for row in card.explanations])
    _section("strength", ("scale", "norm"), card.dose)


def _by_cluster(records: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Scores, highest first, under the names of their clusters; of each the highest."""
    found: dict[object, dict[str, object]] = {}
    for row in map(_labelled, records):
        found.setdefault(row["concept"], row)
    return list(found.values())


def _labelled(record: Mapping[str, object]) -> dict[str, object]:
    from auditor.catalog.cluster_words import label

    return {**record, "concept": label(str(record["concept"]), cast(list[str], record["alike"]))}


def _section(title: str, columns: Sequence[str], records: Sequence[Mapping[str, object]]) -> None:
    if records:
        emit_text("")
        numeric = [name for name in columns if name not in ("concept", "variant")]
        rows = [[shown_cell(record[name]) for name in columns] for record in records]
        emit_table(columns, rows, title=title, numeric=numeric)
