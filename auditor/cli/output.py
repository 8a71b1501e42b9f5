"""How commands speak: data on stdout, talk on stderr, hostile text made safe on both."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from auditor.common.text_safety import clean

if TYPE_CHECKING:
    from rich.console import Console

_quiet = False
_LONG_WORD = 32
"""Letters; longer words are ids and hashes, which may be broken."""
_PADDING = 3
"""Blanks beside each cell of a table."""


def set_quiet(quiet: bool) -> None:
    """Whether talk other than warnings is left out."""
    global _quiet
    _quiet = quiet


def is_quiet() -> bool:
    """Whether --quiet was given."""
    return _quiet


def emit_json(value: object) -> None:
    """Prints one JSON value on stdout.

    Everything beyond ASCII is escaped, so uploader text can neither steer a terminal nor break a line.

    Raises:
        ValueError: A number is NaN or infinite; those never leave the package.
    """
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False, default=str) + "\n")


def emit_text(text: str) -> None:
    """Prints one block of data on stdout."""
    sys.stdout.write(clean(text, multiline=True) + "\n")


def emit_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    numeric: Sequence[str] = (),
    styles: Mapping[str, str] | None = None,
) -> None:
    """Prints a table on stdout.

    On a terminal it has the terminal's width; a table of many columns that would have to break words to fit is
    printed as one block per row instead. In a pipe every row is one line.

    Args:
        columns: Headings.
        rows: Cells; None shows as an en dash, all text is cleaned.
        title: Line above the table.
        numeric: Headings of right-aligned columns.
        styles: Rich style by heading.
    """
    # Clean before measuring: what is removed has no width.
    # Headings too: a query may make them of uploader text.
    columns, numeric = [clean(heading) for heading in columns], [clean(heading) for heading in numeric]
    cells = [["–" if cell is None else clean(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        if title:
            sys.stdout.write(clean(title) + "\n")
        _emit_plain(columns, cells, frozenset(numeric))
        return
    if _too_wide(columns, cells, stdout_console().width):
        _emit_blocks(columns, cells, title)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(clean(title)) if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in columns:
        justify: Literal["left", "right"] = "right" if heading in numeric else "left"
        table.add_column(Text(heading), justify=justify, style=(styles or {}).get(heading), overflow="fold")
    for row in cells:
        # Text objects, not strings: square brackets in a repository name are not markup.
        table.add_row(*(Text(cell) for cell in row))
    stdout_console().print(table)


def _too_wide(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether words would have to be broken. A long id or hash may be."""
    if len(columns) <= 3:
        return False
    both = zip(columns, *rows, strict=True)
    longest = [max(len(word) for cell in column for word in cell.split() or [""]) for column in both]
    return sum(min(one, _LONG_WORD) + _PADDING for one in longest) > width


def _emit_blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None) -> None:
    """One block per row: what names it, then a line for each other cell that says something."""
    from rich.table import Table
    from rich.text import Text

    names = 2 if columns[0] == "" else 1
    width = max(len(heading) for heading in columns)
    if title:
        stdout_console().print(Text(clean(title)))
    for row in rows:
        stdout_console().print(Text(" ".join(row[:names])))
        block = Table.grid(padding=(0, 2))
        block.add_column(width=2)
        block.add_column(width=width)
        block.add_column(overflow="fold")
        for heading, cell in zip(columns[names:], row[names:], strict=True):
            if cell not in ("–", ""):
                block.add_row("", Text(heading), Text(cell))
        stdout_console().print(block)


def _emit_plain(columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: frozenset[str]) -> None:
    """One line per row with aligned columns, never wrapped: what a pipe or a log wants."""
    widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]
    for row in [columns, *rows]:
        padded = (
            cell.rjust(width) if heading in numeric else cell.ljust(width)
            for heading, cell, width in zip(columns, row, widths, strict=True)
        )
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def shown_cell(value: object) -> object:
    """A value as a table shows it: four digits, lists and maps in one line."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(str(shown_cell(item)) for item in value)
    if isinstance(value, dict):
        return " ".join(str(shown_cell(item)) for item in value.values())
    return value


def say(message: str) -> None:
    """Tells the user something on stderr; left out by --quiet."""
    if not _quiet:
        _talk(message, None)


def warn(message: str) -> None:
    """Warns on stderr, --quiet or not."""
    _talk(f"warning: {message}", "yellow")


def fail(message: str) -> None:
    """Says on stderr why the command ends."""
    _talk(f"error: {message}", "bold red")


def summary(lines: Sequence[str], *, next_command: str | None = None) -> None:
    """Ends a stage: what was done in a few lines, and what to type next."""
    for line in lines:
        say(line)
    if next_command is not None:
        say(f"next: {next_command}")


def stdout_console() -> Console:
    """A console for data. Made per call, so that it follows a redirected stdout."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, no_color=_no_colour())


def stderr_console() -> Console:
    """A console for talk."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, no_color=_no_colour(), soft_wrap=True)


def _no_colour() -> bool:
    return bool(os.environ.get("NO_COLOR"))


def _talk(message: str, style: str | None) -> None:
    # A line that an upload forged must not begin where ours do: what follows a message's first line is set in.
    text = clean(message, multiline=True).replace("\n", "\n  ")
    if not sys.stderr.isatty():
        sys.stderr.write(text + "\n")
        return
    from rich.text import Text

    stderr_console().print(Text(text, style=style or ""))
