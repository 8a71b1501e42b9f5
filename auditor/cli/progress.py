"""Progress on stderr: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from auditor.cli.output import is_quiet, say, stderr_console
from auditor.common.text_safety import clean

HEARTBEAT_S = 30.0


class Step(Protocol):
    """Reports progress."""

    def __call__(self, done: int = 1, note: str = "") -> None:
        """Counts `done` more items; `note` names the current one."""


@contextmanager
def progress(
    label: str,
    total: int | None = None,
    *,
    heartbeat_s: float = HEARTBEAT_S,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Step]:
    """Shows how far a loop is.

        with progress("auditing", total=len(items)) as step:
            for item in items:
                ...
                step(note=item.repo_id)

    Args:
        label: What is being done.
        total: Number of items. None: unknown.
        heartbeat_s: Least seconds between two lines where stderr is not a terminal.
        clock: Monotonic seconds, for tests.
    """
    if is_quiet():
        yield _silent
    elif sys.stderr.isatty():
        with _bar(label, total) as step:
            yield step
    else:
        heartbeat = Heartbeat(label, total, heartbeat_s, clock)
        yield heartbeat
        heartbeat.finish()


def _silent(done: int = 1, note: str = "") -> None:
    """Shows nothing."""


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Step]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=stderr_console()) as bar:
        task = bar.add_task(label, total=total, note="")

        def step(done: int = 1, note: str = "") -> None:
            bar.update(task, advance=done, note=clean(note, limit=60))

        yield step


class Heartbeat:
    """Progress for a log: `auditing 12/48 (25 %), 1.3/s, about 28 s left, owner/name`."""

    def __init__(self, label: str, total: int | None, every_s: float, clock: Callable[[], float]) -> None:
        self._label, self._total, self._every_s, self._clock = label, total, every_s, clock
        self._done = 0
        self._started_s = self._spoken_s = clock()

    def __call__(self, done: int = 1, note: str = "") -> None:
        """Counts, and speaks when the last line is long enough ago."""
        self._done += done
        now_s = self._clock()
        if now_s - self._spoken_s >= self._every_s:
            self._spoken_s = now_s
            say(self._line(now_s - self._started_s, note))

    def finish(self) -> None:
        """The closing line, with the time it all took."""
        say(f"{self._label}: {self._done} done in {self._clock() - self._started_s:.1f} s")

    def _line(self, elapsed_s: float, note: str) -> str:
        rate = self._done / elapsed_s if elapsed_s > 0 else 0.0
        parts = [f"{self._label} {self._done}"]
        if self._total:
            parts[0] += f"/{self._total} ({100 * self._done // self._total} %)"
        parts.append(f"{rate:.2g}/s")
        if self._total and rate > 0:
            parts.append(f"about {(self._total - self._done) / rate:.0f} s left")
        if note:
            parts.append(clean(note, limit=80))
        return ", ".join(parts)
