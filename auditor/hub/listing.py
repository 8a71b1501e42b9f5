"""The crawl: a union of queries, walked page by page over raw JSON, and resumable after every page.

The library's own generator ends at the first malformed entry and cannot be resumed (huggingface_hub issues
1817, 2894, 2741), so pages are walked here: each is stored as received, together with the link to the next,
before it is looked at. Only when the walk is over are the stored pages read, de-duplicated and written as
`listing.parquet`. A killed crawl therefore repeats at most one request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
from huggingface_hub.errors import HfHubHTTPError

from auditor.crash import crash_point
from auditor.errors import AuditorError, TransientError, UserError
from auditor.hub.bases import KNOWN_BASES
from auditor.hub.client import HubClient, transient
from auditor.hub.entries import MalformedEntry, entry_id, excerpt, identify, parse_entry
from auditor.hub.inventory import iter_listing, write_listing, write_quarantine
from auditor.hub.pages import PageStore, QueryProgress
from auditor.records.listing import CrawlReport, ListedRepo, QuarantinedEntry, QueryReport

EXPAND = (
    "sha",
    "lastModified",
    "createdAt",
    "tags",
    "pipeline_tag",
    "library_name",
    "cardData",
    "siblings",
    "gated",
    "private",
    "disabled",
    "downloads",
    "likes",
)
"""What one list request returns per repo: enough to plan everything without a request per repo."""

_READABLE_ATTEMPTS = 2

OnPage = Callable[[QueryReport], None]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of the union. Several filters mean AND; the union is our OR."""

    filters: tuple[str, ...] = ()
    author: str | None = None
    search: str | None = None

    @property
    def name(self) -> str:
        """How reports and `found_by` call it."""
        parts = [*self.filters]
        parts += [f"author={self.author}"] if self.author else []
        parts += [f"search={self.search}"] if self.search else []
        return "+".join(parts) or "everything"

    def url(self, endpoint: str, *, limit: int, newest_first: bool) -> str:
        """Return the first page's URL; creation order is immutable, so nothing moves while one pages."""
        pairs = [("filter", value) for value in self.filters]
        pairs += [("author", self.author)] if self.author else []
        pairs += [("search", self.search)] if self.search else []
        pairs += [("sort", "lastModified" if newest_first else "createdAt"), ("limit", str(limit))]
        pairs += [("expand", value) for value in EXPAND]
        return f"{endpoint}/api/models?{urlencode(pairs)}"


def default_queries(bases: Sequence[str] | None = None) -> tuple[Query, ...]:
    """Return the queries that together find almost every text-to-image adapter.

    Args:
        bases: Base repo ids whose adapters are wanted; None for every known base and its aliases.
    """
    filters: list[tuple[str, ...]] = [
        ("template:sd-lora",),
        ("lora", "text-to-image"),
        ("lora", "diffusers"),
        ("lora", "stable-diffusion"),
        ("lora", "stable-diffusion-xl"),
        ("lora", "flux"),
        ("peft", "text-to-image"),
    ]
    names = bases if bases is not None else [n for base in KNOWN_BASES for n in (base.repo_id, *base.aliases)]
    filters += [(f"base_model:adapter:{name}",) for name in names]
    return tuple(Query(filters=item) for item in filters)


def listing_path(state_dir: Path) -> Path:
    """Where a crawl leaves its listing."""
    return state_dir / "listing.parquet"


def quarantine_path(state_dir: Path) -> Path:
    """Where a crawl leaves the entries it could not read."""
    return state_dir / "quarantine.parquet"


