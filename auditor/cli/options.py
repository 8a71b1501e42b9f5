"""Options that mean the same in every command."""

from __future__ import annotations

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]
Task = Annotated[int, typer.Option("--task", min=0, help="Which slice of the plan, from 0.")]
Tasks = Annotated[int, typer.Option("--tasks", min=1, help="How many slices there are.")]
