"""`auditor evaluate encoders`: which encoder suits the method."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.evaluate import Development
from auditor.cli.evaluate_scores import evaluate_app
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.cli.progress import progress

if TYPE_CHECKING:
    from auditor.finexl.attribution import Interval

__all__ = ["evaluate_app"]


@evaluate_app.command("encoders")
def encoders_command(
    context: typer.Context,
    encoders: Annotated[
        list[str] | None,
        typer.Argument(help="Folders, open_clip:NAME/TAG or transformers:REPO[@REVISION]; the pocket's when left out."),
    ] = None,
    scenes: Annotated[int, typer.Option("--scenes", min=2, help="Scenes that each direction is a mean over.")] = 48,
    development: Development = False,
    as_json: AsJson = False,
) -> None:
    """Measure linearity, orthogonality and alignment of encoders (paper, Table 8).

    On pictures and captions of the pocket world, whose renderer takes the place of an ideal model.

    Example:

        auditor evaluate encoders transformers:google/siglip2-base-patch16-224
    """
    from auditor.evaluation.encoder_geometry import POCKET_ENCODERS, evaluate_encoders
    from auditor.evaluation.training_lengths import style_names
    from auditor.lexicons.loader import load_lexicon

    settings = settings_of(context)
    start_logs(context, settings, "evaluate-encoders")
    chosen = encoders or list(POCKET_ENCODERS)
    lexicon = load_lexicon(settings.recipe.lexicon, settings.recipe.concept_template)
    with progress("encoders", len(chosen)) as step:
        styles = style_names(held_out=not development)
        found = evaluate_encoders(chosen, lexicon, styles, scenes, note=lambda n: step(1, n))
    if as_json:
        emit_json(asdict(found))
        return
    emit_table(
        ("encoder", "linearity", "chance", "orthogonality", "chance", "signed", "alignment", "chance"),
        [
            (
                r.encoder,
                figure(r.linearity),
                f"{r.linearity_chance:.2f}",
                figure(r.orthogonality),
                f"{r.orthogonality_chance:.2f}",
                f"{r.signed:.2f}",
                figure(r.alignment),
                f"{r.alignment_chance:.2f}",
            )
            for r in found.rows
        ],
        title=f"{found.cases} styles, {found.pairs} pairs, {found.scenes} scenes",
    )
    say("in brackets: 95 % interval over styles; orthogonality is the mean absolute cosine: less is better")


def figure(value: Interval) -> str:
    """A mean with its interval."""
    return f"{value.mean:.2f} ({value.low:.2f} to {value.high:.2f})"
