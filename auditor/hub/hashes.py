"""The hashes by which the Hub names commits and contents."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

SHA256 = re.compile(r"[0-9a-f]{64}")
"""Of a large file's content."""
GIT_HASH = re.compile(r"[0-9a-f]{40}")
"""Of a commit, or of a small text file."""
_CHUNK_BYTES = 1 << 20


def hashes_of(path: Path) -> tuple[str, str]:
    """Return (sha256, git blob id) of a file's content."""
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha256.update(chunk)
            git.update(chunk)
    return sha256.hexdigest(), git.hexdigest()
