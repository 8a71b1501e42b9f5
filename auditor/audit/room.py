"""Keeps the download cache within its size: contents that no pending item needs make room, the oldest first."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from auditor.hub.download import drop_cached


class CacheRoom:
    """Room in one cache folder, as one process sees it. Without a limit there is always room."""

    def __init__(self, cache_dir: Path, limit_bytes: int | None) -> None:
        self._folder = cache_dir
        self._limit = limit_bytes
        self._used = sum(size for _, size, _ in self._blobs()) if limit_bytes is not None else 0
        self._needed: set[str] = set()
        self._lock = threading.Lock()

    def protect(self, sha256s: Iterable[str]) -> None:
        """Name contents that must stay."""
        self._needed.update(sha256s)

    def keep(self, sha256: str, beyond_bytes: int) -> None:
        """Protect a content that has just come, and count what it weighs beyond what was reserved for it."""
        with self._lock:
            self._needed.add(sha256)
            self._used += beyond_bytes

    def reserve(self, size_bytes: int) -> bool:
        """Take room for a file, evicting what is not needed; False when it does not fit."""
        if self._limit is None:
            return True
        with self._lock:
            if self._used + size_bytes > self._limit:
                self._evict(self._used + size_bytes - self._limit)
            if self._used + size_bytes > self._limit:
                return False
            self._used += size_bytes
            return True

    def _evict(self, wanted_bytes: int) -> None:
        freed = 0
        for sha256, _, _ in sorted(self._blobs(), key=lambda blob: blob[2]):
            if freed >= wanted_bytes:
                break
            if sha256 not in self._needed:
                freed += drop_cached(self._folder, sha256)
        self._used -= freed

    def _blobs(self) -> list[tuple[str, int, float]]:
        """(sha256, bytes, time of the download) of everything in the cache."""
        found = []
        for path in (self._folder / "blobs").glob("*/*"):
            try:
                about = path.stat()
            except OSError:
                continue
            found.append((path.name, about.st_size, about.st_mtime))
        return found
