"""The repos of a pocket Hub, in memory: what is on disk is read once, and again only on request."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditor.errors import UserError
from auditor.pocket.hub_server.card import front_matter
from auditor.pocket.hub_server.files import RepoFile, commit_sha, file_from_bytes, file_from_disk, walk_files

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}", re.ASCII)
SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RepoMeta:
    """What `.hub.json` may say; every field is optional there.

    Attributes:
        sha: 40 hex digits in place of the computed ones.
        lastModified: ISO 8601; else the newest file's time.
        createdAt: ISO 8601; else `lastModified`.
        gated: False, "auto" or "manual": listed for everyone, downloadable by accepted tokens.
        private: Invisible without an accepted token.
        disabled: Taken down: listed as such, and refused with the Hub's own words.
        security: Path → level ("unsafe", "caution"), as the Hub's scanners would report.
        entry_patch: Fields laid over the rendered list entry, to play a malformed one.
        entry_drop: Fields left out of the rendered list entry.
    """

    sha: str | None = None
    lastModified: str | None = None  # the API's own spelling, here and below
    createdAt: str | None = None
    tags: tuple[str, ...] = ()
    gated: Any = False
    private: bool = False
    disabled: bool = False
    downloads: int = 0
    likes: int = 0
    pipeline_tag: str | None = None
    library_name: str | None = None
    safetensors: Mapping[str, Any] | None = None
    security: Mapping[str, str] = field(default_factory=dict)
    entry_patch: Mapping[str, Any] = field(default_factory=dict)
    entry_drop: tuple[str, ...] = ()


def object_id(repo_id: str) -> str:
    """Return a stable stand-in for the database id that the API shows as `_id`."""
    return hashlib.sha1(repo_id.encode()).hexdigest()[:24]


@dataclass(slots=True)
class Repo:
    """One repo: its commits (the last one is `main`) and what the Hub computes about it."""

    id: str
    sha: str
    meta: RepoMeta
    commits: dict[str, dict[str, RepoFile]]
    card: dict[str, Any] | None
    tags: list[str]
    pipeline_tag: str | None
    library_name: str | None
    last_modified: str
    created_at: str
    folder: Path | None = None

    @property
    def files(self) -> dict[str, RepoFile]:
        """Files of the newest commit, by path."""
        return self.commits[self.sha]

    @property
    def object_id(self) -> str:
        """The 24 hex digits the API shows as `_id`."""
        return object_id(self.id)

    def resolve(self, revision: str) -> str | None:
        """Return the commit a branch name or sha stands for, or None."""
        if revision in ("main", "HEAD", "refs/heads/main"):
            return self.sha
        return revision if revision in self.commits else None


def read_meta(text: str, *, where: str) -> RepoMeta:
    """Parse a `.hub.json`; an unknown field is an error, so that a slip of the pen cannot go unnoticed."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where} is not JSON: {error}. Correct or remove it.") from error
    known = {item.name for item in fields(RepoMeta)}
    if not isinstance(data, dict) or not set(data) <= known:
        raise UserError(f"{where} must be an object with fields out of: {', '.join(sorted(known))}.")
    for name in ("tags", "entry_drop"):
        if name in data:
            data[name] = tuple(data[name])
    if data.get("sha") is not None and not SHA.fullmatch(str(data["sha"])):
        raise UserError(f"{where}: sha must be 40 lower-case hex digits.")
    return RepoMeta(**data)


def build_repo(
    repo_id: str,
    files: dict[str, RepoFile],
    meta: RepoMeta,
    *,
    modified: str,
    card: dict[str, Any] | None = None,
) -> Repo:
    """Compute what the Hub derives from the files: card (unless given), tags, library, task, commit sha."""
    readme = files.get("README.md")
    if card is None and readme is not None and readme.has_content:
        card = front_matter(readme.read().decode("utf-8", "replace"))
    claims = card or {}
    library = meta.library_name or _text(claims.get("library_name"))
    if library is None and "model_index.json" in files:
        library = "diffusers"
    pipeline_tag = meta.pipeline_tag or _text(claims.get("pipeline_tag"))
    last_modified = meta.lastModified or modified
    sha = meta.sha or commit_sha(files)
    return Repo(
        id=repo_id,
        sha=sha,
        meta=meta,
        commits={sha: files},
        card=card,
        tags=_hub_tags(claims, meta, library, pipeline_tag),
        pipeline_tag=pipeline_tag,
        library_name=library,
        last_modified=last_modified,
        created_at=meta.createdAt or last_modified,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and item]


