"""`auditor config`: every setting and where it came from."""

from __future__ import annotations

from typing import Annotated

import typer

from auditor.cli.context import options_of
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, emit_table, say


def config_command(
    context: typer.Context,
    match: Annotated[
        str | None, typer.Argument(help="Show only settings whose name contains this.", show_default=False)
    ] = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from profile and defaults.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every setting and where its value came from.

    Secrets are not settings: HF_TOKEN and OPENAI_API_KEY are read from the environment and never shown.

    Example:

        auditor config

        auditor --profile hub config recipe.bases.sdxl

        AUDITOR_RECIPE__PROBE_COUNT=12 auditor config --changed --json
    """
    resolved = options_of(context).resolve()
    rows = [
        (key, value, resolved.provenance[key])
        for key, value in resolved.values().items()
        if (match is None or match in key)
        and not (changed and resolved.provenance[key].startswith(("default", "profile ")))
    ]
    if as_json:
        emit_json({key: {"value": value, "from": place} for key, value, place in rows})
        return
    emit_table(("setting", "value", "from"), [(key, _shown(value), place) for key, value, place in rows])
    say(f"profile {resolved.settings.profile}, settings file {resolved.config_file or 'none'}")


def _shown(value: object) -> str | None:
    """A value as one would type it in auditor.toml; None is shown as unset."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join("+".join(item) if isinstance(item, list) else str(item) for item in value) or "[]"
    return str(value)
