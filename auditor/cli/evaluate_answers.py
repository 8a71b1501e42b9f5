"""More of `auditor evaluate …`: how often questions in words get a right answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.evaluate import Development
from auditor.cli.evaluate_encoders import evaluate_app
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.cli.progress import progress
from auditor.errors import PrerequisiteMissing, UserError

__all__ = ["evaluate_app"]


@evaluate_app.command("questions")
def questions_command(
    context: typer.Context,
    development: Development = False,
    held_out: Annotated[bool, typer.Option("--held-out", help="Only questions about held-out styles.")] = False,
    missed: Annotated[bool, typer.Option("--missed", help="Also list what search answered wrongly.")] = False,
    graded: Annotated[
        bool, typer.Option("--graded", help="Amounts, of adapters trained here at three strengths each.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask search, and two other ways of searching, questions whose answers were planted.

    Asks the catalog that `auditor nightly` built over the pocket zoo: one, two and three concepts, negations, amounts,
    filters, and "like X but more Y", each in the spellings that people use. With --graded it trains each style at three
    strengths and asks for little, some and much of it: half an hour on two cores.

    Example:

        auditor evaluate questions
    """
    if graded:
        _graded(context, development, missed, as_json)
        return
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


def _graded(context: typer.Context, development: bool, missed: bool, as_json: bool) -> None:
    """Amounts, of ladders at three strengths."""
    from auditor.evaluation.bank import Bank
    from auditor.evaluation.graded_questions import STRENGTHS, evaluate_graded

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-questions")
    bank = Bank(settings, proposals=False)
    styles = bank.world.style_names(not development)
    with progress("questions", len(styles) * len(STRENGTHS)) as step:
        found = evaluate_graded(bank, styles, note=lambda n: step(1, n))
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(
        ("amount", "asked", "right first", "95 % interval", "right style first", "among three", "without the word"),
        [
            (
                row.amount,
                str(row.questions),
                f"{100 * row.first:.1f} %",
                f"{100 * row.low:.1f} to {100 * row.high:.1f} %",
                *(f"{100 * value:.1f} %" for value in (row.style, row.among_three, row.without)),
            )
            for row in found.rows
        ],
    )
    if missed:
        emit_table(("question", "first answer"), list(found.missed))
    say(f"chance: {100 * found.chance:.1f} % of {found.adapters} adapters")
