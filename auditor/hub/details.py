"""Sizes and content hashes of chosen files, which a listing does not name.

One `paths-info` request per repo, for the chosen files only, and never twice for the same commit: answers are
kept on disk by (repo, commit). `fetch` does not need this; planning does, where the same bytes in fifty repos
should be audited once, or where a byte budget is to be shown before anything is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from auditor.errors import TransientError
from auditor.files import write_bytes
from auditor.hub.client import HubClient
from auditor.hub.problems import hub_problems
from auditor.records.listing import ListedFile

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PATHS_PER_REQUEST = 500


def file_details(
    client: HubClient, repo_id: str, commit_sha: str, paths: Sequence[str], *, cache_dir: Path
) -> tuple[ListedFile, ...]:
    """Return the chosen files with size and, for LFS files, sha256; absent paths are left out.

    Raises:
        ItemError: The repo is gone, gated or disabled.
        TransientError: The Hub could not be asked.
    """
    key = hashlib.sha256(f"{repo_id}@{commit_sha}".encode()).hexdigest()
    cache = cache_dir / "details" / key[:2] / f"{key}.json"
    known = _read(cache)
    missing = [path for path in dict.fromkeys(paths) if path not in known]
    if missing:
        for start in range(0, len(missing), _PATHS_PER_REQUEST):
            asked = missing[start : start + _PATHS_PER_REQUEST]
            found = _ask(client, repo_id, commit_sha, asked)
            known |= {path: found.get(path) for path in asked}
        write_bytes(cache, json.dumps(known).encode())
    facts = ((path, known[path]) for path in dict.fromkeys(paths))
    return tuple(ListedFile(path, fact[0], fact[1]) for path, fact in facts if fact is not None)


def _read(cache: Path) -> dict[str, Any]:
    try:
        data = json.loads(cache.read_text("utf-8"))
        return data if isinstance(data, dict) else {}
    except (OSError, ValueError):
        return {}


def _ask(client: HubClient, repo_id: str, commit_sha: str, paths: list[str]) -> dict[str, tuple[int, str | None]]:
    url = f"{client.endpoint}/api/models/{repo_id}/paths-info/{quote(commit_sha, safe='')}"
    with hub_problems(repo_id, None):
        response = client.post(url, {"paths": paths, "expand": "false"})
    try:
        answer = response.json()
    except ValueError as error:
        raise TransientError(f"The Hub's answer about the files of {repo_id} is not JSON.") from error
    found: dict[str, tuple[int, str | None]] = {}
    for item in answer if isinstance(answer, list) else []:
        if not isinstance(item, dict) or item.get("type") != "file":
            continue
        path, size = item.get("path"), item.get("size")
        if isinstance(path, str) and isinstance(size, int) and size >= 0:
            found[path] = (size, _sha256(item.get("lfs")))
    return found


def _sha256(lfs: object) -> str | None:
    oid = lfs.get("oid") if isinstance(lfs, dict) else None
    return oid if isinstance(oid, str) and _SHA256.fullmatch(oid) else None
