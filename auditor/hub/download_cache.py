"""Downloaded files on disk, kept by content.

The cache is ours, not the library's: a repo's paths are hostile text and never become paths here.

    <cache>/blobs/ab/abcd...      the bytes, named by their sha256
    <cache>/refs/12/1234....json  (repo, commit, path) → sha256, so that a known file costs no request
    <cache>/parts/...             unfinished downloads, resumed by the next attempt
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from auditor.common.atomic_files import sync, write_bytes
from auditor.common.crash_points import crash_point
from auditor.hub.hashes import SHA256, hashes_of

_STALE_PART_S = 24 * 3600.0


class CachedContent(NamedTuple):
    """Bytes in the cache; not read through."""

    sha256: str
    size_bytes: int


class FileCache:
    """One cache folder; may be shared by processes and hosts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def lookup(self, repo_id: str, commit_sha: str, path: str) -> str | None:
        """Return the sha256 of a file that was fetched before; its bytes may be gone."""
        try:
            data = json.loads(self._ref(repo_id, commit_sha, path).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        sha256 = data.get("sha256") if isinstance(data, dict) else None
        return sha256 if isinstance(sha256, str) and SHA256.fullmatch(sha256) else None

    def remember(self, repo_id: str, commit_sha: str, path: str, sha256: str) -> None:
        """Note which content a file has."""
        facts = {"repo_id": repo_id, "commit_sha": commit_sha, "path": path, "sha256": sha256}
        write_bytes(self._ref(repo_id, commit_sha, path), json.dumps(facts).encode())

    def find(self, repo_id: str, commit_sha: str, path: str) -> CachedContent | None:
        """Return what lies here of a file; None when it was not fetched, or its bytes are gone."""
        sha256 = self.lookup(repo_id, commit_sha, path)
        size = self.size(sha256) if sha256 is not None else None
        return None if sha256 is None or size is None else CachedContent(sha256, size)

    def size(self, sha256: str) -> int | None:
        """Bytes of a content, whoever published it; None when it is not here."""
        try:
            return self._blob(sha256).stat().st_size
        except OSError:
            return None

    def verified(self, sha256: str) -> Path | None:
        """Return the bytes of a content after reading them through; damaged ones are removed, and fetched again."""
        if not SHA256.fullmatch(sha256):
            return None
        blob = self._blob(sha256)
        try:
            if hashes_of(blob)[0] == sha256:
                return blob
        except OSError:
            return None
        blob.unlink(missing_ok=True)
        return None

    def contents(self) -> Iterator[tuple[CachedContent, float]]:
        """Everything that lies here, with the time of its download."""
        for blob in (self._folder / "blobs").glob("*/*"):
            try:
                about = blob.stat()
            except OSError:
                continue
            yield CachedContent(blob.name, about.st_size), about.st_mtime

    def remove(self, sha256: str) -> int:
        """Remove the bytes of a content; return how many were freed. What is known of it stays."""
        freed = self.size(sha256) or 0
        self._blob(sha256).unlink(missing_ok=True)
        return freed

    def store(self, part: Path, sha256: str) -> Path:
        """Move a verified download to its place."""
        blob = self._blob(sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        sync(part)
        os.replace(part, blob)
        crash_point("download_stored")
        return blob

    @contextmanager
    def part(self, etag: str) -> Iterator[Path]:
        """Yield the file to download into: the resumable one, or a private one while that is taken."""
        folder = self._folder / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with (folder / f"{etag}.lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # held by another process, or a file system without locks
                private = folder / f"{etag}.{uuid.uuid4().hex}.part"
                try:
                    yield private
                finally:
                    private.unlink(missing_ok=True)
                return
            yield folder / f"{etag}.part"

    def _blob(self, sha256: str) -> Path:
        return self._folder / "blobs" / sha256[:2] / sha256

    def _ref(self, repo_id: str, commit_sha: str, path: str) -> Path:
        key = hashlib.sha256(json.dumps([repo_id, commit_sha, path]).encode()).hexdigest()
        return self._folder / "refs" / key[:2] / f"{key}.json"


@cache
def _sweep(folder: Path) -> None:
    """Remove what downloads of long ago have left; once per process, since a prefetch leaves a lock for every file."""
    oldest = time.time() - _STALE_PART_S
    for leftover in folder.iterdir():
        try:
            if leftover.stat().st_mtime < oldest:
                leftover.unlink()
        except OSError:
            continue
