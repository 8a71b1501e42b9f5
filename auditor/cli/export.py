"""The command that hands the catalog to others as files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from auditor.cli.context import settings_of, start_logs
from auditor.cli.options import AsJson
from auditor.cli.output import emit_json, say, summary, warn
from auditor.cli.progress import progress


class Format(StrEnum):
    """What an export can hold; the same words as `auditor.catalog.export.bundle.ExportFormat`."""

    tables = "tables"
    jsonl = "jsonl"
    csv = "csv"
    sidecars = "sidecars"
    site = "site"


def export_command(
    context: typer.Context,
    formats: Annotated[
        list[Format] | None, typer.Option("--format", help="Only this product; repeatable. Default: all.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to make or replace. Default: export.dir.")] = None,
    pages: Annotated[
        int | None, typer.Option("--pages", min=0, help="Most pages of single adapters. Default: export.pages.")
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option("--beside", help="Write only sidecars, beside the .safetensors files of this local folder."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the catalog as files: Parquet tables, CSV, JSON lines, sidecars, a dataset card, pages to browse.

    The folder is replaced as a whole, so nobody sees half an export; a folder that holds something else is refused.

    Example:

        auditor export --out catalog-files

        auditor export --beside ~/ComfyUI/models/loras
    """
    settings = settings_of(context)
    if beside is not None:
        _beside(settings.catalog_path, beside, as_json)
        return
    from auditor.pipeline import stages

    if not dry_run:
        start_logs(context, settings, "export")
    with progress("export") as step:
        report = stages.export(
            settings,
            tuple(item.value for item in formats or ()),
            out=out,
            max_pages=pages,
            dry_run=dry_run,
            on_step=lambda what: step(1, what),
        )
    if as_json:
        emit_json(
            {
                "folder": str(report.folder),
                "rows": dict(report.rows),
                "files": report.files,
                "bytes": report.bytes,
                "dry_run": dry_run,
            }
        )
    counts = ", ".join(f"{count} {name}" for name, count in report.rows.items())
    if dry_run:
        say(f"would write to {report.folder}: {counts}")
        return
    summary([f"export: {report.files} files, {report.bytes / 1e6:.1f} MB in {report.folder}", counts])
    if report.pages_without_result:
        warn(f"{report.pages_without_result} pages were left out: their result files are not at hand")


def _beside(database: Path, folder: Path, as_json: bool) -> None:
    from auditor.catalog.export.bundle import annotate

    done = annotate(database, folder)
    if as_json:
        emit_json(
            {
                "written": done.written,
                "unchanged": done.unchanged,
                "unknown": done.unknown,
                "left_to_civitai": done.left_to_civitai,
                "unreadable": list(done.unreadable),
            }
        )
    summary([f"sidecars: {done.written} written, {done.unchanged} unchanged, {done.unknown} files not in the catalog"])
    for path in done.unreadable:
        warn(f"{path} cannot be read, or is not a JSON object, and was left alone")
    if done.left_to_civitai:
        warn(
            f"{done.left_to_civitai} files have a .civitai.info and no .metadata.json: open them in the manager once, "
            "then run this again"
        )
