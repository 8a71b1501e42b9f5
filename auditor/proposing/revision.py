"""Which weights are these? The content hash of a model folder, or the sha that a branch of the Hub led to."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_SHA = re.compile(r"[0-9a-f]{40}")


def folder_revision(folder: Path) -> str:
    """SHA-256 over names and bytes of every file that decides what the model answers."""
    # figures.json is a report beside our own models: it decides nothing.
    digest = hashlib.sha256()
    suffixes = (".json", ".jinja", ".safetensors", ".txt")
    for path in sorted(p for p in folder.iterdir() if p.suffix in suffixes and p.name != "figures.json"):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit sha, which no later push can move."""
    return _SHA.fullmatch(revision) is not None