def crawl(
    client: HubClient,
    queries: Sequence[Query],
    state_dir: Path,
    *,
    page_size: int = 1000,
    limit: int | None = None,
    since: str | None = None,
    dry_run: bool = False,
    on_page: OnPage | None = None,
) -> CrawlReport:
    """List the union of `queries` into `listing.parquet` and `quarantine.parquet`.

    An interrupted crawl of the same queries goes on where it stopped; a finished one starts anew. Trouble
    with one query (a deep page that stays 504) leaves it incomplete and the others unharmed; the next call
    takes it up again. An incomplete crawl never replaces the listing of a complete one.

    Args:
        client: The connection; its identity decides what is visible.
        queries: The union.
        state_dir: Holds pages, progress and the result.
        page_size: Entries per request (the Hub's maximum is 1,000).
        limit: Stop each query after about this many entries.
        since: ISO 8601, UTC: only repos modified later; earlier ones are carried over from the last listing.
        dry_run: Store nothing; say how many requests a crawl needs.
        on_page: Called after every stored page.
    """
    if not queries:
        raise UserError("No queries: give at least one filter or author to list.")
    started, before = time.monotonic(), client.requests
    walk = _Walk(client, page_size, limit, since, on_page)
    urls = [query.url(client.endpoint, limit=page_size, newest_first=since is not None) for query in queries]
    identity = "anonymous" if client.anonymous else "token"
    store = PageStore(state_dir, urls, salt=(identity, str(limit), since or ""))
    if dry_run:
        return _estimate(walk, store, queries, before)
    store.open()
    reports = [walk.run(query, number, store) for number, query in enumerate(queries)]
    report = _finish(store, queries, tuple(reports), state_dir, carry=since is not None)
    return replace(report, requests=client.requests - before, seconds=round(time.monotonic() - started, 3))


@dataclass(frozen=True, slots=True)
class _Walk:
    """How queries are walked."""

    client: HubClient
    page_size: int
    limit: int | None
    since: str | None
    on_page: OnPage | None

    def first_url(self, query: Query) -> str:
        limit = min(self.page_size, self.limit or self.page_size)
        return query.url(self.client.endpoint, limit=limit, newest_first=self.since is not None)

    def page(self, url: str) -> tuple[bytes, list[Any], str | None]:
        """Fetch one page: the body as received, its entries, and the next link."""
        for attempt in range(1, _READABLE_ATTEMPTS + 1):
            response = self.client.get(url)
            try:
                entries = response.json()
            except (ValueError, RecursionError):
                entries = None
            if isinstance(entries, list):
                return response.content, entries, self.client.next_page(response)
            if attempt < _READABLE_ATTEMPTS:
                time.sleep(self.client.retry.base_wait_s)
        raise TransientError("the answer is not a JSON list (a proxy's page, perhaps)")

    def run(self, query: Query, number: int, store: PageStore) -> QueryReport:
        """Walk one query to its end, or to the trouble that stops it."""
        progress = store.progress(number)
        while not progress.complete:
            resumed = progress.pages > 0
            try:
                body, entries, following = self.page(progress.next_url or self.first_url(query))
            except (HfHubHTTPError, httpx2.HTTPError, TransientError, OSError) as error:
                _raise_if_ours(error)
                if resumed and _cursor_expired(error) and not progress.restarted:
                    progress = store.restart(number)
                    continue
                progress = store.fail(number, _one_line(error))
                break
            done = following is None or self._enough(entries, progress.entries + len(entries))
            progress = store.add_page(number, body, len(entries), None if done else following)
            crash_point("crawl_page_stored")
            if self.on_page is not None:
                self.on_page(_query_report(query, progress))
        return _query_report(query, progress)

    def _enough(self, entries: list[Any], total: int) -> bool:
        if self.limit is not None and total >= self.limit:
            return True
        if self.since is None or not entries:
            return False
        oldest = entries[-1].get("lastModified") if isinstance(entries[-1], dict) else None
        return isinstance(oldest, str) and oldest < self.since


def _raise_if_ours(error: Exception) -> None:
    """A refused token is the user's to fix, and the same on every page."""
    response = error.response if isinstance(error, HfHubHTTPError) else None
    if response is not None and response.status_code in (401, 403):
        raise UserError(
            f"The Hub refuses to list for this identity ({response.status_code}). "
            "Check the token (`hf auth whoami`), or crawl without one."
        ) from error


