"""How `--help` is laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click.core import Command

HELP_WIDTH = 100
"""Widest help in columns; a narrower terminal gets its own width."""


class OnDemand(MutableMapping[str, "Command"]):
    """Commands by name, each made when it is first looked up: all of them together take longer than one that reads."""

    def __init__(self, makers: Mapping[str, Callable[[], Command]]) -> None:
        self._makers = dict(makers)
        self.made: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self.made:
            self.made[name] = self._makers[name]()
        return self.made[name]

    def __setitem__(self, name: str, command: Command) -> None:
        self._makers[name] = lambda: command
        self.made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._makers[name]
        self.made.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


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
