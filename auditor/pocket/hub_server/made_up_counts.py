"""Counts and dates of repos that nobody uploaded."""

from __future__ import annotations

import hashlib


def made_up_counts(repo_id: str, fewer_downloads_than: int = 5000) -> dict[str, int | str]:
    """Downloads, likes and dates that a repo's name decides, by their names in `.hub.json`."""
    stamp = int(hashlib.sha256(repo_id.encode()).hexdigest()[:6], 16)
    return {
        "downloads": stamp % fewer_downloads_than,
        "likes": stamp % 40,
        "createdAt": "2026-01-05T08:00:00.000Z",
        "lastModified": f"2026-0{1 + stamp % 9}-1{stamp % 9}T08:00:00.000Z",
    }
