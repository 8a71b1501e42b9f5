"""The routes of the pocket Hub: a parsed request in, a reply or a refusal out. No sockets here.

A path in a URL is only ever looked up in the index, never joined to a folder, so no spelling of `..`
reaches the disk.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from auditor.pocket.hub_server import rendering, replies
from auditor.pocket.hub_server.files import RepoFile
from auditor.pocket.hub_server.index import HubIndex, Repo
from auditor.pocket.hub_server.listing import Lister, Query, flag
from auditor.pocket.hub_server.replies import HubError, Reply, json_reply

TREE_PAGE = 1000
TREE_PAGE_EXPANDED = 50
GZIP_FROM_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token belongs to, and which gated or private repos it may read."""

    name: str
    may_read: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the routes see it."""

    method: str
    path: str  # still percent-encoded: a quoted slash is part of a segment
    query: Query
    form: Query = field(default_factory=dict)
    token: str | None = None
    accepts_gzip: bool = False


class HubApi:
    """All routes of the Hub's own origin."""

    def __init__(self, index: HubIndex, *, page_size: int, tokens: Mapping[str, Identity], cdn: str = "") -> None:
        self.index = index
        self.endpoint = ""
        self.cdn = cdn
        self._tokens = tokens
        self._lister = Lister(index, page_size)
        self._issued: dict[str, RepoFile] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Reply:
        """Answer any request; a refusal is a reply too."""
        try:
            return self._route(request)
        except HubError as error:
            return error.reply()

    def blob(self, sha256: str) -> RepoFile | None:
        """Return the content behind a CDN link, if the Hub has ever handed out that link."""
        return self._issued.get(sha256)

    def _route(self, request: Request) -> Reply:
        segments = [unquote(part) for part in request.path.split("/") if part]
        match segments:
            case ["api", "models"] if request.method == "GET":
                return self._lister.answer(
                    request.query, endpoint=self.endpoint, may_read=self._identity(request).may_read
                )
            case ["api", "whoami-v2"]:
                return self._whoami(request)
            case ["api", "models", owner, name, *_] if f"{owner}/{name}" in self.index.renamed:
                return self._moved(request, f"{owner}/{name}")
            case [owner, name, "resolve", *_] if f"{owner}/{name}" in self.index.renamed:
                return self._moved(request, f"{owner}/{name}")
            case ["api", "models", owner, name, *rest]:
                return self._model(request, self._visible(request, f"{owner}/{name}"), rest)
            case [owner, name, "resolve", revision, *path] if owner != "api":
                return self._resolve(request, self._visible(request, f"{owner}/{name}"), revision, "/".join(path))
        return json_reply({"error": "Sorry, we can't find the page you are looking for."}, status=404)

    def _moved(self, request: Request, old: str) -> Reply:
        """Redirect from a repo's former name, the rest of the address unchanged."""
        target = request.path.replace(f"/{old}", f"/{self.index.renamed[old]}", 1)
        pairs = [(name, value) for name, values in request.query.items() for value in values]
        query = f"?{urlencode(pairs)}" if pairs else ""
        return Reply(307, {"Location": f"{self.endpoint}{target}{query}"})

    def _identity(self, request: Request) -> Identity:
        if request.token is None:
            return Identity("anonymous")
        identity = self._tokens.get(request.token)
        if identity is None:
            raise HubError(401, None, "Invalid credentials in Authorization header")
        return identity

    def _whoami(self, request: Request) -> Reply:
        identity = self._identity(request)
        if request.token is None:
            raise HubError(401, None, "Invalid username or password.")
        auth = {"type": "access_token", "accessToken": {"displayName": "pocket", "role": "read"}}
        return json_reply({"type": "user", "name": identity.name, "orgs": [], "isPro": False, "auth": auth})

    def _visible(self, request: Request, repo_id: str) -> Repo:
        repo = self.index.repos.get(repo_id)
        if repo is None or (repo.meta.private and repo_id not in self._identity(request).may_read):
            raise replies.repo_not_found()
        if repo.meta.disabled:
            raise replies.disabled()
        return repo

    def _model(self, request: Request, repo: Repo, rest: list[str]) -> Reply:
        match [request.method, *rest]:
            case ["GET"]:
                return self._info(request, repo, repo.sha)
            case ["GET", "revision", revision]:
                return self._info(request, repo, _commit(repo, revision))
            case ["GET", "tree", revision, *path]:
                return self._tree(request, repo, _commit(repo, revision), "/".join(path))
            case ["POST", "paths-info", revision]:
                return self._paths_info(request, repo, _commit(repo, revision))
            case ["GET", "refs"]:
                branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.sha}
                return json_reply({"branches": [branch], "tags": [], "converts": [], "pullRequests": []})
            case ["GET", "commits", revision]:
                _commit(repo, revision)
                return json_reply([_commit_entry(repo, sha) for sha in reversed(repo.commits)])
        raise HubError(404, None, "Not Found")

    def _info(self, request: Request, repo: Repo, sha: str) -> Reply:
        query = request.query
        expand = frozenset(name for value in query.get("expand", ()) for name in value.split(",") if name)
        if unknown := sorted(expand - rendering.EXPANDABLE):
            raise HubError(400, None, f"Invalid value for `expand`: {', '.join(unknown)}")
        blobs, security = flag(query, "blobs"), flag(query, "securityStatus")
        return json_reply(rendering.model_info(repo, sha, expand, blobs=blobs, security=security))

    def _tree(self, request: Request, repo: Repo, sha: str, folder: str) -> Reply:
        expand = flag(request.query, "expand")
        items = _tree_items(repo, sha, folder, recursive=flag(request.query, "recursive"), expand=expand)
        if not items and folder:
            raise replies.entry_not_found(folder, sha)
        page = TREE_PAGE_EXPANDED if expand else TREE_PAGE
        start = _number(request.query, "cursor")
        headers = {}
        if start + page < len(items):
            pairs = [(name, value) for name, values in request.query.items() if name != "cursor" for value in values]
            following = urlencode([*pairs, ("cursor", start + page)])
            headers["Link"] = f'<{self.endpoint}{request.path}?{following}>; rel="next"'
        return json_reply(items[start : start + page], headers=headers)

    def _paths_info(self, request: Request, repo: Repo, sha: str) -> Reply:
        expand = flag(request.form, "expand")
        files = repo.commits[sha]
        found: list[dict[str, Any]] = []
        for path in request.form.get("paths", ()):
            path = path.strip("/")
            if path in files:
                found.append(rendering.tree_file(repo, files[path], expand))
            elif any(name.startswith(f"{path}/") for name in files):
                found.append(rendering.tree_folder(repo, path, expand))
        return json_reply(found)  # absent paths are left out, without an error

    def _resolve(self, request: Request, repo: Repo, revision: str, path: str) -> Reply:
        if request.method not in ("GET", "HEAD"):
            raise HubError(405, None, "Method Not Allowed")
        signed_in = request.token is not None
        if repo.meta.gated and repo.id not in self._identity(request).may_read:
            raise replies.gated(repo.id, signed_in=signed_in)
        sha = _commit(repo, revision)
        item = repo.commits[sha].get(path)
        if item is None:
            raise replies.entry_not_found(path, sha)
        headers = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if not item.lfs:
            return _git_file(item, {**headers, "ETag": f'"{item.etag}"'}, gzipped=request.accepts_gzip)
        with self._lock:
            self._issued[item.sha256] = item
        name = quote(path.rpartition("/")[2])
        headers |= {
            "X-Linked-Etag": f'"{item.sha256}"',
            "X-Linked-Size": str(item.size),
            "Location": f"{self.cdn}/blobs/{item.sha256}?filename={name}&signature=pocket",
        }
        return Reply(302, headers)


