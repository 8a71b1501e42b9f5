"""Runs one command and ends it, with all its children, when the process that asked for it is gone.

Started by its file name, with the standard library alone: `guard.py PARENT GRACE_S COMMAND...`. The parent holds the
other end of standard input; it closes however the parent ends, kill -9 included. A server that dies leaves its engine
processes running, with the memory they hold: so the whole process group is ended in every case. The group's id is
printed first, for a parent that outlives its guard.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_POLL_S = 0.2


def end_group(group: int, grace_s: float) -> None:
    """SIGTERM to a process group, SIGKILL to what is left after `grace_s` seconds; returns when nothing is.

    A stopped process does not hear SIGTERM; SIGKILL reaches it too.
    """
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 30.0)):
        end = time.monotonic() + patience_s
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        while not _is_empty(group):
            if time.monotonic() >= end:
                break
            time.sleep(0.02)


def _is_empty(group: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:  # a dead member counts until it is collected
            pass
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False


def _die_with_guard() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run the command until it ends, the parent is gone, or SIGTERM asks to stop; the command's exit code."""
    parent, grace_s, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True, preexec_fn=_die_with_guard
    )
    os.write(1, f"{child.pid}\n".encode())
    os.close(1)
    while child.poll() is None and not stopping and os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _POLL_S)
        if readable and not os.read(0, 1):
            break
    code = child.poll()
    end_group(child.pid, grace_s)
    return 0 if code is None else abs(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
