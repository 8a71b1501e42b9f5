"""One file at its pinned commit: fetched once, resumed after cuts, proved by hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auditor.common.atomic_files import gone_with_its_disk
from auditor.errors import ItemError, Refused, TransientError
from auditor.hub.announcing import announced
from auditor.hub.client import HubClient
from auditor.hub.download_cache import FileCache
from auditor.hub.hashes import GIT_HASH, SHA256
from auditor.hub.transfer import Transfer
from auditor.records.result import WorkItem

DEFAULT_MAX_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A verified file.

    Attributes:
        local_path: Where the bytes are; named by content hash, without a suffix.
        from_cache: No request was made.
    """

    repo_id: str
    commit_sha: str
    path: str
    sha256: str
    size_bytes: int
    local_path: Path
    from_cache: bool


def fetch(
    client: HubClient | None,
    repo_id: str,
    path: str,
    *,
    commit_sha: str,
    cache_dir: Path,
    max_bytes: int = DEFAULT_MAX_BYTES,
    expected_sha256: str | None = None,
) -> FetchedFile:
    """Return one file of a repo at one commit, downloading it at most once.

    Args:
        client: The connection; None for a machine without one, which lives on what was fetched before.
        repo_id: `owner/name`.
        path: Path inside the repo, as listed.
        commit_sha: 40 hex digits. A branch name is refused: its content moves.
        cache_dir: Root of the cache; may be shared by processes and hosts.
        max_bytes: A larger file is not downloaded.
        expected_sha256: Content hash known from planning, when there is one.

    Raises:
        ItemError: `gated`, `repo_gone`, `file_gone`, `repo_disabled`, `too_large`, `download_failed`.
        Refused: `hash_mismatch`: two downloads, and neither is what was announced.
        TransientError: The network or the Hub is in trouble; what came so far is kept for the next attempt.
    """
    if not GIT_HASH.fullmatch(commit_sha):
        raise ValueError(f"commit_sha must be 40 hex digits, not {commit_sha!r}")
    cache = FileCache(cache_dir)
    known = cache.lookup(repo_id, commit_sha, path)
    if known is None and expected_sha256 is not None and cache.verified(expected_sha256) is not None:
        known = expected_sha256
        cache.remember(repo_id, commit_sha, path, known)
    if known is not None and (blob := cache.verified(known)) is not None:
        _check_size(blob.stat().st_size, max_bytes)
        return FetchedFile(repo_id, commit_sha, path, known, blob.stat().st_size, blob, True)

    if client is None:
        raise TransientError(f"{repo_id}/{path} was not prefetched, and this run is offline. Run: auditor prefetch")
    remote = announced(client, repo_id, path, commit_sha, expected_sha256)
    if remote.size is not None:
        _check_size(remote.size, max_bytes)
    if expected_sha256 is not None and SHA256.fullmatch(remote.etag) and remote.etag != expected_sha256:
        raise Refused("hash_mismatch", f"{repo_id}/{path} is announced with another hash than when it was listed.")
    blob = cache.verified(remote.etag)
    if blob is None:
        blob = Transfer(client, repo_id, path, commit_sha, remote, max_bytes).run(cache)
    sha256 = blob.name
    cache.remember(repo_id, commit_sha, path, sha256)
    return FetchedFile(repo_id, commit_sha, path, sha256, blob.stat().st_size, blob, False)


def fetch_item(client: HubClient | None, item: WorkItem, path: str, *, cache_dir: Path, max_bytes: int) -> FetchedFile:
    """`fetch` for a file of a work item: its own, whose hash may be known, or one of its companions."""
    expected = item.file_sha256 if path == item.path else None
    with gone_with_its_disk(cache_dir / "blobs"):
        return fetch(
            client,
            item.repo_id,
            path,
            commit_sha=item.commit_sha,
            cache_dir=cache_dir,
            max_bytes=max_bytes,
            expected_sha256=expected,
        )


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        message = f"It has {size:,} bytes, more than the {max_bytes:,} that are downloaded."
        raise ItemError("skipped", "too_large", message)
