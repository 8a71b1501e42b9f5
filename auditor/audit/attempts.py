"""Attempts at items, noted on disk before the work, so that an item that kills its process is noticed.

One small file per attempt that has begun and not ended, named by item and owner: nothing is appended to, so that
two hosts on one file system cannot mix their notes. Slurm may run two copies of a task at once (the old process of
a lost node lives on beside the requeued one); attempts of processes that are known to live do not count.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from pathlib import Path

from auditor.records.result import WorkItem

MAX_ATTEMPTS = 3
STOPS_PER_ATTEMPT = 3
"""So many announced stops weigh as much as one death: kills from outside are rarely the item's fault."""
_STOPPED = ".stopped"


class Attempts:
    """The attempts folder, as seen by one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = secrets.token_hex(6)
        self._mine: Path | None = None

    def begin(self, item: WorkItem) -> int:
        """Note durably that work on an item begins.

        Returns:
            How many attempts were begun, this one included and those of processes that still live here left out.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        earlier = [path for path in self._of(item) if not _alive(path)]
        stopped = sum(path.suffix == _STOPPED for path in earlier)
        self._mine = self._folder / f"{item.name_sha256}.{self._token}"
        with self._mine.open("w", encoding="utf-8") as stream:
            json.dump({"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        return 1 + len(earlier) - stopped + stopped // STOPS_PER_ATTEMPT

    def end(self) -> None:
        """Work ended without a result and without harm: this attempt never was."""
        mine, self._mine = self._mine, None
        if mine is not None:
            mine.unlink(missing_ok=True)
            mine.with_name(mine.name + _STOPPED).unlink(missing_ok=True)

    def settle(self, item: WorkItem) -> None:
        """The item has a result: forget all attempts at it."""
        self._mine = None
        for path in self._of(item):
            path.unlink(missing_ok=True)

    def stopping(self) -> None:
        """The process was told to stop. If it is killed before it finishes, that says little about the item."""
        mine = self._mine
        if mine is not None and mine.exists():
            # The file keeps its owner: should the process go on and settle the item, both names are removed.
            os.replace(mine, mine.with_name(mine.name + _STOPPED))

    def _of(self, item: WorkItem) -> list[Path]:
        return sorted(self._folder.glob(f"{item.name_sha256}.*"))


def _alive(path: Path) -> bool:
    """Whether the owner of an attempt runs on this host. Of other hosts nothing is known: False."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        if owner["host"] != socket.gethostname():
            return False
        return bool(owner["started"] == _started(int(owner["pid"])))
    except (OSError, ValueError, KeyError, TypeError):
        return False  # gone meanwhile, or cut short by the crash it tells of


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot: tells a process from a later one with its number.

    Raises:
        ProcessLookupError: There is no such process, or only its unreaped remains.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ProcessLookupError(pid) from error
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return fields[19]
