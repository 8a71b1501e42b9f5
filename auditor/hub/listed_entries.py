"""One raw list entry → `ListedRepo`. A malformed entry raises `MalformedEntry`, never anything else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from auditor.errors import AuditorError
from auditor.hub.hashes import GIT_HASH
from auditor.hub.model_cards import card_json, clean_text, clean_texts, read_card
from auditor.records.listing import ListedFile, ListedRepo

MAX_TAGS = 1_000
MAX_FILES = 20_000
MAX_PATH_CHARS = 1_024
EXCERPT_CHARS = 300
_REPO_ID = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)


class MalformedEntry(AuditorError):
    """The entry lacks what identifies a repo, or holds what cannot be one."""


@dataclass(frozen=True, slots=True)
class EntryKey:
    """What tells entries apart: whose they are, and which is newer."""

    repo_id: str
    commit_sha: str
    last_modified: str | None


def identify(entry: object) -> EntryKey:
    """Check all that can make an entry unusable; `parse_entry` succeeds on every entry that passes."""
    if not isinstance(entry, dict):
        raise MalformedEntry(f"the entry is a {type(entry).__name__}, not an object")
    repo_id = entry_id(entry)
    if repo_id is None:
        raise MalformedEntry("no usable id")
    sha = entry.get("sha")
    if not isinstance(sha, str) or not GIT_HASH.fullmatch(sha):
        raise MalformedEntry("no commit sha: without it nothing can be pinned")
    siblings = entry.get("siblings")
    if siblings is not None and not isinstance(siblings, list):
        raise MalformedEntry(f"siblings is a {type(siblings).__name__}, not a list")
    if siblings is not None and len(siblings) > MAX_FILES:
        raise MalformedEntry(f"{len(siblings)} files, more than the {MAX_FILES} that are read")
    for sibling in siblings or ():
        _check_path(sibling.get("rfilename") if isinstance(sibling, dict) else None)
    return EntryKey(repo_id, sha, _timestamp(entry.get("lastModified")))


def parse_entry(entry: Any, *, found_by: tuple[str, ...] = ()) -> ListedRepo:
    """Read one entry of `/api/models`.

    Identity (id, commit sha, file names) must be right; the rest may be missing or of any type.
    """
    key = identify(entry)
    tags = clean_texts(entry.get("tags"), MAX_TAGS)
    card = read_card(entry.get("cardData"), tags)
    paths = [sibling["rfilename"] for sibling in entry.get("siblings") or ()]
    return ListedRepo(
        repo_id=key.repo_id,
        commit_sha=key.commit_sha,
        last_modified=key.last_modified,
        created_at=_timestamp(entry.get("createdAt")),
        tags=tags,
        pipeline_tag=clean_text(entry.get("pipeline_tag")),
        library_name=clean_text(entry.get("library_name")),
        license=card.license,
        base_models=card.base_models,
        base_claims=tuple(claim.text for claim in card.base_claims),
        base_relation=card.base_relation,
        instance_prompt=card.instance_prompt,
        triggers=card.triggers,
        gated=_gated(entry.get("gated")),
        private=entry.get("private") is True,
        disabled=entry.get("disabled") is True,
        downloads=_count(entry.get("downloads")),
        likes=_count(entry.get("likes")),
        nsfw=card.nsfw,
        files=tuple(ListedFile(path) for path in dict.fromkeys(paths)),
        found_by=found_by,
        card_json=card_json(entry.get("cardData")),
    )


def entry_id(entry: object) -> str | None:
    """Return the repo id of an entry, if it has a usable one."""
    repo_id = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(repo_id, str) or not _REPO_ID.fullmatch(repo_id) or ".." in repo_id:
        return None
    return repo_id


def excerpt(entry: object) -> str:
    """Return the start of the raw JSON, printable, for the quarantine record."""
    try:
        return json.dumps(entry)[:EXCERPT_CHARS]
    except (TypeError, ValueError, RecursionError):
        return f"<{type(entry).__name__}>"


def _check_path(path: object) -> None:
    """Any name that can be written down is kept: judging it is the selection's job, and leaves a record."""
    if not isinstance(path, str) or not 0 < len(path) <= MAX_PATH_CHARS:
        raise MalformedEntry(f"a file name is not text of 1 to {MAX_PATH_CHARS} characters")
    if not path.isascii() and any("\ud800" <= char <= "\udfff" for char in path):
        raise MalformedEntry("a file name is not valid Unicode")


def _timestamp(value: object) -> str | None:
    """Return the time as ISO 8601 in UTC to the second, so that texts compare as times do."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value[:40])
        if parsed.year < 1970:
            return None
        parsed = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
        return parsed.strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return None


def _gated(value: object) -> Literal["auto", "manual"] | None:
    if value in (None, False):
        return None
    return "manual" if value == "manual" else "auto"


def _count(value: object) -> int:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value != value:
        return 0
    return int(min(max(value, 0), 2**62))
