"""A folder that is replaced as a whole, with checksums of everything in it."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from auditor.common.atomic_files import named
from auditor.errors import UserError

MARKER = "export.json"
"""Lies in every export; a folder without it is somebody else's and is never replaced."""
CHECKSUMS = "SHA256SUMS"

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `target` when the block succeeds.

    Raises:
        UserError: `target` holds something that is not an export.
    """
    check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in target.parent.glob(f".{target.name}.*.tmp"):
        shutil.rmtree(stale, ignore_errors=True)
    building = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    building.mkdir()
    try:
        with named(target):
            yield building
        _swap(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def check_replaceable(target: Path) -> None:
    """Refuse to replace what no export made.

    Raises:
        UserError: It is a file, or a folder with other things in it.
    """
    if target.is_dir() and (not any(target.iterdir()) or (target / MARKER).is_file()):
        return
    if target.exists() or target.is_symlink():
        raise UserError(f"{target} is not an earlier export and will not be replaced; name a new folder with --out")


def write_marker(folder: Path, facts: Mapping[str, object]) -> None:
    """Say what the folder is, in a form that programs read."""
    (folder / MARKER).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def write_checksums(folder: Path) -> int:
    """Write `SHA256SUMS` (check with `sha256sum -c`) and return the number of files in it."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _swap(building: Path, target: Path) -> None:
    """Put `building` in the place of `target`; in one step where the system can, so that a reader misses nothing."""
    if not target.exists():
        os.rename(building, target)
    elif not _exchange(building, target):
        aside = building.with_name(f"{building.name}.old.tmp")
        os.rename(target, aside)
        os.rename(building, target)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names atomically (Linux); False where that cannot be done."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
