"""Processes that die: forked from one that has the models loaded, so that each costs only its work."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from auditor.cli.main import run
from auditor.common import crash_points


def start_child(
    work: Callable[[], object],
    *,
    crash_at: str | None = None,
    deed: signal.Signals = signal.SIGKILL,
    output: Path | None = None,
) -> int:
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
        crash_points.arm(crash_at, deed)
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


def exited(pid: int) -> bool:
    """Whether a child has ended. It can still be joined, and its number is not another's until then."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def stopped_at(work: Callable[[], object], point: str, *, output: Path | None = None) -> int:
    """Fork a process, wait until it stands still at a point, and return its id; SIGCONT lets it go on."""
    pid = start_child(work, crash_at=point, deed=signal.SIGSTOP, output=output)
    assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]), f"{point} is never passed"
    return pid


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


@contextmanager
def bound_disk(folder: Path) -> Iterator[Callable[[bool], None]]:
    """A folder as a file system of its own; yields a function that takes it away or brings it back as it was."""
    kept = folder.with_name(f"{folder.name}-disk")
    if folder.exists():
        folder.rename(kept)
    kept.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True)
    there = False

    def attach(wanted: bool) -> None:
        nonlocal there
        if wanted != there:
            _mount("--bind", str(kept), str(folder)) if wanted else _call("umount", "--lazy", str(folder))
            there = wanted

    attach(True)
    try:
        yield attach
    finally:
        attach(False)
        shutil.rmtree(folder)  # what was written while the disk was away
        kept.rename(folder)


def _mount(*arguments: str) -> None:
    _call("mount", *arguments)


def _call(*words: str) -> None:
    import subprocess

    subprocess.run(words, check=True, capture_output=True)
