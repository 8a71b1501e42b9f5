"""The paper's tables and figures that cannot be filled yet, each with what it lacks."""

from __future__ import annotations

from auditor.evaluation import published_figures as paper
from auditor.evaluation.paper_table import PaperTable, missing_rows, published

OURS = ("robust", "paper")
EDITS = "adapters of the subject edits at several edit scales are not trained yet"
AUTOREGRESSIVE = "no autoregressive generator behind the generator protocol yet"


def missing_tables() -> list[PaperTable]:
    """T4, T6 and Fig. 9."""
    return [
        PaperTable(
            "T4",
            "subject edits (the paper prints no figures in its text)",
            "",
            ("rank error",),
            missing_rows(OURS, 1, EDITS),
        ),
        PaperTable(
            "T6",
            "single aspect on an autoregressive generator",
            "",
            paper.DATA_SETS,
            (*(published(n, r) for n, r in paper.T6.items()), *missing_rows(OURS, 3, AUTOREGRESSIVE)),
        ),
        PaperTable("F9", "moustache: score against edit scale", "", ("curve",), missing_rows(OURS[:1], 1, EDITS)),
    ]
