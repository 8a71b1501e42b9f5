"""The paper's tables and figures that cannot be filled yet, each with what it lacks."""

from __future__ import annotations

from auditor.evaluation.paper_table import PaperTable, missing_rows

OURS = ("robust", "paper")
EDITS = "adapters of the subject edits at several edit scales are not trained yet"


def missing_tables() -> list[PaperTable]:
    """T4 and Fig. 9."""
    return [
        PaperTable(
            "T4",
            "subject edits (the paper prints no figures in its text)",
            "",
            ("rank error",),
            missing_rows(OURS, 1, EDITS),
        ),
        PaperTable("F9", "moustache: score against edit scale", "", ("curve",), missing_rows(OURS[:1], 1, EDITS)),
    ]
