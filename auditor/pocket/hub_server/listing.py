"""`GET /api/models`: selection, order, and pages whose cursor survives repos that move while one pages."""

from __future__ import annotations

import base64
import binascii
import bisect
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from auditor.pocket.hub_server.index import HubIndex, Repo
from auditor.pocket.hub_server.rendering import EXPANDABLE, LIST_FORBIDDEN, entry_fields, list_entry
from auditor.pocket.hub_server.replies import HubError, Reply, json_reply

MAX_PAGE = 1000
_CACHED_SELECTIONS = 16

Query = Mapping[str, Sequence[str]]
SortKey = tuple[Any, str]


class Lister:
    """Answers list requests; the last few selections are kept, sorted, for the pages that follow."""

    def __init__(self, index: HubIndex, page_size: int) -> None:
        self._index = index
        self._page_size = min(page_size, MAX_PAGE)
        self._cache: OrderedDict[str, tuple[list[SortKey], list[Repo]]] = OrderedDict()

    def answer(self, query: Query, *, endpoint: str, may_read: frozenset[str]) -> Reply:
        """Return one page of entries, with a `Link` to the next when there is one."""
        fields = requested_fields(query)
        keys, repos = self._selection(query, may_read)
        start = _cursor_position(query, keys)
        size = _page_size(query, self._page_size)
        page = repos[start : start + size]
        headers = {}
        if start + size < len(repos):
            headers["Link"] = f'<{_next_url(endpoint, query, keys[start + size - 1])}>; rel="next"'
        return json_reply([list_entry(repo, fields) for repo in page], headers=headers)

    def _selection(self, query: Query, may_read: frozenset[str]) -> tuple[list[SortKey], list[Repo]]:
        wanted = {name: sorted(values) for name, values in query.items() if name in _SELECTORS}
        sort = (query.get("sort") or ["trendingScore"])[0]
        key = json.dumps([self._index.version, wanted, sort, sorted(may_read)], sort_keys=True)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        chosen = [repo for repo in list(self._index.repos.values()) if _selected(repo, wanted, may_read)]
        pairs = sorted(((_sort_key(repo, sort), repo) for repo in chosen), key=lambda pair: pair[0])
        selection = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        self._cache[key] = selection
        while len(self._cache) > _CACHED_SELECTIONS:
            self._cache.popitem(last=False)
        return selection


_SELECTORS = frozenset({"filter", "author", "search", "pipeline_tag", "gated"})


def requested_fields(query: Query) -> frozenset[str]:
    """Turn `expand`, `full` and `cardData` into the set of fields to show."""
    expand = frozenset(name for value in query.get("expand", ()) for name in value.split(",") if name)
    refused = sorted(name for name in expand if name not in EXPANDABLE or name in LIST_FORBIDDEN)
    if refused:
        raise HubError(400, None, f"Invalid value for `expand`: {', '.join(refused)}")
    return entry_fields(expand, full=flag(query, "full"), card=flag(query, "cardData"))


def flag(query: Query, name: str) -> bool:
    """Whether a switch of a query is on."""
    return (query.get(name) or ["false"])[0].lower() in ("true", "1")


def _selected(repo: Repo, wanted: Mapping[str, Sequence[str]], may_read: frozenset[str]) -> bool:
    if repo.meta.private and repo.id not in may_read:
        return False
    if any(value not in repo.tags for value in wanted.get("filter", ())):
        return False
    if any(repo.id.partition("/")[0] != author for author in wanted.get("author", ())):
        return False
    if any(text.lower() not in repo.id.lower() for text in wanted.get("search", ())):
        return False
    if any(repo.pipeline_tag != tag for tag in wanted.get("pipeline_tag", ())):
        return False
    return all(bool(repo.meta.gated) == (value == "true") for value in wanted.get("gated", ()))


class _Newest(str):
    """Text that sorts in descending order."""

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)

    def __gt__(self, other: str) -> bool:
        return str.__lt__(self, other)


def _sort_key(repo: Repo, sort: str) -> SortKey:
    """Newest, most downloaded, most liked first; ties by id, so that a page boundary is unambiguous."""
    if sort == "lastModified":
        return _Newest(repo.last_modified), repo.id
    if sort == "createdAt":
        return _Newest(repo.created_at), repo.id
    if sort == "likes":
        return -repo.meta.likes, repo.id
    if sort in ("downloads", "trendingScore"):
        return -repo.meta.downloads, repo.id
    raise HubError(400, None, f"Invalid value for `sort`: {sort}")


def _page_size(query: Query, default: int) -> int:
    text = (query.get("limit") or [""])[0]
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise HubError(400, None, "`limit` must be a positive integer")
    return min(int(text), default)


def _cursor_position(query: Query, keys: list[SortKey]) -> int:
    """Return the first index after the cursor; entries that moved since do not shift it."""
    text = (query.get("cursor") or [""])[0]
    if not text:
        return 0
    try:
        value, repo_id = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (ValueError, TypeError, binascii.Error) as error:
        raise HubError(400, None, "Invalid cursor") from error
    return bisect.bisect_right(keys, (_Newest(value) if isinstance(value, str) else value, repo_id))


def _next_url(endpoint: str, query: Query, last: SortKey) -> str:
    cursor = base64.urlsafe_b64encode(json.dumps([last[0], last[1]]).encode()).decode()
    pairs = [(name, value) for name, values in query.items() if name != "cursor" for value in values]
    return f"{endpoint}/api/models?{urlencode([*pairs, ('cursor', cursor)])}"
