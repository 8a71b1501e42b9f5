"""`auditor doctor`: what the active profile needs, and what of it is missing."""

from __future__ import annotations

from typing import Annotated

import typer

from auditor.cli.context import settings_of
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say
from auditor.errors import EXIT_PREREQUISITE


def doctor_command(
    context: typer.Context,
    hub: Annotated[
        bool, typer.Option("--hub", help="Ask the Hub: endpoint, identity, limits in force, cost of a crawl.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what the active profile needs, what is missing, and what to do about it.

    Changes and downloads nothing. Exits with 3 when something required is missing. With --hub it looks at the Hub
    alone, by a handful of requests.

    Example:

        auditor doctor

        auditor --profile hub doctor --json

        auditor doctor --hub
    """
    from dataclasses import asdict

    from auditor.doctor.check import something_missing
    from auditor.doctor.local_checks import examine

    settings = settings_of(context)
    if hub:
        from auditor.doctor.hub_checks import examine_hub

        checks = list(examine_hub(settings).checks)
    else:
        checks = examine(settings)
    missing = something_missing(checks)
    if as_json:
        emit_json({"profile": settings.profile, "ready": not missing, "checks": [asdict(check) for check in checks]})
    else:
        emit_table(("", "what", "found"), [(check.status, check.name, check.found) for check in checks])
        for check in checks:
            if check.advice is not None:
                say(f"{check.name}: {check.advice}")
        ready = "something required is missing" if missing else "ready"
        say(f"profile {settings.profile}: {ready}")
    if missing:
        raise typer.Exit(EXIT_PREREQUISITE)
