"""Tables 1 to 3, 5 and 6 of the paper: how much of one aspect, and where in the grid of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.evaluation import published_figures as paper
from auditor.evaluation.aspects import CHANCE, evaluate_aspects, grid_cases, share_right
from auditor.evaluation.bank import TrainedAdapter
from auditor.evaluation.data_sets import DataSet
from auditor.evaluation.paper_table import LEVEL, PRIMARY, Figure, PaperTable, TableRow, missing_rows, published
from auditor.evaluation.paper_why import why_levels, why_places
from auditor.evaluation.paper_work import PaperWork
from auditor.evaluation.rivals.on_bank import Scored
from auditor.evaluation.training_lengths import evaluate_levels
from auditor.finexl.attribution import bootstrap_mean, chance_random, chance_tied

OURS = (PRIMARY, "paper")
OURS_LEVELS = (PRIMARY, LEVEL, "projection", "paper")
OURS_ASPECTS = (PRIMARY, LEVEL, "the two alone", "projection", "paper")
COMPARED = (LEVEL, PRIMARY)
HANDS_SCORE = "A hand's score is the mean of its words' scores, for everybody."
NOT_HERE = Figure(None, missing="not in this run")
SAYS_NOTHING = Figure(None, missing="says nothing here")

Columns = Mapping[str, Sequence[Figure]]
"""Figures by method."""


def level_tables(work: PaperWork) -> list[PaperTable]:
    """T1 (all training lengths, by data set) and T2 (3, 5, 8 and 10 of them)."""
    steps = [work.spread(count) for count in paper.LEVELS]
    synthetic, *others = _by_set(work)
    assert synthetic is not None
    ours, rivals = _rank_errors(work, synthetic, steps)
    about = _about_levels(work)
    second = PaperTable(
        "T2",
        "single aspect, number of levels",
        about,
        tuple(f"{count} levels" for count in paper.LEVELS),
        (
            *(published(name, row) for name, row in paper.T2.items()),
            *_rows(ours, rivals, _level_chance(paper.LEVELS)),
        ),
        compared=COMPARED,
    )
    # T1's first column is T2's last one.
    columns = [(_last(ours), _last(rivals)), *(_rank_errors(work, data, steps[-1:]) for data in others)]
    return [_over_sets("T1", "single aspect, ten levels", about, paper.T1, columns, work), second]


def kind_table(key: str, title: str, figures: paper.Rows, work: PaperWork | None) -> PaperTable:
    """T5 or T6: T1 on a generator of another kind, with all training lengths of the run.

    Args:
        key: Of the table.
        title: Of the table.
        figures: The paper's.
        work: On a bank of that kind; None where the settings have no such base.
    """
    if work is None:
        theirs = tuple(published(name, row) for name, row in figures.items())
        rows = (*theirs, *missing_rows(OURS, len(paper.DATA_SETS), "no base of this kind in the settings"))
        return PaperTable(key, title, "", paper.DATA_SETS, rows)
    steps = work.spread(len(work.options.steps))
    columns = [_rank_errors(work, data, [steps]) for data in _by_set(work)]
    return _over_sets(key, title, _about_levels(work), figures, columns, work)


def aspect_table(work: PaperWork) -> PaperTable:
    """T3: two aspects with three levels each."""
    columns = [_shares(work, data) for data in _by_set(work)]
    counts = ", ".join(f"{data.name} {len(data.pairs)}" for data in work.options.sets)
    about = (
        "Share of adapters whose place in the mixture grid is found. Pairs of "
        f"{_half(work)} styles or hands: {counts}; six adapters each. {HANDS_SCORE} An interval resamples pairs. "
        f"{_budget(work)}"
    )
    chance = {"chance, random orders": [Figure(CHANCE)] * len(paper.DATA_SETS)}
    return PaperTable(
        "T3",
        "two aspects, three levels each",
        about,
        paper.DATA_SETS,
        (
            *(published(name, row) for name, row in paper.T3.items()),
            *_rows(_beside([ours for ours, _ in columns]), _beside([rivals for _, rivals in columns]), chance),
        ),
        "share",
        "more",
        why_places(work),
        COMPARED,
    )


def _by_set(work: PaperWork) -> list[DataSet | None]:
    """The run's data sets in the order of the paper's columns; None for one that is not in this run."""
    here = {data.name: data for data in work.options.sets}
    return [here.get(name) for name in paper.DATA_SETS]


def _rank_errors(work: PaperWork, data: DataSet | None, columns: Sequence[tuple[int, ...]]) -> tuple[Columns, Columns]:
    """Figures of our variants and of the rivals' readings, one for each choice of training lengths."""
    if data is None:
        return {}, {}
    readings = _readings(work, [case for aspect in data.aspects for case in work.ladder(aspect, data.way)])
    ours: dict[str, list[Figure]] = {name: [] for name in OURS_LEVELS}
    rivals: dict[str, list[Figure]] = {name: [] for name in readings}
    few = Figure(None, missing="fewer training lengths in this run")
    for steps in columns:
        rows = evaluate_levels(work.bank, data.aspects, steps, way=data.way).rows if steps else ()
        found = {row.variant: row for row in rows}
        for name, figures in ours.items():
            row = found.get(name)
            figures.append(Figure(row.error, row.low, row.high, len(row.per_style)) if row else few)
        for name, figures in rivals.items():
            scored = data.over_words(readings[name])
            figures.append(Figure.of(work.rank_errors(scored, steps, data)) if steps else few)
    return ours, rivals


