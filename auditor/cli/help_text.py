"""How `--help` is laid out."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

HELP_WIDTH = 100
"""Widest help in columns; a narrower terminal gets its own width."""


class SummaryGroup(TyperGroup):
    """A group that lists its commands with their whole first sentences, instead of what fits on one line."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """Writes the list of commands."""
        for command in self.commands.values():
            if not command.short_help and command.help:
                command.short_help = first_sentence(command.help)
        super().format_commands(ctx, formatter)


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line, without its full stop."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")
