"""Keeps the download cache within its size: contents that no pending item needs make room, the oldest first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from auditor.hub.download_cache import FileCache


class CacheBudget:
    """Room in one cache folder, as one process sees it. Without a limit there is always room."""

    def __init__(self, cache_dir: Path, limit_bytes: int | None) -> None:
        self._cache = FileCache(cache_dir)
        self._limit = limit_bytes
        self._used = sum(content.size_bytes for content, _ in self._cache.contents()) if limit_bytes is not None else 0
        self._needed: set[str] = set()
        self._oldest: deque[str] | None = None
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

    def release(self, size_bytes: int) -> None:
        """Give back room that was reserved for a file that did not come."""
        with self._lock:
            self._used -= size_bytes

    def _evict(self, wanted_bytes: int) -> None:
        if self._oldest is None:
            # Looked up once: what comes later is needed, by this process or by the one that fetched it.
            self._oldest = deque(
                content.sha256 for content, _ in sorted(self._cache.contents(), key=lambda known: known[1])
            )
        freed = 0
        while self._oldest and freed < wanted_bytes:
            sha256 = self._oldest.popleft()
            if sha256 not in self._needed:
                freed += self._cache.remove(sha256)
        self._used -= freed
