"""The program's first steps, before anything that takes long to import: a Ctrl-C meanwhile is no traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

_INTERRUPTED = 130


def start(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program; see `auditor.cli.main.run`.

    Args:
        arguments: Instead of the process's own.
    """
    before = signal.signal(signal.SIGINT, _leave)
    replace_closed_streams()
    from auditor.cli.main import run

    signal.signal(signal.SIGINT, before)
    run(arguments)


def replace_closed_streams() -> None:
    """Stand in for standard streams that were closed (`>&-`): the next file opened would get their number."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))


def _leave(_number: int, _frame: FrameType | None) -> None:
    # Not an exception: in the middle of an import some libraries turn it into an error of their own.
    os.write(2, b"interrupted\n")
    os._exit(_INTERRUPTED)