def _cursor_expired(error: Exception) -> bool:
    response = error.response if isinstance(error, HfHubHTTPError) else None
    return response is not None and response.status_code in (400, 404, 410, 422)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return text if transient(error) or isinstance(error, AuditorError) else f"{type(error).__name__}: {text}"


def _query_report(query: Query, progress: QueryProgress) -> QueryReport:
    return QueryReport(query.name, progress.pages, progress.entries, progress.complete, progress.error)


def _estimate(walk: _Walk, store: PageStore, queries: Sequence[Query], before: int) -> CrawlReport:
    """From the last complete crawl when there was one; else one probe per query gives a lower bound."""
    known = store.last_page_counts()
    reports: list[QueryReport] = []
    if known is not None:
        reports = [QueryReport(query.name, pages, 0, False) for query, pages in zip(queries, known, strict=True)]
        return CrawlReport(tuple(reports), estimated_requests=sum(known), estimate_known=True)
    needed = 0
    for query in queries:
        try:
            _, entries, following = walk.page(walk.first_url(query))
        except (HfHubHTTPError, httpx2.HTTPError, TransientError, OSError) as error:
            _raise_if_ours(error)
            reports.append(QueryReport(query.name, 0, 0, False, _one_line(error)))
            needed += 1
            continue
        needed += 1 if following is None else 2
        reports.append(QueryReport(query.name, 1, len(entries), following is None))
    known_all = all(report.complete for report in reports)
    return CrawlReport(
        tuple(reports),
        requests=walk.client.requests - before,
        estimated_requests=needed,
        estimate_known=known_all,
    )


@dataclass(slots=True)
class _Best:
    """Where the newest entry of a repo stands, and which queries found it (a bit per query)."""

    modified: str
    page: int
    position: int
    queries: int


def _finish(
    store: PageStore,
    queries: Sequence[Query],
    reports: tuple[QueryReport, ...],
    state_dir: Path,
    *,
    carry: bool,
) -> CrawlReport:
    """Read the stored pages twice (find the newest entry per repo, then write it): memory stays small."""
    best: dict[str, _Best] = {}
    quarantined: list[QuarantinedEntry] = []
    entries = 0
    for page, (number, page_number, raw) in enumerate(store.pages()):
        for position, entry in enumerate(raw):
            entries += 1
            try:
                key = identify(entry)
            except MalformedEntry as error:
                quarantined.append(
                    QuarantinedEntry(
                        queries[number].name,
                        page_number,
                        position,
                        entry_id(entry),
                        str(error),
                        excerpt(entry),
                    )
                )
                continue
            found = best.get(key.repo_id)
            modified = key.last_modified or ""
            if found is None:
                best[key.repo_id] = _Best(modified, page, position, 1 << number)
                continue
            found.queries |= 1 << number
            if modified > found.modified:
                found.modified, found.page, found.position = modified, page, position

    report = CrawlReport(
        reports,
        entries=entries,
        repos=len(best),
        duplicates=entries - len(best) - len(quarantined),
        quarantined=len(quarantined),
    )
    path = listing_path(state_dir)
    if report.complete or not path.exists():
        carried = list(_carried(path, best)) if carry and path.exists() else []
        write_quarantine(quarantine_path(state_dir), quarantined)
        write_listing(path, _winners(store, queries, best, carried))
        report = replace(report, carried=len(carried))
    if report.complete:
        store.finish()
    return report


def _winners(
    store: PageStore, queries: Sequence[Query], best: dict[str, _Best], carried: Sequence[ListedRepo]
) -> Iterator[ListedRepo]:
    for page, (_, _, raw) in enumerate(store.pages()):
        for position, entry in enumerate(raw):
            repo_id = entry_id(entry)
            found = best.get(repo_id) if repo_id is not None else None
            if found is not None and (found.page, found.position) == (page, position):
                names = tuple(query.name for bit, query in enumerate(queries) if found.queries >> bit & 1)
                yield parse_entry(entry, found_by=names)
    yield from carried


def _carried(path: Path, best: dict[str, _Best]) -> Iterator[ListedRepo]:
    return (repo for repo in iter_listing(path) if repo.repo_id not in best)
