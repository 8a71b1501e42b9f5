"""The command that audits one adapter and writes a page about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.cli.progress import progress
from auditor.errors import UserError

if TYPE_CHECKING:
    from auditor.pipeline.explain_target import Explained


def explain_command(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="FILE|REPO", help="A .safetensors file, or a planned repo.")] = "",
    page: Annotated[
        Path | None, typer.Option("--page", help="Where to write the HTML page. Default: the target's name, here.")
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option("--card", help="Also write into this folder: a section for the model card, and its picture."),
    ] = None,
    trigger: Annotated[str | None, typer.Option("--trigger", help="Trigger text of a local file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Audit one adapter and explain it: a table here, and a self-contained page with pictures.

    With --card, also audit.md and audit.png, to paste into a model card and to upload beside it. Nothing is sent.

    Example:

        auditor explain my_lora.safetensors --page my_lora.html --card for-my-card
    """
    if not target:
        taken = f": --card takes a folder, and took {str(card)!r}" if card is not None else ""
        raise UserError(f"name a file or a repo{taken}; for example: auditor explain owner/name --card for-my-card")
    from auditor.common.text_safety import clean
    from auditor.pipeline.explain_target import explain_target

    settings = settings_of(context)
    start_logs(context, settings, "explain")
    with progress("reference", None) as step:
        explained = explain_target(
            settings, target, trigger, lambda what, done, total: step(1, f"{done}/{total} {what}")
        )
    where = page or Path(clean(target, limit=80).replace("/", "--").removesuffix(".safetensors") + ".html")
    where.write_text(explained.page, encoding="utf-8")
    record = explained.result.record
    if card is not None:
        write_card(explained, card)
    if as_json:
        emit_json(record.model_dump(mode="json"))
    else:
        say(f"{record.outcome}{f' ({record.reason})' if record.reason else ''}: {record.message}")
        rows = explained.words.shown((record.recipe_id, record.scores), 10)
        emit_table(
            ("concept", "score", "low", "high", "alignment"),
            [
                (
                    s.concept,
                    f"{s.score:.2f}",
                    f"{s.low:.2f}",
                    f"{s.high:.2f}",
                    None if s.alignment is None else f"{s.alignment:.2f}",
                )
                for s in rows
            ],
            numeric=("score", "low", "high", "alignment"),
        )
        if rows:
            say("score: 1 is as far as the concept's words reach; low, high: its 95 % interval")
            say("alignment: cosine of the concept in words and in pictures")
    say(f"page: {where}")


def write_card(explained: Explained, folder: Path) -> None:
    """Write the section for a model card, and its picture when pairs are stored."""
    from auditor.catalog.model_card_section import model_card_section, section_picture

    folder.mkdir(parents=True, exist_ok=True)
    picture = section_picture(explained.result)
    if picture is not None:
        (folder / "audit.png").write_bytes(picture)
    name = "audit.png" if picture is not None else None
    text = model_card_section(explained.result, explained.recipe, name, explained.words)
    (folder / "audit.md").write_text(text, encoding="utf-8")
    say(f"section for a model card: {folder / 'audit.md'}")
