"""A run on the cluster: its folder, the settings frozen when it was submitted, what it has reached, its requeues."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import tomli_w

from auditor.cluster.tags import RUN_NAME, work_key
from auditor.common.atomic_files import write_bytes
from auditor.errors import UserError
from auditor.settings import Settings, portable

Mark = Literal["chained", "merged", "left_out"]
"""`chained`: the plan's jobs are submitted. `merged`: the catalog was built after them. `left_out`: some slices had no
room in the queue and are submitted after the merge; with the number of items that lacked a result then."""


@dataclass(frozen=True)
class Run:
    """Paths and marks of one run."""

    work: Path
    """The work folder, absolute."""
    name: str

    @property
    def folder(self) -> Path:
        """Everything that belongs to this run alone."""
        return self.work / "runs" / self.name

    @property
    def config(self) -> Path:
        """The settings all its jobs use."""
        return self.folder / "auditor.toml"

    @property
    def output(self) -> Path:
        """What the jobs print."""
        return self.folder / "slurm"

    @property
    def key(self) -> str:
        """Short name of the work folder."""
        return work_key(self.work)

    def freeze(self, settings: Settings, *, anew: bool = False) -> None:
        """Store the settings, once or `anew`: a job that starts in three hours must not see an edit made in two."""
        self.output.mkdir(parents=True, exist_ok=True)
        if self.config.exists() and not anew:
            return
        # The file lies elsewhere than the command was typed, and the jobs run elsewhere again.
        write_bytes(self.config, tomli_w.dumps(_without_none(portable(settings))).encode())

    def mark(self, reached: Mark, note: str = "") -> None:
        """Note that the run has got so far, and when, or what else is to be known about it."""
        write_bytes(self.folder / reached, (note or datetime.now(UTC).isoformat(timespec="seconds")).encode())

    def number_of(self, reached: Mark) -> int | None:
        """The number noted with a mark; None when there is none."""
        try:
            return int((self.folder / reached).read_text("ascii"))
        except (OSError, ValueError):
            return None

    def unmark(self, reached: Mark) -> None:
        """Take a mark back."""
        (self.folder / reached).unlink(missing_ok=True)

    def has(self, reached: Mark) -> bool:
        """Whether the run has got so far."""
        return (self.folder / reached).exists()

    def count_requeue(self, job: str, limit: int) -> bool:
        """Count one requeue of a job, unless it has used up its limit.

        Slurm's own count is not enough: after a crash of the controller SLURM_RESTART_COUNT starts over.

        Returns:
            Whether the job may be requeued.
        """
        if "/" in job or job.startswith("."):
            raise UserError(f"{job!r} is not the name of a job")
        path = self.folder / "requeues" / job
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size >= limit:
            return False
        with path.open("ab") as stream:
            stream.write(b".")
            stream.flush()
            os.fsync(stream.fileno())
        return True

    def forget_requeues(self) -> None:
        """Start counting again: somebody asked for the rest to be done."""
        for path in (self.folder / "requeues").glob("*"):
            path.unlink(missing_ok=True)


def open_run(settings: Settings, name: str | None = None) -> Run:
    """The run of a name; tonight's (UTC) when no name is given.

    Raises:
        UserError: The name would not do as a folder and in a job's comment.
    """
    name = name or datetime.now(UTC).strftime("%Y-%m-%d")
    if not RUN_NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot name a run; use letters, digits, dots, dashes and underscores")
    return Run(settings.work.dir.absolute(), name)


def latest_run(settings: Settings) -> Run | None:
    """The run submitted last from this work folder, if any."""
    work = settings.work.dir.absolute()
    found = [path for path in (work / "runs").glob("*/auditor.toml")]
    return Run(work, max(found, key=lambda path: path.stat().st_mtime_ns).parent.name) if found else None


def _without_none(tree: Mapping[str, object]) -> dict[str, object]:
    """TOML has no null; a key that is left out means the same."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if value is not None
    }
