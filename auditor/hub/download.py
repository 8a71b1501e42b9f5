"""One file at its pinned commit: fetched once, proved by hash, kept by content.

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
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx2
from huggingface_hub import hf_hub_url

from auditor.crash import crash_point
from auditor.errors import ItemError, Refused, TransientError
from auditor.files import write_bytes
from auditor.hub.client import HubClient, same_origin
from auditor.hub.problems import hub_problems

DEFAULT_MAX_BYTES = 2 * 1024**3
_CHUNK_BYTES = 1 << 20
_MAX_REDIRECTS = 5
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_OID = re.compile(r"[0-9a-f]{40}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_STALE_PART_S = 24 * 3600.0
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
    if not _COMMIT.fullmatch(commit_sha):
        raise ValueError(f"commit_sha must be 40 hex digits, not {commit_sha!r}")
    cache = _Cache(cache_dir)
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
    if expected_sha256 is not None and _SHA256.fullmatch(remote.etag) and remote.etag != expected_sha256:
        raise Refused("hash_mismatch", f"{repo_id}/{path} is announced with another hash than when it was listed.")
    blob = cache.verified(remote.etag)
    if blob is None:
        blob = _download(client, cache, remote, repo_id, path, max_bytes)
    sha256 = blob.name
    cache.remember(repo_id, commit_sha, path, sha256)
    return FetchedFile(repo_id, commit_sha, path, sha256, blob.stat().st_size, blob, False)


def cached_sha256(cache_dir: Path, repo_id: str, commit_sha: str, path: str) -> str | None:
    """Content hash of a file that was fetched before, without any request."""
    return _Cache(cache_dir).lookup(repo_id, commit_sha, path)


def cached_file(cache_dir: Path, repo_id: str, commit_sha: str, path: str) -> tuple[str, int] | None:
    """(sha256, bytes) of a file that lies in the cache, without reading it through; None when it does not."""
    cache = _Cache(cache_dir)
    sha256 = cache.lookup(repo_id, commit_sha, path)
    size = cache.size(sha256) if sha256 is not None else None
    return None if sha256 is None or size is None else (sha256, size)


def has_content(cache_dir: Path, sha256: str) -> bool:
    """Whether bytes of this hash lie in the cache, whoever published them; not read through."""
    return _Cache(cache_dir).size(sha256) is not None


def drop_cached(cache_dir: Path, sha256: str) -> int:
    """Remove the bytes of a content from the cache; return how many were freed. What is known of it stays."""
    cache = _Cache(cache_dir)
    size = cache.size(sha256)
    if size is None:
        return 0
    cache.remove(sha256)
    return size


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
    if not _SHA256.fullmatch(etag) and not _GIT_OID.fullmatch(etag):
        raise ItemError("failed", "download_failed", f"{repo_id}/{path}: the Hub names no content hash to check.")
    size = response.headers.get("X-Linked-Size") or (None if location else response.headers.get("Content-Length"))
    return _Remote(target, etag, int(size) if size is not None and size.isdecimal() else None)


def _download(client: HubClient, cache: _Cache, remote: _Remote, repo_id: str, path: str, max_bytes: int) -> Path:
    """Download, resume, verify; once more from the start when the content is not what was announced."""
    for attempt in (1, 2):
        with cache.part(remote.etag) as part:
            with hub_problems(repo_id, path):
                _fill(client, remote, part, repo_id, path, max_bytes)
            sha256, git_oid = _hashes(part)
            if remote.etag in (sha256, git_oid):
                crash_point("download_complete")
                return cache.store(part, sha256)
            part.unlink()
        if attempt == 1:
            time.sleep(min(client.retry.base_wait_s, 1.0))
    raise Refused("hash_mismatch", f"{repo_id}/{path}: downloaded twice, and neither has the announced hash.")


def _fill(client: HubClient, remote: _Remote, part: Path, repo_id: str, path: str, max_bytes: int) -> None:
    """Bring `part` to its full length, resuming after cuts as long as attempts bring new bytes."""
    failures = 0
    # A server that drips is not given more than its share of time, however many attempts it feeds.
    deadline = time.monotonic() + client.answer_s + (remote.size or max_bytes) / _SLOWEST_BYTES_PER_S
    while True:
        part.touch()
        before = part.stat().st_size
        if remote.size is not None and before == remote.size:
            return
        if remote.size is not None and before > remote.size:
            before = 0  # a leftover of something else; not asking for a range starts it over
        try:
            ended = _append(client, remote, part, before, max_bytes, deadline)
        except _TooLong:
            part.unlink()
            _check_size(max_bytes + 1, max_bytes)
            raise
        except _CUT_SHORT:
            ended = False
            if failures >= client.retry.max_retries:
                raise
        after = part.stat().st_size
        if ended and (remote.size is None or after >= remote.size):
            return  # a body that ran on is no progress: the hash will not match
        failures = 0 if after > before else failures + 1
        if failures > client.retry.max_retries:
            message = f"{repo_id}/{path}: the download ends at byte {after:,} of {remote.size:,} every time."
            raise ItemError("failed", "download_failed", message)
        if failures:
            time.sleep(min(client.retry.base_wait_s * 2 ** (failures - 1), client.retry.max_wait_s))


class _TooLong(Exception):
    """The body runs past the cap although its announced size did not."""


def _append(client: HubClient, remote: _Remote, part: Path, first_byte: int, max_bytes: int, deadline: float) -> bool:
    """Append one response to `part`, or start it over when the server ignores Range. True: the body ended."""
    with client.stream(remote.location, first_byte=first_byte) as response:
        resumed = response.status_code == 206 and first_byte > 0
        cap = max_bytes if remote.size is None else remote.size
        written = first_byte if resumed else 0
        with part.open("ab" if resumed else "wb") as stream:
            for chunk in response.iter_bytes():  # as they arrive: a larger chunk would be lost in a cut
                written += len(chunk)
                client.count(0, len(chunk))
                if time.monotonic() > deadline:
                    raise TransientError(f"The download stands at byte {written:,} after its time. Try again later.")
                if written > cap and remote.size is None:
                    raise _TooLong
                stream.write(chunk)
                crash_point("download_begun")
                if written > cap:
                    return True  # longer than announced: the hash will not match
    return True


def _hashes(path: Path) -> tuple[str, str]:
    """Return (sha256, git blob id) of a file."""
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha256.update(chunk)
            git.update(chunk)
    return sha256.hexdigest(), git.hexdigest()


class _Cache:
    """The files on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _blob(self, sha256: str) -> Path:
        return self._root / "blobs" / sha256[:2] / sha256

    def _ref(self, repo_id: str, commit_sha: str, path: str) -> Path:
        key = hashlib.sha256(json.dumps([repo_id, commit_sha, path]).encode()).hexdigest()
        return self._root / "refs" / key[:2] / f"{key}.json"

    def lookup(self, repo_id: str, commit_sha: str, path: str) -> str | None:
        """Return the sha256 of a file that was fetched before."""
        try:
            data = json.loads(self._ref(repo_id, commit_sha, path).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        sha256 = data.get("sha256") if isinstance(data, dict) else None
        return sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else None

    def remember(self, repo_id: str, commit_sha: str, path: str, sha256: str) -> None:
        """Note which content a file has."""
        facts = {"repo_id": repo_id, "commit_sha": commit_sha, "path": path, "sha256": sha256}
        write_bytes(self._ref(repo_id, commit_sha, path), json.dumps(facts).encode())

    def verified(self, sha256: str) -> Path | None:
        """Return the blob after reading it through: a damaged one is removed, and fetched again."""
        if not _SHA256.fullmatch(sha256):
            return None
        blob = self._blob(sha256)
        try:
            if _hashes(blob)[0] == sha256:
                return blob
        except OSError:
            return None
        blob.unlink(missing_ok=True)
        return None

    def size(self, sha256: str) -> int | None:
        """Size of a blob in bytes; None when it is not there."""
        try:
            return self._blob(sha256).stat().st_size
        except OSError:
            return None

    def remove(self, sha256: str) -> None:
        """Remove a blob."""
        self._blob(sha256).unlink(missing_ok=True)

    def store(self, part: Path, sha256: str) -> Path:
        """Move a verified download to its place."""
        blob = self._blob(sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(part, blob)
        crash_point("download_stored")
        return blob

    @contextmanager
    def part(self, etag: str) -> Iterator[Path]:
        """Yield the file to download into: the resumable one, or a private one while that is taken."""
        folder = self._root / "parts"
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


def _sweep(folder: Path) -> None:
    """Remove what downloads of long ago have left."""
    oldest = time.time() - _STALE_PART_S
    for leftover in folder.iterdir():
        try:
            if leftover.stat().st_mtime < oldest:
                leftover.unlink()
        except OSError:
            continue
