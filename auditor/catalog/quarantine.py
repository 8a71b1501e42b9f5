"""Where result files go that cannot be believed, each with a note that says why."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

_NOTE = ".reason.txt"


def quarantine_folder(results_folder: Path) -> Path:
    """It lies beside the results."""
    return results_folder.with_name(f"{results_folder.name}-quarantine")


def set_aside(path: Path, quarantine: Path, reason: str) -> None:
    """Move a result file aside with a note. The note comes first, so that no file lies there unexplained."""
    quarantine.mkdir(parents=True, exist_ok=True)
    target = quarantine / f"{secrets.token_hex(4)}.{path.name}"
    target.with_name(target.name + _NOTE).write_text(reason + "\n", encoding="utf-8", errors="replace")
    with suppress(FileNotFoundError):  # a worker has just replaced it, or the user removed it
        os.replace(path, target)


def in_quarantine(quarantine: Path) -> list[tuple[str, str, str]]:
    """Name, reason and place of everything in quarantine."""
    notes = sorted(quarantine.glob(f"*{_NOTE}"))
    return [
        (
            note.name.removesuffix(_NOTE).partition(".")[2],
            note.read_text(encoding="utf-8", errors="replace").strip(),
            str(note.with_name(note.name.removesuffix(_NOTE))),
        )
        for note in notes
    ]
