"""Reading files of our own that a disk, a copy or a hand may have damaged.

Whatever a reader makes of damaged bytes (each library has errors of its own), the file is named, moved aside so that
nobody meets it again, and the stage that makes it is named. Nothing is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from auditor.errors import AuditorError, UserError


class Damaged(UserError):
    """A file of ours does not hold what was written. It has been moved aside."""


@contextmanager
def reading(path: Path, kind: str, remade_by: str) -> Iterator[None]:
    """Open around the reading of one file, and nothing else.

    Args:
        path: Of the file.
        kind: What it is, for the message.
        remade_by: Command that makes it anew.

    Raises:
        Damaged: It cannot be read as what it is. It lies beside its place now, under another name.
        OSError: The disk or the rights are the trouble, not the bytes.
    """
    try:
        yield
    except AuditorError:
        raise
    except Exception as error:
        # Readers raise OSError over bad bytes too, but then no system call has failed. A file that is not there is not
        # damaged: another task may have put it where it belongs meanwhile. Not every reader gives that its number.
        gone = isinstance(error, FileNotFoundError)
        if gone or isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise set_aside(path, kind, remade_by, f"{type(error).__name__}: {error}") from error


def set_aside(path: Path, kind: str, remade_by: str, why: str) -> Damaged:
    """Move a damaged file out of the way; the error to raise."""
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    why = " ".join(why.split())[:200]
    try:
        os.replace(path, aside)
    except OSError as error:
        return Damaged(
            f"the {kind} {path} is damaged ({why}) and cannot be moved aside ({error.strerror}); remove it, then run: "
            f"{remade_by}"
        )
    return Damaged(f"the {kind} {path} was damaged ({why}) and lies in {aside.name} now; run: {remade_by}")
