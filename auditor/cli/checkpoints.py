"""The command that compares whole checkpoints with the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.cli.progress import progress

if TYPE_CHECKING:
    from auditor.measuring.checkpoint_scores import CheckpointScores

_SHOWN = 10


def compare_bases_command(
    context: typer.Context,
    first: Annotated[str, typer.Argument(metavar="A", help="A base of the recipe, compared with.")],
    others: Annotated[list[str], typer.Argument(metavar="B…", help="Bases of the recipe, or folders of checkpoints.")],
    as_json: AsJson = False,
) -> None:
    """Explain what whole checkpoints draw otherwise than the first: versions of one base, or fine-tunes of it.

    A folder in the Hub's layout is drawn with the first base's size, steps, sampler and guidance; for others, name the
    checkpoint under recipe.bases (enabled = false keeps it out of the nights).

    Example:

        auditor compare-bases pocket ./my-finetune
    """
    from auditor.audit.base_versions import compare_bases

    settings = settings_of(context)
    start_logs(context, settings, "compare-bases")
    with progress("reference", None) as step:
        found = compare_bases(
            settings,
            first,
            others,
            lambda name: step(0, name),
            lambda what, done, total: step(1, f"{done}/{total} {what}"),
        )
    if as_json:
        emit_json({"first": found.first, "recipe_id": found.recipe_id, "versions": [_plain(v) for v in found.versions]})
        return
    for version in found.versions:
        effect = version.effect
        say(
            f"{version.name}: {effect.status.replace('_', ' ')}; length {effect.norm:.3f} over a noise floor of "
            f"{effect.floor:.3f}, p {effect.p_value:.3g}, {effect.probes} probes, explained share "
            f"{effect.explained_share:.2f}"
        )
    strongest = {s.concept: 0.0 for v in found.versions for s in v.scores}
    for score in (s for v in found.versions for s in v.scores):
        strongest[score.concept] = max(strongest[score.concept], score.score)
    concepts = sorted((c for c, most in strongest.items() if most > 0), key=lambda c: -strongest[c])[:_SHOWN]
    emit_table(
        ("concept", *(f"{v.name} minus {found.first}" for v in found.versions)),
        [(concept, *(_cell(v, concept) for v in found.versions)) for concept in concepts],
    )


def _cell(version: CheckpointScores, concept: str) -> str | None:
    """Score and its interval; nothing where the checkpoint shows no effect."""
    found = next((s for s in version.scores if s.concept == concept), None)
    return None if found is None else f"{found.score:.2f} ({found.low:.2f} to {found.high:.2f})"


def _plain(version: CheckpointScores) -> dict[str, object]:
    return {
        "name": version.name,
        "effect": version.effect.model_dump(mode="json"),
        "scores": [s.model_dump(mode="json") for s in version.scores],
        "explanations": [e.model_dump(mode="json") for e in version.explanations],
        "dropped": version.dropped,
    }
