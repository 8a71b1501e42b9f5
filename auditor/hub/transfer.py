"""The bytes of one file: resumed after cuts, from a fresh address where one has expired, proved by hash."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub.errors import HfHubHTTPError

from auditor.common.atomic_files import named
from auditor.common.crash_points import crash_point
from auditor.errors import ItemError, Refused, TransientError
from auditor.hub.announcing import Announced, announced
from auditor.hub.client import HubClient
from auditor.hub.download_cache import FileCache
from auditor.hub.hashes import hashes_of
from auditor.hub.problems import hub_problems
from auditor.hub.refusals import is_retried, status_of
from auditor.hub.session import same_origin

_SLOWEST_BYTES_PER_S = 50_000
_CUT_SHORT = (httpx2.TransportError, httpx2.StreamError)


@dataclass(slots=True)
class Transfer:
    """The download of one file."""

    client: HubClient
    repo_id: str
    path: str
    commit_sha: str
    remote: Announced
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
        failures, furthest = 0, -1
        # A server that drips is not given more than its share of time, however many attempts it feeds.
        deadline = time.monotonic() + self.client.answer_s + (size or self.max_bytes) / _SLOWEST_BYTES_PER_S
        while True:
            part.touch()
            before = part.stat().st_size
            if size is not None and before == size:
                return
            if size is not None and before > size:
                before = 0  # a leftover of something else; not asking for a range starts it over
            furthest = max(furthest, before)
            ended = False
            try:
                self._append(part, before, deadline)
                ended = True
            except _CUT_SHORT:
                if failures >= retry.max_retries:
                    raise
            except HfHubHTTPError as error:
                if failures >= retry.max_retries or not self._recover(error, part, before):
                    raise
            after = part.stat().st_size
            if ended and (size is None or after >= size):
                return  # a body that ran on is no progress: the hash will not match
            failures = 0 if after > furthest else failures + 1
            if failures > retry.max_retries:
                message = f"{self.repo_id}/{self.path}: the download ends at byte {after:,} of {size:,} every time."
                raise ItemError("failed", "download_failed", message)
            if failures:
                time.sleep(retry.pause(failures))

    def _recover(self, error: HfHubHTTPError, part: Path, first_byte: int) -> bool:
        """Do what a refusal of the bytes asks for; False when nothing can be done about it."""
        status = status_of(error)
        if status == 416 and first_byte:
            part.write_bytes(b"")  # no such range: what is there may be whole, or of something else
            return True
        expired = status is not None and not is_retried(status) and status != 416
        if expired and (status == 403 or not same_origin(self.remote.location, self.client.endpoint)):
            # A CDN's addresses are signed for a while; 403 is the usual word for one that has run out, also where a
            # mirror serves them itself.
            self.remote = announced(self.client, self.repo_id, self.path, self.commit_sha, self.remote.etag)
            return True
        return False

    def _append(self, part: Path, first_byte: int, deadline: float) -> None:
        """Append one response to `part`, or start it over when the server ignores Range."""
        size = self.remote.size
        with self.client.stream(self.remote.location, first_byte=first_byte) as response:
            resumed = response.status_code == 206 and first_byte > 0
            written = first_byte if resumed else 0
            with named(part), part.open("ab" if resumed else "wb") as stream:
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
