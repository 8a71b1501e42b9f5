"""Processes that die: forked from one that has the models loaded, so that each costs only its work."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from auditor.cli.main import run
from auditor.common import crash_points


def start_child(work: Callable[[], object], *, crash_at: str | None = None, output: Path | None = None) -> int:
    """Fork a process that does some work and exits as the program would; return its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if output is not None:
            sys.stdout = sys.stderr = output.open("a", buffering=1)
        crash_points.arm(crash_at)
        work()
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def join(pid: int) -> int:
    """Exit code of a child; negative when a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_child(work: Callable[[], object], *, crash_at: str | None = None, output: Path | None = None) -> int:
    """Do some work in a forked process and return how it ended."""
    return join(start_child(work, crash_at=crash_at, output=output))


def command(*arguments: str) -> Callable[[], object]:
    """The program itself, as `in_child` wants it."""
    return lambda: run(arguments)


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[int], None]]:
    """A file system of its own at `folder`; yields a function that changes its size."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    try:
        yield lambda size: _mount("-o", f"remount,size={size}k", str(folder))
    finally:
        _call("umount", "--lazy", str(folder))


def _mount(*arguments: str) -> None:
    _call("mount", *arguments)


def _call(*words: str) -> None:
    import subprocess

    subprocess.run(words, check=True, capture_output=True)
