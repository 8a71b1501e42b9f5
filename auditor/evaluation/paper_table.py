"""A table of the paper beside ours: cells are figures with intervals, published figures, or what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from auditor.finexl.attribution import Interval

Unit = Literal["number", "share"]
Better = Literal["less", "more"]
Kind = Literal["published", "ours", "rival", "chance"]

PRIMARY = "robust"
"""The row of ours that is set against the rivals: the score, by which adapters are named."""

LEVEL = "level"
"""The row of ours that orders adapters by one concept; set against the rivals where a table is about order."""

LEAST_CASES = 6
"""Cases from which on intervals are set against each other: resampling fewer makes them too narrow to mean anything."""


@dataclass(frozen=True)
class Figure:
    """One cell.

    Attributes:
        value: None where nothing was measured; `missing` then says what is needed.
        low: Of the 95 % interval; None for published figures and chance lines.
        high: Its upper end.
        cases: Behind the interval; None where unknown.
        missing: Why there is no value.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    cases: int | None = None
    missing: str = ""

    @classmethod
    def of(cls, interval: Interval) -> Figure:
        """From an interval."""
        return cls(interval.mean, interval.low, interval.high, interval.cases)


@dataclass(frozen=True)
class TableRow:
    """One method: its figures by column."""

    name: str
    kind: Kind
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class PaperTable:
    """One table or figure of the paper.

    Attributes:
        key: Such as `T1`.
        title: What it shows.
        about: How ours was made, in a sentence or two: cases, what an interval resamples.
        columns: Of figures.
        rows: Published, ours, rivals, chance, in this order.
        unit: `share` is shown in per cent.
        better: Which direction is better.
        notes: Sentences below it, such as what was counted about mistakes.
        compared: Rows of ours that are set against the rivals.
    """

    key: str
    title: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    unit: Unit = "number"
    better: Better = "less"
    notes: tuple[str, ...] = ()
    compared: tuple[str, ...] = (PRIMARY,)


def published(name: str, values: Sequence[float | None]) -> TableRow:
    """A row of the paper; None for a column that the paper does not have."""
    return TableRow(
        f"{name} (paper)", "published", tuple(Figure(v, missing="" if v is not None else "–") for v in values)
    )


def missing_rows(names: Sequence[str], columns: int, why: str) -> tuple[TableRow, ...]:
    """Rows of ours that cannot be filled."""
    return tuple(TableRow(name, "ours", (Figure(None, missing=why),) * columns) for name in names)


def standing(table: PaperTable) -> tuple[str, ...]:
    """Where each compared row of ours stands against all rivals: one sentence a column, for columns with both."""
    rivals = [row for row in table.rows if row.kind == "rival"]
    ours = {row.name: row for row in table.rows if row.kind == "ours"}
    sentences = []
    for name in table.compared:
        for place, column in enumerate(table.columns):
            theirs = {row.name: row.figures[place] for row in rivals if row.figures[place].value is not None}
            if theirs and name in ours and ours[name].figures[place].value is not None:
                said = _standing(ours[name].figures[place], theirs, table.better)
                sentences.append(f"{column}: {name} is {said}.")
    return tuple(sentences)


def _standing(own: Figure, theirs: Mapping[str, Figure], better: Better) -> str:
    groups: dict[str, list[str]] = {"clearly": [], "ahead": [], "behind": []}
    for name, other in theirs.items():
        equal = " (equal)" if other.value == own.value else ""
        groups[_against(own, other, better)].append(f"{name}{equal}")
    if own.cases is not None and own.cases >= LEAST_CASES:
        said = [f"ahead of {len(groups['clearly'])} of {len(theirs)} rival readings with disjoint 95 % intervals"]
        if groups["ahead"]:
            said.append(f"ahead with overlapping intervals: {'; '.join(groups['ahead'])}")
    else:
        ahead = len(groups["clearly"]) + len(groups["ahead"])
        said = [f"ahead of {ahead} of {len(theirs)} rival readings, on too few cases ({own.cases}) for intervals"]
    if groups["behind"]:
        said.append(f"**not ahead**: {'; '.join(groups['behind'])}")
    return ". ".join(said)


def _against(own: Figure, other: Figure, better: Better) -> str:
    sign = 1 if better == "more" else -1
    assert own.value is not None and other.value is not None
    if sign * own.value <= sign * other.value:
        return "behind"
    ends = (own.low, own.high, other.low, other.high)
    if any(end is None for end in ends):
        return "ahead"
    low, high, other_low, other_high = ends
    clear = low > other_high if better == "more" else high < other_low  # type: ignore[operator]
    return "clearly" if clear else "ahead"


def shape(tables: Sequence[PaperTable]) -> Mapping[str, tuple[str, ...]]:
    """Columns by table: what two runs of different size have in common."""
    return {table.key: table.columns for table in tables}


def markdown(table: PaperTable) -> str:
    """The table as a section of the page."""
    heads = ["", *table.columns]
    body = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in table.rows:
        name = f"**{row.name}**" if row.kind == "ours" and row.name in table.compared else row.name
        body.append(f"| {name} | {' | '.join(cell(figure, table.unit) for figure in row.figures)} |")
    said = [f"- {sentence}" for sentence in (*standing(table), *table.notes)]
    parts = [f"## {table.key}: {table.title}", table.about, "\n".join(body), *(["\n".join(said)] if said else [])]
    return "\n\n".join(part for part in parts if part) + "\n"


def cell(figure: Figure, unit: Unit) -> str:
    """A figure as text: value, interval and cases, or what is missing."""
    if figure.value is None:
        return figure.missing
    small = 0 < abs(figure.value) < 0.01
    scale, digits, sign = (100, 1, " %") if unit == "share" else (1, 3 if small else 2, "")
    text = f"{scale * figure.value:.{digits}f}{sign}"
    if figure.low is not None and figure.high is not None:
        text += f" ({scale * figure.low:.{digits}f} to {scale * figure.high:.{digits}f}; {figure.cases})"
    return text
