"""Sizes and content hashes of files at a commit: learned once, kept beside the downloads, read by every plan.

A listing names files only. What a file weighs and hashes to is told by a request about its repo, or by its
download. Each process appends to a file of its own, one JSON line per fact, so that nobody waits for anybody and
a killed process loses a line at most.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from auditor.common.atomic_files import named
from auditor.errors import TransientError
from auditor.hub.client import HubClient
from auditor.hub.hashes import SHA256
from auditor.hub.problems import hub_problems

_PATHS_PER_REQUEST = 50
"""The Hub's limit where it is asked what its scanners say."""

FactKey = tuple[str, str, str]
"""repo_id, commit sha, path."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One file at its commit.

    Attributes:
        size_bytes: Of its content.
        sha256: Of its content; None where only a download will tell.
        scan: What the Hub's scanners say: safe, unsafe, suspicious, caution, queued; None when nobody asked.
    """

    path: str
    size_bytes: int
    sha256: str | None = None
    scan: str | None = None


class FileFacts:
    """What is known of files, in memory; what is learned goes to disk with `save`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[FactKey, KnownFile] = {}
        self._new: list[str] = []
        for path in sorted(folder.glob("*.jsonl")):
            self._read(path)

    def get(self, repo_id: str, commit_sha: str, path: str) -> KnownFile | None:
        """What is known of a file; None for nothing."""
        return self._known.get((repo_id, commit_sha, path))

    def learn(self, repo_id: str, commit_sha: str, files: Iterable[KnownFile]) -> None:
        """Note sizes and hashes. What the scanners said stays, when a download has nothing to say about it."""
        for item in files:
            key = (repo_id, commit_sha, item.path)
            old = self._known.get(key)
            if old is not None and item.scan is None:
                item = replace(item, scan=old.scan)
            if old != item:
                self._known[key] = item
                self._new.append(json.dumps([*key, item.size_bytes, item.sha256, item.scan], ensure_ascii=True))

    def save(self) -> None:
        """Write what was learned since the last call, as one new file."""
        if not self._new:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        final = self._folder / f"{uuid.uuid4().hex}.jsonl"
        temporary = final.with_suffix(".tmp")
        with named(final):
            temporary.write_text("\n".join(self._new) + "\n", encoding="utf-8")
        temporary.replace(final)
        self._new.clear()

    def _read(self, path: Path) -> None:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    repo_id, commit_sha, name, size, sha256, scan = json.loads(line)
                except (ValueError, TypeError):
                    continue  # a torn line: learned anew
                if isinstance(size, int):
                    self._known[repo_id, commit_sha, name] = KnownFile(name, size, sha256, scan)


def ask_facts(client: HubClient, repo_id: str, commit_sha: str, paths: Iterable[str]) -> tuple[KnownFile, ...]:
    """Ask for the chosen files' sizes, hashes (of LFS files) and scans: a request per 50; absent paths are left out.

    Raises:
        ItemError: The repo is gone, gated or disabled.
        TransientError: The Hub could not be asked.
    """
    asked = list(dict.fromkeys(paths))
    found: dict[str, KnownFile] = {}
    for start in range(0, len(asked), _PATHS_PER_REQUEST):
        found |= _ask(client, repo_id, commit_sha, asked[start : start + _PATHS_PER_REQUEST])
    return tuple(found[path] for path in asked if path in found)


def _ask(client: HubClient, repo_id: str, commit_sha: str, paths: list[str]) -> dict[str, KnownFile]:
    url = f"{client.endpoint}/api/models/{repo_id}/paths-info/{quote(commit_sha, safe='')}"
    with hub_problems(repo_id, None):
        response = client.post(url, {"paths": paths, "expand": "true"})
    try:
        answer: Any = response.json()
    except (ValueError, RecursionError) as error:
        raise TransientError(f"The Hub's answer about the files of {repo_id} is not JSON.") from error
    found: dict[str, KnownFile] = {}
    for item in answer if isinstance(answer, list) else []:
        if not isinstance(item, dict) or item.get("type") != "file":
            continue
        path, size = item.get("path"), item.get("size")
        if isinstance(path, str) and isinstance(size, int) and size >= 0:
            lfs = item.get("lfs")
            oid = lfs.get("oid") if isinstance(lfs, dict) else None
            status = item.get("securityFileStatus")
            scan = status.get("status") if isinstance(status, dict) else None
            known = scan if isinstance(scan, str) and len(scan) < 20 else None
            found[path] = KnownFile(path, size, oid if _is_sha256(oid) else None, known)
    return found


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and SHA256.fullmatch(value) is not None
