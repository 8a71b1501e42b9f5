"""How `--help` is laid out."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

HELP_WIDTH = 100
"""Widest help in columns; a narrower terminal gets its own width."""


class SummaryGroup(TyperGroup):
    """A group that lists its commands under headings, with their whole first sentences."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Writes the list of commands."""
        width = max((len(name) for name in self.commands), default=0)
        by_heading: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            heading = getattr(command, "rich_help_panel", None)
            row = (name.ljust(width), first_sentence(command.help or ""))
            by_heading.setdefault(heading if isinstance(heading, str) else "Commands", []).append(row)
        for heading, rows in by_heading.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line, without its full stop."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")
