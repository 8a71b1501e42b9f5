"""Tables 1 to 3 of the paper: how much of one aspect, and where in the grid of two."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.evaluation import published_figures as paper
from auditor.evaluation.aspects import CHANCE, evaluate_aspects, grid_cases, share_right
from auditor.evaluation.bank import TrainedAdapter
from auditor.evaluation.paper_missing import OURS
from auditor.evaluation.paper_table import Figure, PaperTable, TableRow, missing_rows, published
from auditor.evaluation.paper_work import PaperWork
from auditor.evaluation.rivals.on_bank import Scored
from auditor.evaluation.training_lengths import evaluate_levels
from auditor.finexl.attribution import bootstrap_mean, chance_random, chance_tied

NO_DATA = "data set not built yet"
OURS_LEVELS = ("robust", "level", "projection", "paper")
OURS_ASPECTS = ("robust", "level", "the two alone", "projection", "paper")


def level_tables(work: PaperWork) -> list[PaperTable]:
    """T1 (all training lengths, by data set) and T2 (3, 5, 8 and 10 of them)."""
    ours, rivals = _rank_errors(work, [work.spread(count) for count in paper.LEVELS])
    about = _about_levels(work)
    chance = [Figure(chance_random(count)) for count in paper.LEVELS]
    tied = [Figure(chance_tied(count)) for count in paper.LEVELS]
    second = PaperTable(
        "T2",
        "single aspect, number of levels",
        about,
        tuple(f"{count} levels" for count in paper.LEVELS),
        (
            *(published(name, row) for name, row in paper.T2.items()),
            *_rows(ours, rivals, {"chance, random order": chance, "chance, all tied": tied}),
        ),
    )
    # T1's first column is T2's last one.
    last = {name: [figures[-1]] for name, figures in ours.items()}
    last_rivals = {name: [figures[-1]] for name, figures in rivals.items()}
    ends = {"chance, random order": [chance[-1]], "chance, all tied": [tied[-1]]}
    first = PaperTable(
        "T1",
        "single aspect, ten levels",
        about,
        paper.DATA_SETS,
        (
            *(published(name, row) for name, row in paper.T1.items()),
            *(_wider(row) for row in _rows(last, last_rivals, ends)),
        ),
    )
    return [first, second]


def kind_table(key: str, title: str, figures: paper.Rows, work: PaperWork | None) -> PaperTable:
    """T5 or T6: T1 on a generator of another kind, with all training lengths of the run.

    Args:
        key: Of the table.
        title: Of the table.
        figures: The paper's.
        work: On a bank of that kind; None where the settings have no such base.
    """
    theirs = tuple(published(name, row) for name, row in figures.items())
    if work is None:
        rows = (*theirs, *missing_rows(OURS, len(paper.DATA_SETS), "no base of this kind in the settings"))
        return PaperTable(key, title, "", paper.DATA_SETS, rows)
    steps = work.spread(len(work.options.steps))
    ours, rivals = _rank_errors(work, [steps])
    count = len(steps)
    chance = {
        "chance, random order": [Figure(chance_random(count))],
        "chance, all tied": [Figure(chance_tied(count))],
    }
    rows = (*theirs, *map(_wider, _rows(ours, rivals, chance)))
    return PaperTable(key, title, _about_levels(work), paper.DATA_SETS, rows)


def _rank_errors(
    work: PaperWork, columns: Sequence[tuple[int, ...]]
) -> tuple[dict[str, list[Figure]], dict[str, list[Figure]]]:
    """Figures of our variants and of the rivals' readings, one for each choice of training lengths."""
    readings = _readings(work, [case for style in work.options.styles for case in work.ladder(style)])
    ours: dict[str, list[Figure]] = {name: [] for name in OURS_LEVELS}
    rivals: dict[str, list[Figure]] = {name: [] for name in readings}
    few = Figure(None, missing="fewer training lengths in this run")
    for steps in columns:
        found = {r.variant: r for r in evaluate_levels(work.bank, work.options.styles, steps).rows} if steps else {}
        for name, figures in ours.items():
            row = found.get(name)
            figures.append(Figure(row.error, row.low, row.high, len(row.per_style)) if row else few)
        for name, figures in rivals.items():
            figures.append(Figure.of(work.rank_errors(readings[name], steps)) if steps else few)
    return ours, rivals


def _about_levels(work: PaperWork) -> str:
    return (
        f"Rank error (mean absolute difference of ranks) of {_styles(work)}, "
        f"{len(work.options.steps)} training lengths each. An interval resamples styles; in brackets with the cases. "
        f"{_budget(work)}"
    )


def aspect_table(work: PaperWork) -> PaperTable:
    """T3: two aspects with three levels each."""
    pairs = work.options.pairs
    cases = {pair: grid_cases(work.bank, pair) for pair in pairs}
    work.rivals.ensure([case for grid in cases.values() for case in grid], work.note)
    readings = work.rivals.readings([work.longest(style) for style in work.options.styles])
    few = [Figure(None, missing="no pair in this run")]
    ours = dict.fromkeys(OURS_ASPECTS, few)
    if pairs:
        found = {row.variant: row for row in evaluate_aspects(work.bank, pairs).rows}
        for name in OURS_ASPECTS:
            row = found[name]
            ours[name] = [Figure(row.accuracy, row.low, row.high, len(pairs))]
    rivals: dict[str, list[Figure]] = {}
    for name, scored in readings.items():
        shares = [share_right([[scored(c, style) for style in pair] for c in grid]) for pair, grid in cases.items()]
        rivals[name] = [Figure.of(bootstrap_mean(shares))] if shares else few
    about = (
        "Share of adapters whose place in the mixture grid is found. Pairs of "
        f"{'held-out' if work.options.held_out else 'development'} styles: {len(pairs)}, six adapters each. An "
        f"interval resamples pairs. {_budget(work)}"
    )
    return PaperTable(
        "T3",
        "two aspects, three levels each",
        about,
        paper.DATA_SETS,
        (
            *(published(name, row) for name, row in paper.T3.items()),
            *(_wider(row) for row in _rows(ours, rivals, {"chance, random orders": [Figure(CHANCE)]})),
        ),
        "share",
        "more",
    )


def _readings(work: PaperWork, cases: list[TrainedAdapter]) -> dict[str, Scored]:
    work.bank.results(cases, work.note)
    work.rivals.ensure(cases, work.note)
    return work.rivals.readings(cases)


def _rows(
    ours: dict[str, list[Figure]],
    rivals: dict[str, list[Figure]],
    chance: dict[str, list[Figure]],
) -> list[TableRow]:
    return [
        *(TableRow(name, "ours", tuple(figures)) for name, figures in ours.items()),
        *(TableRow(name, "rival", tuple(figures)) for name, figures in rivals.items()),
        *(TableRow(name, "chance", tuple(figures)) for name, figures in chance.items()),
    ]


def _wider(row: TableRow) -> TableRow:
    """From the synthetic data alone to all three data sets; chance is the same for each."""
    rest = row.figures[0] if row.kind == "chance" else Figure(None, missing=NO_DATA)
    return TableRow(row.name, row.kind, (row.figures[0], rest, rest))


def _styles(work: PaperWork) -> str:
    return f"{len(work.options.styles)} {'held-out' if work.options.held_out else 'development'} styles"


def _budget(work: PaperWork) -> str:
    recipe = work.bank.settings.recipe
    return (
        f"Budget of every explainer and adapter: {len(work.bank.opened.probes)} pairs of pictures, at most "
        f"{recipe.proposer.requests} questions to the vision-language model; judge: {work.rivals.judge.name}."
    )
