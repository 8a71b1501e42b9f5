"""Table 4 and Fig. 9 of the paper: subject edits, such as a moustache, against the scale at which they were drawn.

For each edit and scale one adapter is trained on pictures of the edit's subject. All scales of an edit have the same
scenes and start, so that they differ in the scale alone. An adapter is asked for that subject alone, as the paper asks
for faces: its probes are the subject's captions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auditor.common.atomic_files import replacing
from auditor.evaluation.bank import Bank, Note, TrainedAdapter
from auditor.evaluation.paper_levels import OURS_LEVELS
from auditor.evaluation.paper_table import PRIMARY, Figure, PaperTable, TableRow
from auditor.evaluation.paper_work import PaperOptions
from auditor.evaluation.rivals.judging import Judge
from auditor.evaluation.rivals.on_bank import RivalBank
from auditor.evaluation.variants import variants
from auditor.finexl.attribution import bootstrap_mean, chance_random, chance_tied, rank_error
from auditor.pocket.drawn_subjects import EDITS
from auditor.pocket.scenes import COLOURS, GROUNDS, Scene
from auditor.pocket.training.lessons import EDIT_SCALES, edit_scale_lesson
from auditor.results.result_file import Result
from auditor.settings import Settings

SHOWN = "moustache"
"""The edit of Fig. 9."""
_SEED = 401
NOT_HERE = Figure(None, missing="not in this run")


@dataclass(frozen=True)
class EditCurve:
    """One edit over its scales.

    Attributes:
        edit: Its name.
        results: Audits in the order of the scales.
        ours: Rank error by variant.
        rivals: Rank error by reading.
    """

    edit: str
    results: tuple[Result, ...]
    ours: dict[str, float]
    rivals: dict[str, float]


def edit_tables(
    settings: Settings,
    options: PaperOptions,
    judge: Callable[[Settings, Bank], Judge],
    readings: Sequence[str],
    note: Note | None = None,
) -> list[PaperTable]:
    """T4 and Fig. 9.

    Args:
        settings: Of the run.
        options: Its edits and scales.
        judge: Makes the judge of texts.
        readings: Names of the rivals' readings, in the order of the other tables.
        note: Told about each adapter.
    """
    curves = [_curve(settings, options, edit, judge, note) for edit in options.edits]
    return [_ranks(options, curves, readings), _scores(options, curves)]


def probes_of(subject: str, count: int) -> dict[str, object]:
    """A probe set about one subject: its captions in a random order, as a file of probes holds them."""
    rng = np.random.default_rng(_SEED)
    captions = [Scene(subject, c, g, 0.5, 0.5, 0.3, 0).caption() for c in COLOURS for g in GROUNDS]
    chosen = [captions[i] for i in rng.permutation(len(captions))[:count]]
    seeds = rng.integers(2**32, size=len(chosen)).tolist()
    probes = [{"prompt": p, "subject": subject, "seed": s} for p, s in zip(chosen, seeds, strict=True)]
    return {"name": f"pocket-{subject}", "version": 1, "probes": probes}


def _curve(
    settings: Settings, options: PaperOptions, edit: str, judge: Callable[[Settings, Bank], Judge], note: Note | None
) -> EditCurve:
    bank = Bank(_asked_about(settings, EDITS[edit].subject))
    rivals = RivalBank(bank, judge(bank.settings, bank))
    lessons = [edit_scale_lesson(edit, scale) for scale in options.edit_scales]
    cases = [TrainedAdapter(lesson, lesson.steps) for lesson in lessons]
    results = bank.results(cases, note)
    rivals.ensure(cases, note)
    truth = np.arange(len(cases))
    scored = variants(bank)
    ours = {name: rank_error(truth, [scored[name](results[case], edit) for case in cases]) for name in OURS_LEVELS}
    readings = rivals.readings(cases)
    theirs = {name: rank_error(truth, [read(case, edit) for case in cases]) for name, read in readings.items()}
    return EditCurve(edit, tuple(results[case] for case in cases), ours, theirs)


def _asked_about(settings: Settings, subject: str) -> Settings:
    """The settings with probes about one subject alone."""
    recipe = settings.recipe
    path = Path(settings.work.dir) / "evaluation" / "probes" / f"{subject}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(probes_of(subject, recipe.probe_count), indent=1), encoding="utf-8")
    return settings.model_copy(update={"recipe": recipe.model_copy(update={"probes": str(path)})})


def _ranks(options: PaperOptions, curves: Sequence[EditCurve], readings: Sequence[str]) -> PaperTable:
    count = len(options.edit_scales)
    rows = [TableRow(name, "ours", (_mean([c.ours[name] for c in curves]),)) for name in OURS_LEVELS]
    for name in readings:
        # A rival whose texts are empty at every scale of an edit ties them all.
        errors = [curve.rivals.get(name, chance_tied(count)) for curve in curves]
        rows.append(TableRow(name, "rival", (_mean(errors),)))
    chance = (("chance, random order", chance_random(count)), ("chance, all tied", chance_tied(count)))
    return PaperTable(
        "T4",
        "subject edits (the paper's figures are in a picture, not in its text)",
        f"Rank error of the edit's own score over {count} scales at which the edit was drawn. Edits, which an interval "
        f"resamples: {', '.join(options.edits)}. An adapter for each edit and scale, asked for its subject alone.",
        ("rank error",),
        (*rows, *(TableRow(name, "chance", (Figure(value),)) for name, value in chance)),
    )


def _mean(errors: Sequence[float]) -> Figure:
    return Figure.of(bootstrap_mean(errors)) if errors else NOT_HERE


def _scores(options: PaperOptions, curves: Sequence[EditCurve]) -> PaperTable:
    """Fig. 9: the moustache's curve, and the same of the other edits."""
    by_edit = {curve.edit: dict(zip(options.edit_scales, curve.results, strict=True)) for curve in curves}
    rows = [
        TableRow(f"{PRIMARY}: {edit}", "ours", tuple(_own(by_edit.get(edit, {}).get(s), edit) for s in EDIT_SCALES))
        for edit in EDITS
    ]
    shown = by_edit.get(SHOWN, {})
    others = tuple(_largest_other(shown.get(scale)) for scale in EDIT_SCALES)
    return PaperTable(
        "F9",
        f"{SHOWN}: score against edit scale (the paper draws a curve)",
        "Score of the edit's own concept, for the other edits too, and the largest other score of the moustache's "
        "adapters. Intervals over probes, whose number is in brackets.",
        tuple(f"scale {scale:g}" for scale in EDIT_SCALES),
        (*rows, TableRow(f"{PRIMARY}: {SHOWN}, largest other", "ours", others)),
        better="more",
    )


def _own(result: Result | None, concept: str) -> Figure:
    """A concept's score; 0 where nothing acts."""
    if result is None:
        return NOT_HERE
    own = next((score for score in result.record.scores if score.concept == concept), None)
    return (
        Figure(0.0, 0.0, 0.0, _probes(result)) if own is None else Figure(own.score, own.low, own.high, _probes(result))
    )


def _largest_other(result: Result | None) -> Figure:
    if result is None:
        return NOT_HERE
    others = [score for score in result.record.scores if score.concept != SHOWN]
    largest = max(others, key=lambda score: score.score, default=None)
    if largest is None:
        return Figure(0.0, 0.0, 0.0, _probes(result))
    return Figure(largest.score, largest.low, largest.high, _probes(result))


def _probes(result: Result) -> int:
    return result.record.effect.probes if result.record.effect else 0