def _git_file(item: RepoFile, headers: dict[str, str], *, gzipped: bool) -> Reply:
    headers = {**headers, "Content-Type": "text/plain; charset=utf-8", "Vary": "Accept-Encoding"}
    if gzipped and item.size >= GZIP_FROM_BYTES:
        body = gzip.compress(item.read(), mtime=0)
        return Reply(200, {**headers, "Content-Encoding": "gzip"}, body)
    return Reply(200, headers, file=item)


def _commit(repo: Repo, revision: str) -> str:
    sha = repo.resolve(revision)
    if sha is None:
        raise replies.revision_not_found(revision)
    return sha


def _commit_entry(repo: Repo, sha: str) -> dict[str, Any]:
    short = rendering.last_commit(repo)
    author = {"user": repo.id.partition("/")[0]}
    return {**short, "id": sha, "message": "", "authors": [author]}


def _tree_items(repo: Repo, sha: str, folder: str, *, recursive: bool, expand: bool) -> list[dict[str, Any]]:
    """Folders and files below `folder`, in path order."""
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    files = repo.commits[sha]
    shown: dict[str, dict[str, Any]] = {}
    for path in sorted(files):
        if not path.startswith(prefix):
            continue
        parts = path[len(prefix) :].split("/")
        depth = len(parts) if recursive else 1
        for level in range(1, min(depth, len(parts) - 1) + 1):
            parent = prefix + "/".join(parts[:level])
            shown.setdefault(parent, rendering.tree_folder(repo, parent, expand))
        if len(parts) <= depth:
            shown[path] = rendering.tree_file(repo, files[path], expand)
    return [shown[path] for path in sorted(shown)]


def _number(query: Query, name: str) -> int:
    text = (query.get(name) or ["0"])[0]
    if not text.isdecimal():
        raise HubError(400, None, f"`{name}` must be a number")
    return int(text)


def parse_pairs(text: str) -> dict[str, Sequence[str]]:
    """Parse a query string or a form body."""
    return dict(parse_qs(text, keep_blank_values=True, max_num_fields=10_000))
