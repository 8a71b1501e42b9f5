"""Publish files whole: under a temporary name first, on the disk, then renamed."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place, fsynced, when the block succeeds.

    Readers see the old file, the new one or none, never half of one; a failed block leaves nothing behind, a
    killed one a `.name.*.tmp`. The folder is made when it is missing.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with gone_with_its_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with named(path):
                yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Give an error of the disk the path that it is about: a failed write knows a descriptor only."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def gone_with_its_disk(path: Path) -> Iterator[None]:
    """Tell of a disk that was taken away: what was just made beside `path` is gone before it has its name.

    Raises:
        OSError: ESTALE, in place of a FileNotFoundError about a folder of `path` or what lies beside it.
    """
    try:
        yield
    except FileNotFoundError as error:
        missing = Path(error.filename or "/nowhere")
        if not missing.is_relative_to(path.parent) and missing not in path.parents:
            raise
        message = "what was just written is gone; was its disk taken away?"
        raise OSError(errno.ESTALE, message, str(path)) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing, whatever kills the process in between."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, content.encode())


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or which names a folder holds."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
