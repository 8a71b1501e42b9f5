"""The command for a first look, and the check of an installation."""

from __future__ import annotations

from dataclasses import replace

import typer

from auditor.cli.ask import search_command
from auditor.cli.context import options_of
from auditor.cli.output import say
from auditor.cli.run import nightly_command

DEMO_QUESTION = "most vibrant watercolor LoRA"


def demo_command(context: typer.Context) -> None:
    """Audit the pocket world from start to end, then ask its catalog a question. Offline, on the CPU, in minutes.

    Whatever profile the settings name: this takes pocket. Once it has run, a second call only asks.
    Ends as `auditor nightly` does when an adapter failed or the run was told to stop.

    Example:

        auditor --work-dir /tmp/demo demo
    """
    root = context.find_root()
    root.obj = replace(options_of(context), profile="pocket")
    nightly_command(context)
    search_command(context, DEMO_QUESTION.split())
    catalog = options_of(context).resolve().settings.catalog_path
    say(f"\ncatalog: {catalog}   (duckdb {catalog} \"FROM most('vibrant', 'watercolor')\")\nmore: auditor --help")
