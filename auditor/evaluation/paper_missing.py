"""The paper's tables and figures that cannot be filled yet, each with what it lacks."""

from __future__ import annotations

from auditor.evaluation import published_figures as paper
from auditor.evaluation.paper_table import PaperTable, missing_rows, published

OURS = ("robust", "paper")
EDITS = "adapters of the subject edits at several edit scales are not trained yet"
AUTOREGRESSIVE = "no autoregressive generator behind the generator protocol yet"
VERSIONS = "comparing whole checkpoints of one family is not built yet"
PICTURE = "the picture is not drawn yet"


def missing_tables() -> list[PaperTable]:
    """T4, T6 and the figures."""
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
        PaperTable("F6", "scores over levels, one aspect", "", ("picture",), missing_rows(OURS[:1], 1, PICTURE)),
        PaperTable("F8", "scores over levels, two aspects", "", ("picture",), missing_rows(OURS[:1], 1, PICTURE)),
        PaperTable("F9", "moustache: score against edit scale", "", ("curve",), missing_rows(OURS[:1], 1, EDITS)),
        PaperTable(
            "F10",
            "versions of one base: vibrant and contrasting colours",
            "",
            ("coefficient",),
            (*(published(n, r) for n, r in paper.FIGURE_10.items()), *missing_rows(OURS[:1], 1, VERSIONS)),
        ),
    ]
