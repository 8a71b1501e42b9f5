"""More of `auditor evaluate …`: how often questions in words get a right answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from auditor.cli.context import settings_of
from auditor.cli.evaluate import Development
from auditor.cli.evaluate_encoders import evaluate_app
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.errors import PrerequisiteMissing, UserError

__all__ = ["evaluate_app"]


@evaluate_app.command("questions")
def questions_command(
    context: typer.Context,
    development: Development = False,
    held_out: Annotated[bool, typer.Option("--held-out", help="Only questions about held-out styles.")] = False,
    missed: Annotated[bool, typer.Option("--missed", help="Also list what search answered wrongly.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask search, and two other ways of searching, questions whose answers were planted.

    Asks the catalog that `auditor nightly` built over the pocket zoo: one, two and three concepts, negations, amounts,
    filters, and "like X but more Y", each in the spellings that people use.

    Example:

        auditor evaluate questions
    """
    try:
        from auditor.evaluation.question_quality import evaluate_questions
    except ModuleNotFoundError as error:
        raise PrerequisiteMissing(f"{error.name} is missing; run: pip install 'auditor[evaluation]'") from error
    from auditor.planning.encoder_opening import load_encoder
    from auditor.results.workspace import Workspace

    if development and held_out:
        raise UserError("questions are of development styles or of held-out ones; drop one of the two options")
    settings = settings_of(context)
    found = evaluate_questions(
        settings.catalog_path,
        Workspace(settings.work.dir).results,
        lambda: load_encoder(settings),
        held_out=held_out if development or held_out else None,
    )
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(
        ("questions", "asked", "of", "right first", "95 % interval", "among five", "chance", "search ahead by"),
        [
            (
                row.kind,
                row.system,
                str(row.questions),
                f"{100 * row.first:.1f} %",
                f"{100 * row.low:.1f} to {100 * row.high:.1f} %",
                f"{100 * row.among_five:.1f} %",
                f"{100 * row.chance:.1f} %",
                "" if row.behind is None else "{:.1f} ({:.1f} to {:.1f})".format(*(100 * x for x in row.behind)),
            )
            for row in found.rows
        ],
    )
    if missed:
        emit_table(("questions", "question", "first answer", "right"), list(found.missed))
    say(f"among {found.adapters} adapters of known content; others are passed over")
