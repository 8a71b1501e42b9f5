"""What the global options were, and how commands get from there to settings and logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from auditor.settings import ResolvedSettings, Settings


@dataclass(frozen=True)
class GlobalOptions:
    """Options given before the command's name."""

    config: Path | None = None
    profile: str | None = None
    work_dir: Path | None = None
    overrides: tuple[str, ...] = ()
    verbosity: int = 0

    def resolve(self) -> ResolvedSettings:
        """Settings with their provenance. Raises UserError for a wrong or unknown one."""
        from auditor.settings import resolve

        return resolve(config=self.config, profile=self.profile, work_dir=self.work_dir, overrides=self.overrides)

    def catalog(self) -> Path:
        """The database file. Settings are checked only where there are more than the work folder and a profile."""
        from auditor.common.settings_files import CATALOG_FILE

        folder = self._plain_folder()
        return self.resolve().settings.catalog_path if folder is None else folder / CATALOG_FILE

    def work_folder(self) -> Path:
        """The work folder, found in the same way."""
        folder = self._plain_folder()
        return self.resolve().settings.work.dir if folder is None else folder

    def _plain_folder(self) -> Path | None:
        from auditor.common.settings_files import plain_work_folder

        if self.overrides:
            return None
        return plain_work_folder(config=self.config, profile=self.profile, work_dir=self.work_dir)


def options_of(context: typer.Context) -> GlobalOptions:
    """The global options of the running command."""
    options = context.find_root().obj
    return options if isinstance(options, GlobalOptions) else GlobalOptions()


def settings_of(context: typer.Context) -> Settings:
    """The settings of the running command."""
    return options_of(context).resolve().settings


def catalog_of(context: typer.Context) -> Path:
    """The database file of a command that reads it and needs no other setting."""
    return options_of(context).catalog()


def start_logs(context: typer.Context, settings: Settings, name: str, *, dry_run: bool = False) -> Path | None:
    """Starts the log file of a command that works (rather than reads), and says where it is.

    Args:
        context: Of the running command.
        settings: Give the work folder.
        name: Of the command; part of the file name.
        dry_run: Nothing is to be written: there are lines on stderr only.

    Returns:
        The JSON lines file, if any. Its name is unique, so that commands may run beside each other.
    """
    import os
    from datetime import UTC, datetime

    from auditor.logs import configure_logging

    if dry_run:
        configure_logging(None, verbosity=options_of(context).verbosity)
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    log_file = settings.work.dir / "logs" / f"{name}-{stamp}-{os.getpid()}.jsonl"
    configure_logging(log_file, verbosity=options_of(context).verbosity)
    return log_file
