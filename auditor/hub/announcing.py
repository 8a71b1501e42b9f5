"""What a Hub says of a file before its download: where the bytes are, how many, and their hash."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx2
from huggingface_hub import hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

from auditor.errors import ItemError, TransientError
from auditor.hub.client import HubClient
from auditor.hub.facts import ask_facts
from auditor.hub.problems import hub_problems
from auditor.hub.refusals import status_of
from auditor.hub.session import same_origin

_MAX_REDIRECTS = 5
_HASH = re.compile(r'(?:W/)?"?([0-9a-f]{64}|[0-9a-f]{40})(?![0-9a-f])')
"""A content hash at the start of an ETag; a proxy that packs answers appends words of its own."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What the Hub says of a file. `etag`: sha256, or the git blob id of a small text file."""

    location: str
    etag: str
    size: int | None


def announced(
    client: HubClient, repo_id: str, path: str, commit_sha: str, expected_sha256: str | None = None
) -> Announced:
    """Ask for a file's facts. A redirect within the Hub (a renamed repo) is followed, one to a CDN is the answer.

    Args:
        client: The connection.
        repo_id: `owner/name`.
        path: Path inside the repo.
        commit_sha: 40 hex digits.
        expected_sha256: Content hash known from planning: stands in for the ETag that a mirror drops.

    Raises:
        ItemError: `gated`, `repo_gone`, `file_gone`, `repo_disabled`, `download_failed`.
        TransientError: The network or the Hub is in trouble.
    """
    url = hf_hub_url(repo_id, path, revision=commit_sha, endpoint=client.endpoint)
    with hub_problems(repo_id, path):
        for _ in range(_MAX_REDIRECTS):
            response = _head(client, url, repo_id)
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
    found = _HASH.match(response.headers.get("X-Linked-Etag") or response.headers.get("ETag") or "")
    etag = found[1] if found else expected_sha256 or _listed_hash(client, repo_id, path, commit_sha)
    size = response.headers.get("X-Linked-Size")
    return Announced(target, etag, int(size) if size is not None and size.isdecimal() else None)


def _head(client: HubClient, url: str, repo_id: str) -> httpx2.Response:
    """HEAD. A bare 401 may be a repo that is gone, private or gated; the repo's own page tells which."""
    try:
        return client.head(url)
    except HfHubHTTPError as error:
        bare = status_of(error) == 401 and "X-Error-Code" not in error.response.headers
        if bare and client.anonymous and _is_gated(client, repo_id):
            raise GatedRepoError(f"{repo_id} is gated", response=error.response) from error
        raise


def _is_gated(client: HubClient, repo_id: str) -> bool:
    try:
        entry: Any = client.get(f"{client.endpoint}/api/models/{repo_id}", [("expand", "gated")]).json()
    except (HfHubHTTPError, ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and entry.get("gated") in (True, "auto", "manual")


def _listed_hash(client: HubClient, repo_id: str, path: str, commit_sha: str) -> str:
    """The hash that the file tree names, for mirrors whose answers carry no ETag."""
    for known in ask_facts(client, repo_id, commit_sha, [path]):
        if known.sha256 is not None:
            return known.sha256
    message = (
        f"{repo_id}/{path}: the Hub names no content hash to check: no ETag, and none in the file tree. "
        "A mirror or proxy that drops headers? Set hub.endpoint to one that keeps them."
    )
    raise ItemError("failed", "download_failed", message)
