"""One file at its pinned commit: fetched once, resumed after cuts, proved by hash."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx2
from huggingface_hub import hf_hub_url

from auditor.crash import crash_point
from auditor.errors import ItemError, Refused, TransientError
from auditor.hub.cache import FileCache
from auditor.hub.client import HubClient, same_origin
from auditor.hub.hashes import GIT_HASH, SHA256, hashes_of
from auditor.hub.problems import hub_problems

DEFAULT_MAX_BYTES = 2 * 1024**3
_MAX_REDIRECTS = 5
_SLOWEST_BYTES_PER_S = 50_000
_CUT_SHORT = (httpx2.TransportError, httpx2.StreamError)


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


@dataclass(frozen=True, slots=True)
class _Remote:
    """What the Hub says of a file beforehand. `etag`: sha256, or the git blob id of a small text file."""

    location: str
    etag: str
    size: int | None


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
    with hub_problems(repo_id, path):
        remote = _ask(client, repo_id, path, commit_sha)
    if remote.size is not None:
        _check_size(remote.size, max_bytes)
    if expected_sha256 is not None and SHA256.fullmatch(remote.etag) and remote.etag != expected_sha256:
        raise Refused("hash_mismatch", f"{repo_id}/{path} is announced with another hash than when it was listed.")
    blob = cache.verified(remote.etag)
    if blob is None:
        blob = _Transfer(client, repo_id, path, remote, max_bytes).run(cache)
    sha256 = blob.name
    cache.remember(repo_id, commit_sha, path, sha256)
    return FetchedFile(repo_id, commit_sha, path, sha256, blob.stat().st_size, blob, False)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        message = f"It has {size:,} bytes, more than the {max_bytes:,} that are downloaded."
        raise ItemError("skipped", "too_large", message)


def _ask(client: HubClient, repo_id: str, path: str, commit_sha: str) -> _Remote:
    """HEAD the file; a redirect within the Hub (a renamed repo) is followed, one to a CDN is the answer."""
    url = hf_hub_url(repo_id, path, revision=commit_sha, endpoint=client.endpoint)
    for _ in range(_MAX_REDIRECTS):
        response = client.head(url)
        location = response.headers.get("Location")
        target = urljoin(url, location) if location else url
        if location is None or not same_origin(target, client.endpoint):
            break
        url = target
    else:
        raise TransientError(f"{repo_id}/{path}: more than {_MAX_REDIRECTS} redirects.")
    served = response.headers.get("X-Repo-Commit")
    if served is not None and served != commit_sha:
        raise ItemError("gone", "file_gone", f"The Hub answers for commit {served[:12]} instead of the listed one.")
    etag = (response.headers.get("X-Linked-Etag") or response.headers.get("ETag") or "").removeprefix("W/").strip('"')
    if not SHA256.fullmatch(etag) and not GIT_HASH.fullmatch(etag):
        raise ItemError("failed", "download_failed", f"{repo_id}/{path}: the Hub names no content hash to check.")
    size = response.headers.get("X-Linked-Size") or (None if location else response.headers.get("Content-Length"))
    return _Remote(target, etag, int(size) if size is not None and size.isdecimal() else None)


@dataclass(frozen=True, slots=True)
class _Transfer:
    """The download of one file."""

    client: HubClient
    repo_id: str
    path: str
    remote: _Remote
    max_bytes: int

    def run(self, cache: FileCache) -> Path:
        """Download, resume, verify; once more from the start when the content is not what was announced."""
        name, etag = f"{self.repo_id}/{self.path}", self.remote.etag
        for attempt in (1, 2):
            with cache.part(etag) as part:
                with hub_problems(self.repo_id, self.path):
                    self._fill(part)
                sha256, git_hash = hashes_of(part)
                if etag in (sha256, git_hash):
                    crash_point("download_complete")
                    return cache.store(part, sha256)
                part.unlink()
            if attempt == 1:
                time.sleep(min(self.client.retry.base_wait_s, 1.0))
        raise Refused("hash_mismatch", f"{name}: downloaded twice, and neither has the announced hash.")

    def _fill(self, part: Path) -> None:
        """Bring `part` to its full length, resuming after cuts as long as attempts bring new bytes."""
        size, retry = self.remote.size, self.client.retry
        failures = 0
        # A server that drips is not given more than its share of time, however many attempts it feeds.
        deadline = time.monotonic() + self.client.answer_s + (size or self.max_bytes) / _SLOWEST_BYTES_PER_S
        while True:
            part.touch()
            before = part.stat().st_size
            if size is not None and before == size:
                return
            if size is not None and before > size:
                before = 0  # a leftover of something else; not asking for a range starts it over
            ended = False
            try:
                self._append(part, before, deadline)
                ended = True
            except _CUT_SHORT:
                if failures >= retry.max_retries:
                    raise
            after = part.stat().st_size
            if ended and (size is None or after >= size):
                return  # a body that ran on is no progress: the hash will not match
            failures = 0 if after > before else failures + 1
            if failures > retry.max_retries:
                message = f"{self.repo_id}/{self.path}: the download ends at byte {after:,} of {size:,} every time."
                raise ItemError("failed", "download_failed", message)
            if failures:
                time.sleep(min(retry.base_wait_s * 2 ** (failures - 1), retry.max_wait_s))

    def _append(self, part: Path, first_byte: int, deadline: float) -> None:
        """Append one response to `part`, or start it over when the server ignores Range."""
        size = self.remote.size
        with self.client.stream(self.remote.location, first_byte=first_byte) as response:
            resumed = response.status_code == 206 and first_byte > 0
            written = first_byte if resumed else 0
            with part.open("ab" if resumed else "wb") as stream:
                for chunk in response.iter_bytes():  # as they arrive: a larger chunk would be lost in a cut
                    written += len(chunk)
                    self.client.count(0, len(chunk))
                    if time.monotonic() > deadline:
                        raise TransientError(
                            f"The download stands at byte {written:,} after its time. Try again later."
                        )
                    if size is None and written > self.max_bytes:
                        part.unlink()
                        message = f"It announces no size, and runs past the {self.max_bytes:,} bytes of the limit."
                        raise ItemError("skipped", "too_large", message)
                    stream.write(chunk)
                    crash_point("download_begun")
                    if size is not None and written > size:
                        return  # longer than announced: the hash will not match
