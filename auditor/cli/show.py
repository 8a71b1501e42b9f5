"""The command that shows one adapter as a few small tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast

import typer

from auditor.cli.context import catalog_of
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, emit_text, say, shown_cell
from auditor.common.text_safety import clean

if TYPE_CHECKING:
    from auditor.catalog.adapter_cards import Card


_FACTS = {
    "outcome": "outcome", "message": "said of it", "license": "licence", "trigger": "trigger", "base": "base",
    "base_claim": "base, by its card", "flags": "beware", "probes": "image pairs", "explained_share": "explained share",
    "p_value": "p value", "downloads": "downloads", "likes": "likes", "size_bytes": "bytes", "file_sha256": "SHA-256",
    "commit_sha": "commit", "recipe_id": "recipe",
}  # fmt: skip
"""Columns of lora_card as people read them."""


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

    cards = read_cards(catalog_of(context), repo, file)
    if as_json:
        emit_json([asdict(card) for card in cards])
        return
    for card in cards:
        _show(card)


def _show(card: Card) -> None:
    """One adapter as a few small tables."""
    facts = card.card
    from auditor.catalog.questions.question_wording import licence_kind

    rows = [(said, shown_cell(facts[name])) for name, said in _FACTS.items() if facts[name] not in (None, [])]
    kind = licence_kind(str(facts["license"]))
    rows = [(said, f"{found} ({kind})" if said == "licence" and kind else found) for said, found in rows]
    strength = _strength(card)
    if strength is not None:
        rows.insert(2, ("strength", strength))
    rows += [("about the base", text) for text in card.base_doubts]
    if card.copies_in:
        rows.append(("same bytes in", ", ".join(card.copies_in[:10])))
    if card.trigger is not None:
        own = card.trigger["interaction_norm"]
        if own is not None:
            rows.append(("trigger's own effect", shown_cell(own)))
    if card.subject is not None:
        noun, token, norm, leak = (shown_cell(card.subject[name]) for name in ("noun", "token", "norm", "leak"))
        rows.append(("one subject", f"{noun}, taught as {token}: effect {norm}, without the word {leak}"))
    alone = "without its trigger" if card.trigger_scores else "what it does"
    emit_text(clean(f"{facts['repo_id']} {facts['path'] or ''}"))
    emit_table(("what", "found"), rows)
    if card.trigger_scores:
        _scores(f"with its trigger, {facts['trigger']}", card.trigger_scores)
    _scores(alone, card.scores)
    explained = [{**_labelled(row), "found in": row["support"]} for row in card.explanations]
    _section("in words found for this adapter (FineXL)", ("variant", "concept", "weight", "found in"), explained)
    _section("by strength", ("strength", "size of the change"), [_point(row) for row in card.dose])
    if card.scores or card.trigger_scores:
        say("score: 1 is as far as the concept's words reach in the text encoder")
        say("(or: ...): words that the audit cannot tell from it")
    if explained:
        say("weight: its part of the change; found in: share of resamples of the pictures that choose it too")
        say(f"next: auditor explain {facts['repo_id']} (a page with pictures), auditor similar {facts['repo_id']}")


def _strength(card: Card) -> str | None:
    """Strengths that suit its strongest concept, of those measured."""
    from auditor.catalog.strength import best_strength

    plain, worded = (
        [(str(row["concept"]), cast(float, row["score"]), cast(float, row["low"])) for row in rows]
        for rows in (card.scores, card.trigger_scores)
    )
    found = best_strength(plain, worded, card.dose)
    return None if found is None else f"{found[1].low:g} to {found[1].high:g} (measured ones that suit {found[0]})"


def _point(row: Mapping[str, object]) -> dict[str, object]:
    norm = row["norm"]
    return {"strength": row["scale"], "size of the change": None if norm is None else f"{norm:.2f}"}


def _scores(title: str, records: Sequence[Mapping[str, object]]) -> None:
    rows = [
        (row["concept"], f"{row['score']:.2f}", f"[{row['low']:.2f}, {row['high']:.2f}]")
        for row in _by_cluster(records)[:10]
    ]
    if rows:
        emit_text("")
        emit_table(("concept", "score", "95 % interval"), rows, title=title, numeric=("score",))


def _by_cluster(records: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Scores in the order of naming, under the names of their clusters; of each the first."""
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
