"""The Hub's refusals and the network's failures, as outcomes of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from auditor.errors import AuditorError, ItemError, PrerequisiteMissing, TransientError
from auditor.hub.refusals import status_of, transient

_BAD_TOKEN = re.compile(
    r"(?:invalid|expired|revoked|malformed)\b.{0,30}\b(?:credentials|token|password)"
    r"|\btoken\b.{0,30}\b(?:invalid|expired|revoked)",
    re.IGNORECASE,
)


@contextmanager
def hub_problems(repo_id: str, path: str | None) -> Iterator[None]:
    """Turn what a request about one repo raises into `ItemError` or `TransientError`."""
    try:
        yield
    except (HfHubHTTPError, httpx2.HTTPError, httpx2.InvalidURL, ConnectionError) as error:
        raise as_ours(error, repo_id, path) from error


def as_ours(error: Exception, repo_id: str, path: str | None) -> AuditorError:
    """Map one error; a gated repo first, because the library derives it from "not found"."""
    what = f"{repo_id}/{path}" if path else repo_id
    if isinstance(error, GatedRepoError):
        message = f"{repo_id} is gated: accept its terms on its page, then crawl with that account's token."
        return ItemError("skipped", "gated", message)
    if isinstance(error, DisabledRepoError):
        return ItemError("gone", "repo_disabled", f"The Hub has disabled {repo_id}.")
    if status_of(error) == 401 and _token_refused(error):  # before the next: the library takes a 401 for "not found"
        return PrerequisiteMissing(
            f"The Hub refuses the token (401) at {what}. Make a new read token, or unset HF_TOKEN."
        )
    if isinstance(error, RepositoryNotFoundError):
        return ItemError("gone", "repo_gone", f"{repo_id} no longer exists, or is private to this identity.")
    if isinstance(error, RevisionNotFoundError):
        return ItemError("gone", "file_gone", f"The listed commit of {repo_id} no longer exists.")
    if isinstance(error, EntryNotFoundError):
        return ItemError("gone", "file_gone", f"{what} does not exist at the listed commit.")
    if transient(error):
        return TransientError(f"{what}: the Hub could not be reached ({type(error).__name__}). Try again later.")
    status = status_of(error)
    if status == 407:
        return TransientError(f"{what}: the proxy asks for a password (407); set it in HTTPS_PROXY, then run again.")
    if status == 401:  # over plain http the library leaves it unnamed; it means the same as on https
        return ItemError("gone", "repo_gone", f"{repo_id} no longer exists, or is private to this identity.")
    if status == 451:
        return ItemError("gone", "repo_disabled", f"{what} is withheld for legal reasons (451).")
    hint = " A firewall or a block of this region, perhaps: it names no reason." if status == 403 else ""
    return ItemError("failed", "download_failed", f"{what}: the Hub answered {status or type(error).__name__}.{hint}")


def _token_refused(error: Exception) -> bool:
    """Whether a 401 is about the token that was sent, and not about the repo."""
    if not isinstance(error, HfHubHTTPError):
        return False
    said = f"{error.response.headers.get('X-Error-Message', '')} {error.response.text[:500]}"
    return "Authorization" in error.response.request.headers and _BAD_TOKEN.search(said) is not None
