"""`auditor report`: what the last night did."""

from __future__ import annotations

import typer

from auditor.cli import steps
from auditor.cli.context import settings_of, start_logs
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json


def report_command(context: typer.Context, as_json: AsJson = False) -> None:
    """Write report.html and report.md: what is new, what failed and what to do, the best of the concepts you follow.

    Every merge writes them too. Compared are the catalog and the one that it replaced; list concepts to follow
    under [report] in auditor.toml.

    Example:

        auditor report
    """
    settings = settings_of(context)
    start_logs(context, settings, "report")
    page, text = steps.write_morning_report(settings)
    if as_json:
        emit_json({"page": str(page), "markdown": str(text)})