def _shares(work: PaperWork, data: DataSet | None) -> tuple[Columns, Columns]:
    """Shares of places that our variants and the rivals' readings find, each in a list of one."""
    if data is None:
        return {}, {}
    cases = {pair: grid_cases(work.bank, pair, data.way) for pair in data.pairs}
    work.rivals.ensure([case for grid in cases.values() for case in grid], work.note)
    readings = work.rivals.readings([work.ladder(aspect, data.way)[-1] for aspect in data.aspects])
    if not cases:
        few = [Figure(None, missing="no pair in this run")]
        return dict.fromkeys(OURS_ASPECTS, few), dict.fromkeys(readings, few)
    rows = {row.variant: row for row in evaluate_aspects(work.bank, data.pairs, work.note, data.way).rows}
    ours = {name: [Figure(rows[name].accuracy, rows[name].low, rows[name].high, len(cases))] for name in OURS_ASPECTS}
    rivals = {}
    for name, reading in readings.items():
        scored = data.over_words(reading)
        shares = [share_right([[scored(c, aspect) for aspect in pair] for c in grid]) for pair, grid in cases.items()]
        rivals[name] = [Figure.of(bootstrap_mean(shares))]
    return ours, rivals


def _readings(work: PaperWork, cases: list[TrainedAdapter]) -> dict[str, Scored]:
    work.bank.results(cases, work.note)
    work.rivals.ensure(cases, work.note)
    return work.rivals.readings(cases)


def _last(columns: Columns) -> Columns:
    return {name: figures[-1:] for name, figures in columns.items()}


def _over_sets(
    key: str,
    title: str,
    about: str,
    figures: paper.Rows,
    columns: Sequence[tuple[Columns, Columns]],
    work: PaperWork,
) -> PaperTable:
    """One table of rank errors over all training lengths, from each data set's column."""
    count = len(work.options.steps)
    ours, rivals = _beside([mine for mine, _ in columns]), _beside([theirs for _, theirs in columns])
    rows = _rows(ours, rivals, _level_chance([count] * len(columns)))
    theirs = tuple(published(name, row) for name, row in figures.items())
    return PaperTable(key, title, about, paper.DATA_SETS, (*theirs, *rows), notes=why_levels(work), compared=COMPARED)


def _beside(columns: Sequence[Columns]) -> Columns:
    """One row for every method that any column has."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {
        name: [column[name][0] if name in column else (SAYS_NOTHING if column else NOT_HERE) for column in columns]
        for name in names
    }


def _level_chance(counts: Sequence[int]) -> Columns:
    return {
        "chance, random order": [Figure(chance_random(count)) for count in counts],
        "chance, all tied": [Figure(chance_tied(count)) for count in counts],
    }


def _rows(ours: Columns, rivals: Columns, chance: Columns) -> list[TableRow]:
    return [
        *(TableRow(name, "ours", tuple(figures)) for name, figures in ours.items()),
        *(TableRow(name, "rival", tuple(figures)) for name, figures in rivals.items()),
        *(TableRow(name, "chance", tuple(figures)) for name, figures in chance.items()),
    ]


def _about_levels(work: PaperWork) -> str:
    counts = ", ".join(f"{data.name} {len(data.aspects)}" for data in work.options.sets)
    return (
        f"Rank error (mean absolute difference of ranks) of {_half(work)} styles or hands: {counts}; "
        f"{len(work.options.steps)} training lengths each. {HANDS_SCORE} An interval resamples styles or hands; in "
        f"brackets with the cases. {_budget(work)}"
    )


def _half(work: PaperWork) -> str:
    return "held-out" if work.options.held_out else "development"


def _budget(work: PaperWork) -> str:
    recipe = work.bank.settings.recipe
    return (
        f"Budget of every explainer and adapter: {len(work.bank.opened.probes)} pairs of pictures, at most "
        f"{recipe.proposer.requests} questions to the vision-language model; judge: {work.rivals.judge.name}."
    )
