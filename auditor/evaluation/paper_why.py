"""Why `robust` is wrong where it is: counted, so that a table says more than who is ahead."""

from __future__ import annotations

import numpy as np

from auditor.evaluation.aspects import grid_cases, levels_from_scores, levels_of_grid
from auditor.evaluation.data_sets import DataSet
from auditor.evaluation.paper_table import PRIMARY
from auditor.evaluation.paper_work import PaperWork
from auditor.evaluation.variants import no_effect, variants
from auditor.finexl.attribution import rank_error


def why_levels(work: PaperWork) -> tuple[str, ...]:
    """Of every data set's ladders: how many adapters get 0, which ties their ranks, and why."""
    return tuple(_of_ladders(work, data) for data in work.options.sets)


def why_places(work: PaperWork) -> tuple[str, ...]:
    """Of every data set's mixture grids: how many places are wrong, and how many of these because of a tie."""
    return tuple(_of_grids(work, data) for data in work.options.sets if data.pairs)


def _of_ladders(work: PaperWork, data: DataSet) -> str:
    scored = data.over_words(variants(work.bank)[PRIMARY])
    silent = zero = count = wrong = flat = 0
    for aspect in data.aspects:
        results = list(work.bank.results(work.ladder(aspect, data.way)).values())
        scores = [scored(result, aspect) for result in results]
        count += len(results)
        silent += sum(map(no_effect, results))
        zero += sum(score == 0 for score in scores)
        wrong += rank_error(np.arange(len(scores)), scores) > 0
        flat += not any(scores)
    ladders = len(data.aspects)
    return (
        f"{data.name}: {PRIMARY} orders {ladders - wrong} of {ladders} ladders without a mistake, and gives 0 to all "
        f"of {flat}. Of {count} adapters it gives 0 to {zero}, which ties them; {silent} have no effect beyond the "
        "noise floor."
    )


def _of_grids(work: PaperWork, data: DataSet) -> str:
    scored = data.over_words(variants(work.bank)[PRIMARY])
    wrong = tied = 0
    for pair in data.pairs:
        grid = grid_cases(work.bank, pair, data.way)
        results = work.bank.results(grid)
        found = [levels_from_scores([scored(results[case], aspect) for case in grid]) for aspect in pair]
        for first, second, truth in zip(*found, levels_of_grid(), strict=True):
            wrong += (first, second) != truth
            tied += first is None or second is None
    return (
        f"{data.name}: {PRIMARY} finds {6 * len(data.pairs) - wrong} of {6 * len(data.pairs)} places; {tied} of the "
        f"{wrong} wrong ones because scores tie across two levels, the others because their order is wrong."
    )
