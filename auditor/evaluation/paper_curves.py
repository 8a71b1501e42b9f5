"""Figures 6 and 8 of the paper as numbers: the scores themselves, over training lengths and over the mixture grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.evaluation.aspects import grid_cases
from auditor.evaluation.bank import TrainedAdapter
from auditor.evaluation.paper_table import PRIMARY, Figure, PaperTable, TableRow
from auditor.evaluation.paper_work import PaperWork
from auditor.finexl.attribution import bootstrap_mean
from auditor.pocket.training.lessons import GRID, LEVELS
from auditor.results.result_file import Result


def curve_tables(work: PaperWork) -> list[PaperTable]:
    """Fig. 6 (one aspect) and Fig. 8 (two)."""
    return [_one_aspect(work), _two_aspects(work)]


def _one_aspect(work: PaperWork) -> PaperTable:
    styles = work.options.styles
    cases = {style: {case.step: case for case in work.ladder(style)} for style in styles}
    found = work.bank.results([case for ladder in cases.values() for case in ladder.values()], work.note)
    taught, others = [], []
    for step in LEVELS:
        scores = {style: _scores(found, cases[style][step]) for style in styles if step in cases[style]}
        taught.append([own.get(style, 0.0) for style, own in scores.items()])
        others.append([_largest(own, (style,)) for style, own in scores.items()])
    return PaperTable(
        "F6",
        "scores over levels, one aspect (the paper draws bars)",
        f"Score of the taught concept, and the largest of all others, after so many training steps: mean of "
        f"{len(styles)} styles, which an interval resamples.",
        tuple(f"{step} steps" for step in LEVELS),
        (_row(f"{PRIMARY}: taught", taught), _row(f"{PRIMARY}: largest other", others)),
        better="more",
    )


def _two_aspects(work: PaperWork) -> PaperTable:
    pairs = work.options.pairs
    rows: dict[str, list[list[float]]] = {name: [] for name in ("first", "second", "largest other")}
    grids = {pair: grid_cases(work.bank, pair) for pair in pairs}
    found = work.bank.results([case for grid in grids.values() for case in grid], work.note)
    for place in range(len(GRID)):
        scores = {pair: _scores(found, grid[place]) for pair, grid in grids.items()}
        rows["first"].append([scores[pair].get(pair[0], 0.0) for pair in pairs])
        rows["second"].append([scores[pair].get(pair[1], 0.0) for pair in pairs])
        rows["largest other"].append([_largest(scores[pair], pair) for pair in pairs])
    return PaperTable(
        "F8",
        "scores over levels, two aspects (the paper draws bars)",
        "Scores at each point of the mixture grid, as shares of the pictures in the first and in the second style: "
        f"mean of {len(pairs)} pairs, which an interval resamples.",
        tuple(f"{first:g} and {second:g}" for first, second in GRID),
        tuple(_row(f"{PRIMARY}: {name}", values) for name, values in rows.items()),
        better="more",
    )


def _scores(found: Mapping[TrainedAdapter, Result], case: TrainedAdapter) -> dict[str, float]:
    """By concept; empty where nothing acts, which counts as 0."""
    return {score.concept: score.score for score in found[case].record.scores}


def _largest(scores: Mapping[str, float], apart_from: Sequence[str]) -> float:
    return max((score for concept, score in scores.items() if concept not in apart_from), default=0.0)


def _row(name: str, columns: Sequence[Sequence[float]]) -> TableRow:
    few = Figure(None, missing="not in this run")
    return TableRow(name, "ours", tuple(Figure.of(bootstrap_mean(values)) if values else few for values in columns))
