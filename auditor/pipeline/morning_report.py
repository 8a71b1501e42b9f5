"""Write what the last merge found new: report.html and report.md in the work folder."""

from __future__ import annotations

from pathlib import Path

from auditor.common.atomic_files import write_text
from auditor.results.workspace import Workspace
from auditor.settings import Settings


def write_report(settings: Settings) -> tuple[Path, Path]:
    """Compare the catalog with the one before it and write the report.

    Returns:
        The page and the Markdown file.

    Raises:
        PrerequisiteMissing: There is no catalog.
    """
    from auditor.catalog.morning import read_morning
    from auditor.catalog.morning_pages import render_html, render_markdown
    from auditor.catalog.publishing import catalog_before

    before = catalog_before(settings.catalog_path)
    found = read_morning(settings.catalog_path, before if before.exists() else None, settings.report.follow)
    page, text = Workspace(settings.work.dir).reports
    write_text(page, render_html(found))
    write_text(text, render_markdown(found))
    return page, text
