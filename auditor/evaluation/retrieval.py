"""Questions of two styles, put to our ranking and to CARLoS-style's over the same adapters; no table of the paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auditor.evaluation.bank import TrainedAdapter
from auditor.evaluation.paper_table import Figure, PaperTable, TableRow
from auditor.evaluation.paper_work import PaperWork
from auditor.evaluation.rivals.carlos import Carlos, query_directions
from auditor.evaluation.search_quality import evaluate_trained_search
from auditor.evaluation.top_concept import share
from auditor.finexl.arrays import unit
from auditor.pocket.training.lessons import stacked_lesson, style_lesson


def retrieval_table(work: PaperWork) -> PaperTable:
    """Share of questions whose first answer was trained on exactly the two styles that were asked for."""
    options, pairs = work.options, work.options.pairs
    lessons = [*map(style_lesson, options.styles), *(stacked_lesson(*pair) for pair in pairs)]
    cases = [TrainedAdapter(lesson, lesson.steps) for lesson in lessons]
    if not pairs:
        few = Figure(None, missing="no pair in this run")
        ours = theirs = few
    else:
        right = evaluate_trained_search(work.bank, options.styles, pairs, work.note).right
        ours = Figure(right.right / right.cases, right.low, right.high, right.cases)
        theirs = _carlos(work, cases, pairs)
    return PaperTable(
        "R",
        "retrieval: the first answer to a question of two styles (not in the paper)",
        f"Questions: {len(pairs)}, among {len(cases)} adapters of one or two "
        f"{'held-out' if options.held_out else 'development'} styles; exact interval. Both rank the same audits; "
        "CARLoS-style by the cosine of an adapter's mean difference with what the words change in the prompts.",
        ("right first",),
        (
            TableRow("robust", "ours", (ours,)),
            TableRow(Carlos.name, "rival", (theirs,)),
            TableRow("chance", "chance", (Figure(1 / len(cases)),)),
        ),
        "share",
        "more",
    )


def _carlos(work: PaperWork, cases: Sequence[TrainedAdapter], pairs: Sequence[tuple[str, str]]) -> Figure:
    """Directions are the means of the audits' own differences, so that no picture is drawn for this."""
    results = work.bank.results(cases, work.note)
    means = np.stack([results[case].arrays["divergence"].astype(np.float64) for case in cases])
    opened = work.bank.opened
    queries = query_directions(opened.encoder, opened.lexicon, opened.probes.prompts, pairs)
    first = (unit(queries) @ unit(means).T).argmax(axis=1)
    right = sum(cases[i].lesson == stacked_lesson(*pair) for i, pair in zip(first, pairs, strict=True))
    found = share(right, len(pairs))
    return Figure(right / len(pairs), found.low, found.high, found.cases)
