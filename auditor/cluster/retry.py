"""Taking results back, so that the next audit redoes them. Nothing is deleted: they are moved aside."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from auditor.cluster.completion import stored_results
from auditor.records.outcomes import Reason
from auditor.results.result_file import list_results
from auditor.results.workspace import Workspace
from auditor.settings import Settings


@dataclass(frozen=True)
class Retried:
    """What is cleared, and where it lies now."""

    results: tuple[Path, ...]
    attempts: int
    moved_to: Path


def retry(settings: Settings, reason: Reason, *, dry_run: bool) -> Retried:
    """Take back every result with a reason.

    Args:
        settings: Give the work folder.
        reason: Of the results; `poison` also clears the attempts of items that have no result yet.
        dry_run: Only say which.
    """
    workspace = Workspace(settings.work.dir)
    stored = stored_results(workspace)
    found = tuple(
        path
        for path in list_results(workspace.results)
        if (known := stored.get(path.name)) is not None and known.reason == reason
    )
    aside = workspace.root / "results-retried" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{reason}"
    attempts = sorted(workspace.attempts.glob("*")) if reason == "poison" else []
    if not dry_run:
        for path in found:
            aside.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # a worker or a merge has just replaced or moved it
                os.replace(path, aside / path.name)
        for path in attempts:
            path.unlink(missing_ok=True)
    return Retried(found, len(attempts), aside)
