"""Repos that a complete listing no longer shows: asked about once, before anything is recorded as gone.

The Hub leaves no tombstones. A repo may have been deleted, made private, disabled, renamed (the old name
redirects), have lost the tag it was found by, or have been missed because the listing moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import httpx2
from huggingface_hub.errors import DisabledRepoError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from auditor.errors import TransientError
from auditor.hub.client import HubClient
from auditor.hub.listed_entries import MalformedEntry, parse_entry
from auditor.hub.queries import EXPAND
from auditor.records.listing import ListedRepo

MAX_CONFIRMATIONS = 500
"""Per crawl; more than that at once is more likely a listing gone wrong. The rest is kept and asked next time."""

Fate = Literal["gone", "renamed", "disabled", "present", "unknown", "known"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one missing repo, and the rows that stand for it in the listing."""

    fate: Fate
    rows: tuple[ListedRepo, ...]


def confirm(client: HubClient, missing: Iterable[ListedRepo], listed: frozenset[str]) -> Iterator[Verdict]:
    """Ask about each missing repo; what could not be asked stays as it was listed.

    Args:
        client: The connection, under the identity that listed.
        missing: Rows of the earlier listing that the new one lacks.
        listed: Ids of the new listing: where a renamed repo may already stand.
    """
    asked = 0
    for repo in missing:
        if repo.gone:
            yield Verdict("known", (repo,))
        elif asked >= MAX_CONFIRMATIONS:
            yield Verdict("unknown", (repo,))
        else:
            asked += 1
            yield _ask(client, repo, listed)


def _ask(client: HubClient, repo: ListedRepo, listed: frozenset[str]) -> Verdict:
    try:
        answer = client.get(f"{client.endpoint}/api/models/{repo.repo_id}", [("expand", name) for name in EXPAND])
        entry = answer.json()
    except DisabledRepoError:
        return Verdict("disabled", (replace(repo, disabled=True),))
    except GatedRepoError:
        return Verdict("present", (repo,))
    except RepositoryNotFoundError:
        return Verdict("gone", (replace(repo, gone=True),))
    except HfHubHTTPError as error:
        # Over plain http a bare 401 stays unnamed by the library; it means the same as on https.
        if error.response.status_code == 401 and client.anonymous:
            return Verdict("gone", (replace(repo, gone=True),))
        return Verdict("unknown", (repo,))
    except (httpx2.HTTPError, TransientError, OSError, ValueError, RecursionError):
        return Verdict("unknown", (repo,))
    return _present(repo, entry, listed)


def _present(repo: ListedRepo, entry: Any, listed: frozenset[str]) -> Verdict:
    """It is there: perhaps under another name, perhaps at another commit."""
    try:
        now = parse_entry(entry, found_by=repo.found_by)
    except MalformedEntry:
        return Verdict("unknown", (repo,))
    if now.repo_id == repo.repo_id:
        return Verdict("present", (now,))
    old = replace(repo, gone=True, renamed_to=now.repo_id)
    return Verdict("renamed", (old,) if now.repo_id in listed else (old, now))
