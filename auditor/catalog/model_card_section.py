"""What an author can paste into a model card: the measured concepts in Markdown, and a sheet of picture pairs.

Nothing is sent anywhere. The section quotes scores and intervals as they are, says what they are measured with, and
leaves out concepts whose interval reaches 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor import __version__
from auditor.catalog.cluster_words import ClusterWords
from auditor.catalog.picture_sheets import StoredPair, picture_sheet
from auditor.catalog.result_rows import thumbnail
from auditor.catalog.strength import strength_for
from auditor.common.text_safety import markdown_code
from auditor.records.recipe import Recipe
from auditor.records.result import AuditRecord, ConceptScore
from auditor.results.result_file import Result

_SHOWN = 8
_PAIRS = 3


def model_card_section(
    result: Result, recipe: Recipe | None, picture: str | None, words: ClusterWords | None = None
) -> str:
    """The section.

    Args:
        result: Of the audit.
        recipe: Its recipe, when it is at hand.
        picture: File name of the sheet, beside the card; None without one.
        words: Which concepts the recipe cannot tell apart.
    """
    record = result.record
    arm, scores = _acting(record)
    clusters = words or ClusterWords()
    sure = sorted((s for s in scores if s.low > 0), key=lambda s: s.naming_key)[:_SHOWN]
    shown = [s for s in clusters.shown((record.recipe_id, scores)) if s.low > 0][:_SHOWN]
    lines = ["## What this adapter does, measured", ""]
    if not sure:
        lines += [f"No concept is sure to be there ({record.outcome}).", ""]
    else:
        said = f"With its trigger {markdown_code(arm)} it" if arm else "It"
        lines += [f"{said} makes pictures: **{', '.join(_name(s) for s in shown[:3])}**.", ""]
        lines += ["| concept | score | 95 % interval |", "|---|---|---|"]
        lines += [f"| {_name(s)} | {s.score:.2f} | {s.low:.2f} to {s.high:.2f} |" for s in shown]
        lines += ["", "A score of 1 is as far as the words themselves change the same pictures.", ""]
        if any(" (or: " in s.concept for s in shown):
            lines += ["“or”: words that cannot be told apart; the numbers are those of the strongest.", ""]
    if picture is not None:
        lines += [f"![Pairs of pictures, the base model left, with this adapter right]({picture})", ""]
    lines += _how(record, recipe, sure, by_trigger=arm is not None)
    return "\n".join(lines).rstrip() + "\n"


def section_picture(result: Result) -> bytes | None:
    """A PNG sheet of some stored pairs; None when none are stored."""
    pairs = []
    for probe, prompt in result.record.thumbnails[:_PAIRS]:
        base, adapter = (thumbnail(result.arrays, probe, side) for side in ("base", "adapter"))
        if base is not None and adapter is not None:
            pairs.append(StoredPair(prompt, base, adapter))
    return picture_sheet([("", pairs)]) if pairs else None


def _acting(record: AuditRecord) -> tuple[str | None, Sequence[ConceptScore]]:
    """The trigger, if only pictures with it show a concept, and the scores of the arm that acts."""
    if record.arms is not None and not any(s.low > 0 for s in record.scores):
        return record.arms.trigger, record.arms.scores
    return None, record.scores


def _how(record: AuditRecord, recipe: Recipe | None, sure: Sequence[ConceptScore], *, by_trigger: bool) -> list[str]:
    """Strength, base, method: what somebody needs to believe or repeat it."""
    facts = []
    dose = [point.model_dump() for point in record.dose]
    strength = strength_for([sure[0].concept], dose) if sure else None
    if strength is not None:
        facts.append(f"Strength for {_name(sure[0])}: {strength.low:g} to {strength.high:g} of those measured.")
    base = recipe.base_repo if recipe is not None else record.base_name
    if base:
        assumed = " (assumed: the card names none)" if record.base_assumed and record.base_distance is None else ""
        facts.append(f"Base model: {markdown_code(base)}{assumed}.")
    probes = record.effect.probes if record.effect is not None else 0
    if by_trigger and record.arms is not None and record.arms.subject is not None:
        probes = record.arms.subject.probes
    facts.append(
        f"Method: FineXL by auditor {__version__}: {probes} pairs of pictures with and without the adapter, same "
        f"prompts and same noise, compared in CLIP space and decomposed into named concepts; recipe "
        f"`{record.recipe_id}`."
    )
    return [f"- {fact}" for fact in facts]


def _name(score: ConceptScore) -> str:
    return score.concept.replace("|", "¦").replace("*", "").replace("`", "").replace("[", "(").replace("]", ")")