def _hub_tags(card: dict[str, Any], meta: RepoMeta, library: str | None, pipeline_tag: str | None) -> list[str]:
    """Card tags first, then those that the Hub computes (base_model, license, region, library, task)."""
    own = [*meta.tags, *_texts(card.get("tags"))]
    bases = [base for base in _texts(card.get("base_model")) if REPO_ID.fullmatch(base)]
    relation = _text(card.get("base_model_relation"))
    if relation is None:
        relation = "adapter" if library == "peft" or "lora" in own else "finetune"
    tags = [*([library] if library else []), *([pipeline_tag] if pipeline_tag else []), *own]
    for base in bases:
        tags += [f"base_model:{base}", f"base_model:{relation}:{base}"]
    tags += [f"license:{name}" for name in _texts(card.get("license"))]
    tags.append("region:us")
    return list(dict.fromkeys(tags))


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def load_repo(repo_id: str, folder: Path) -> Repo:
    """Read one repo folder."""
    meta_file = folder / ".hub.json"
    meta = RepoMeta()
    if meta_file.is_file():
        meta = read_meta(meta_file.read_text("utf-8"), where=str(meta_file))
    files = {path: file_from_disk(path, on_disk) for path, on_disk in walk_files(folder)}
    newest = max((item.on_disk.stat().st_mtime for item in files.values() if item.on_disk), default=0.0)
    repo = build_repo(repo_id, files, meta, modified=_iso(newest))
    repo.folder = folder
    return repo


def synthetic_repo(
    repo_id: str, files: Mapping[str, bytes | int], *, card: dict[str, Any] | None = None, **meta: Any
) -> Repo:
    """Build a repo that exists only in memory.

    Args:
        repo_id: `owner/name`.
        files: Path → content, or path → size for a file that is listed but has no content.
        card: Used as `cardData` in place of a README.
        **meta: Fields of `RepoMeta`.
    """
    built: dict[str, RepoFile] = {}
    for path, content in files.items():
        if isinstance(content, bytes):
            built[path] = file_from_bytes(path, content)
        else:
            digest = hashlib.sha256(f"{repo_id}\0{path}".encode()).hexdigest()
            built[path] = RepoFile(path, content, digest, digest[:40], True)
    return build_repo(repo_id, built, RepoMeta(**meta), modified="2024-01-01T00:00:00.000Z", card=card)


class HubIndex:
    """All repos by id, with a version that moves on every change (cached listings hang on it)."""

    def __init__(self, repos: Iterable[Repo] = ()) -> None:
        self.repos: dict[str, Repo] = {}
        self.renamed: dict[str, str] = {}
        self.version = 0
        self._lock = threading.Lock()
        self.add(repos)

    @classmethod
    def from_folder(cls, root: Path, mounts: Mapping[str, Path] | None = None) -> HubIndex:
        """Read `<root>/<owner>/<name>/`, plus single folders mounted under a repo id of their own."""
        if not root.is_dir():
            raise UserError(f"{root} is not a folder. Give a folder laid out as <owner>/<name>/files.")
        folders = {f"{path.parent.name}/{path.name}": path for path in sorted(root.glob("*/*")) if path.is_dir()}
        folders = {name: path for name, path in folders.items() if REPO_ID.fullmatch(name)}
        folders.update(mounts or {})
        for name in folders:
            if not REPO_ID.fullmatch(name):
                raise UserError(f"{name!r} is not a repo id of the form owner/name.")
        return cls(load_repo(name, path) for name, path in folders.items())

    def add(self, repos: Iterable[Repo]) -> None:
        """Add or replace repos."""
        with self._lock:
            for repo in repos:
                self.repos[repo.id] = repo
            self.version += 1

    def remove(self, repo_id: str) -> None:
        """Delete a repo: it vanishes without a tombstone, as on the Hub."""
        with self._lock:
            self.repos.pop(repo_id)
            self.version += 1

    def rename(self, old: str, new: str) -> None:
        """Move a repo: the old name redirects, as on the Hub."""
        with self._lock:
            repo = self.repos.pop(old)
            repo.id = new
            self.repos[new] = repo
            self.renamed[old] = new
            self.version += 1

    def commit(self, repo_id: str, changes: Mapping[str, bytes | None], *, modified: str) -> str:
        """Add a commit (None deletes a path); earlier commits stay readable by their sha.

        The change lives in memory: the folder the server was started on is never written to.
        """
        with self._lock:
            old = self.repos[repo_id]
            files = dict(old.files)
            for path, content in changes.items():
                if content is None:
                    files.pop(path)
                else:
                    files[path] = file_from_bytes(path, content)
            kept = {item.name: getattr(old.meta, item.name) for item in fields(RepoMeta)}
            meta = RepoMeta(**{**kept, "sha": None, "lastModified": modified, "createdAt": old.created_at})
            card = None if "README.md" in changes else old.card
            new = build_repo(repo_id, files, meta, modified=modified, card=card)
            new.commits = {**old.commits, **new.commits}
            new.folder = old.folder
            self.repos[repo_id] = new
            self.version += 1
            return new.sha

    def change(self, repo_id: str, **meta: Any) -> None:
        """Change fields of a repo's `RepoMeta` (gate it, disable it, ...); files and commits stay."""
        with self._lock:
            old = self.repos[repo_id]
            kept = {item.name: getattr(old.meta, item.name) for item in fields(RepoMeta)}
            changed = RepoMeta(**{**kept, **meta})
            new = build_repo(repo_id, old.files, changed, modified=old.last_modified, card=old.card)
            new.commits = {**old.commits, new.sha: old.files}
            new.folder = old.folder
            self.repos[repo_id] = new
            self.version += 1
