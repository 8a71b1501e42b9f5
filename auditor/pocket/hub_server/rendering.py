"""Repos and files as the JSON objects of the Hub's API (as read by huggingface_hub 2.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auditor.pocket.hub_server.files import RepoFile
from auditor.pocket.hub_server.index import Repo, object_id

LIST_FORBIDDEN = frozenset({"baseModels", "childrenModelCount", "usedStorage"})
"""Fields that only `model_info` may expand; a list request with one of them gets 400."""

_DEFAULT = frozenset({"private", "downloads", "likes", "tags", "pipeline_tag", "library_name", "createdAt"})
_FULL = _DEFAULT | {"author", "sha", "lastModified", "gated", "disabled", "siblings"}
_INFO = _FULL | {"cardData", "config", "widgetData", "model-index", "spaces", "usedStorage", "safetensors"}


def _siblings(repo: Repo) -> list[dict[str, Any]]:
    return [{"rfilename": path} for path in sorted(repo.files)]


def _base_models(repo: Repo) -> dict[str, Any] | None:
    for tag in repo.tags:
        kind, _, rest = tag.partition(":")
        relation, _, name = rest.partition(":")
        if kind == "base_model" and name:
            return {"relation": relation, "models": [{"_id": object_id(name), "id": name}]}
    return None


_FIELDS: dict[str, Callable[[Repo], Any]] = {
    "author": lambda repo: repo.id.partition("/")[0],
    "baseModels": _base_models,
    "cardData": lambda repo: repo.card,
    "childrenModelCount": lambda repo: 0,
    "config": lambda repo: {},
    "createdAt": lambda repo: repo.created_at,
    "disabled": lambda repo: repo.meta.disabled,
    "downloads": lambda repo: repo.meta.downloads,
    "downloadsAllTime": lambda repo: repo.meta.downloads,
    "evalResults": lambda repo: None,
    "gated": lambda repo: repo.meta.gated,
    "gguf": lambda repo: None,
    "inference": lambda repo: None,
    "inferenceProviderMapping": lambda repo: None,
    "lastModified": lambda repo: repo.last_modified,
    "library_name": lambda repo: repo.library_name,
    "likes": lambda repo: repo.meta.likes,
    "mask_token": lambda repo: None,
    "model-index": lambda repo: None,
    "pipeline_tag": lambda repo: repo.pipeline_tag,
    "private": lambda repo: repo.meta.private,
    "resourceGroup": lambda repo: None,
    "safetensors": lambda repo: dict(repo.meta.safetensors) if repo.meta.safetensors else None,
    "sha": lambda repo: repo.sha,
    "siblings": _siblings,
    "spaces": lambda repo: [],
    "tags": lambda repo: repo.tags,
    "transformersInfo": lambda repo: None,
    "trendingScore": lambda repo: 0,
    "usedStorage": lambda repo: sum(item.size for item in repo.files.values()),
    "widgetData": lambda repo: (repo.card or {}).get("widget"),
}
EXPANDABLE = frozenset(_FIELDS)


def entry_fields(expand: frozenset[str], *, full: bool, card: bool) -> frozenset[str]:
    """Return the fields of a list entry: those asked for, else the default or the full set."""
    if expand:
        return expand
    return (_FULL if full else _DEFAULT) | ({"cardData"} if card else frozenset())


def _render(repo: Repo, fields: frozenset[str]) -> dict[str, Any]:
    shown = ((name, _FIELDS[name](repo)) for name in sorted(fields))
    return {name: value for name, value in shown if value is not None}


def list_entry(repo: Repo, fields: frozenset[str]) -> dict[str, Any]:
    """Return one entry of a list, with the repo's programmed malformations."""
    entry = {"_id": repo.object_id, "id": repo.id, "modelId": repo.id, **_render(repo, fields)}
    entry.update(repo.meta.entry_patch)
    for name in repo.meta.entry_drop:
        entry.pop(name, None)
    return entry


def model_info(repo: Repo, sha: str, expand: frozenset[str], *, blobs: bool, security: bool) -> dict[str, Any]:
    """Return the object of `/api/models/{id}` at one commit."""
    info = {"_id": repo.object_id, "id": repo.id, "modelId": repo.id, **_render(repo, expand or _INFO)}
    files = repo.commits[sha]
    if not expand or "sha" in expand:
        info["sha"] = sha
    if not expand or "siblings" in expand or blobs:
        info["siblings"] = [_sibling(files[path], blobs) for path in sorted(files)]
    if security:
        issues = [{"path": path, "level": level} for path, level in sorted(repo.meta.security.items())]
        info["securityRepoStatus"] = {"scansDone": True, "filesWithIssues": issues}
    return info


def _sibling(item: RepoFile, blobs: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": item.path}
    if blobs:
        entry |= {"size": item.size, "blobId": item.git_oid}
        if item.lfs:
            entry["lfs"] = {"sha256": item.sha256, "size": item.size, "pointerSize": item.pointer_size}
    return entry


def tree_file(repo: Repo, item: RepoFile, expand: bool) -> dict[str, Any]:
    """Return a file as tree and paths-info show it (field names differ from `siblings`)."""
    entry: dict[str, Any] = {"type": "file", "oid": item.git_oid, "size": item.size, "path": item.path}
    if item.lfs:
        entry["lfs"] = {"oid": item.sha256, "size": item.size, "pointerSize": item.pointer_size}
    if expand:
        level = repo.meta.security.get(item.path, "safe")
        entry["lastCommit"] = last_commit(repo)
        entry["securityFileStatus"] = {
            "status": level,
            "avScan": {"virusFound": level == "unsafe", "virusNames": None},
            "pickleImportScan": None,
        }
    return entry


def tree_folder(repo: Repo, path: str, expand: bool) -> dict[str, Any]:
    """Return a folder as tree and paths-info show it."""
    entry: dict[str, Any] = {"type": "directory", "oid": repo.sha, "size": 0, "path": path}
    if expand:
        entry["lastCommit"] = last_commit(repo)
    return entry


def last_commit(repo: Repo) -> dict[str, Any]:
    """Return the newest commit in the short form that trees carry."""
    return {"id": repo.sha, "title": "Upload folder using huggingface_hub", "date": repo.last_modified}
