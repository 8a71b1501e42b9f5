"""Fig. 10 of the paper: versions of one base, each against the first, on a difference that is known."""

from __future__ import annotations

from auditor.audit.base_versions import compare_bases
from auditor.evaluation import published_figures as paper
from auditor.evaluation.paper_table import Figure, PaperTable, TableRow, published
from auditor.evaluation.paper_work import PaperWork
from auditor.measuring.checkpoint_scores import CheckpointScores
from auditor.pocket.training.later_bases import TAUGHT, VERSIONS, ensure_later_bases


def versions_table(work: PaperWork) -> PaperTable:
    """Score of the colours that one of two later trainings of the base was given, in both."""
    bank, options = work.bank, work.options
    folders = ensure_later_bases(bank.base_path, bank.folder, options.later_steps)
    found = compare_bases(bank.settings, bank.base_name, [str(folder) for folder in folders.values()])
    by_name = dict(zip(folders, found.versions, strict=True))
    rows = [TableRow(f"robust: {name}", "ours", (_score(version),)) for name, version in by_name.items()]
    taught = ", ".join(f"{name} {strength:g}" for name, strength in VERSIONS.items())
    return PaperTable(
        "F10",
        "versions of one base: vibrant and contrasting colours",
        f"Score of `{TAUGHT}` of two bases that go on from the pocket's for {options.later_steps} steps, against it; "
        f"strength of the style in the pictures that they were trained on with, which no caption mentions: {taught}. "
        "Intervals over probes, whose number is in brackets; chance is no difference.",
        ("coefficient",),
        (
            *(published(name, row) for name, row in paper.FIGURE_10.items()),
            *rows,
            TableRow("chance", "chance", (Figure(0.0),)),
        ),
        better="more",
    )


def _score(version: CheckpointScores) -> Figure:
    """0 where there is no effect: nothing is claimed then."""
    own = next((score for score in version.scores if score.concept == TAUGHT), None)
    if own is None:
        return Figure(0.0, 0.0, 0.0, version.effect.probes)
    return Figure(own.score, own.low, own.high, version.effect.probes)
