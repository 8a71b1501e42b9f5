"""The crawl: a union of queries, walked page by page over raw JSON, and resumable after every page.

The library's own generator ends at the first malformed entry and cannot be resumed (huggingface_hub issues
1817, 2894, 2741), so pages are walked here: each is stored as received, together with the link to the next,
before it is looked at. Only when the walk is over are the stored pages read, de-duplicated and written as
`listing.parquet`. A killed crawl therefore repeats at most one request.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub.errors import HfHubHTTPError

from auditor.common.crash_points import crash_point
from auditor.errors import AuditorError, PrerequisiteMissing, TransientError, UserError
from auditor.hub.client import HubClient
from auditor.hub.gc_pause import gc_paused
from auditor.hub.history import FinishedCrawl, Mode, read_history, remember, stamp
from auditor.hub.pace import least_seconds, quota
from auditor.hub.pages import PageStore, QueryProgress
from auditor.hub.paging import Pager
from auditor.hub.queries import Query
from auditor.hub.refusals import status_of, transient
from auditor.hub.union import ListingUnion, listing_path, write_union
from auditor.records.listing import CrawlReport, QueryReport

_GUESSED_SECONDS_PER_REQUEST = 1.0

OnPage = Callable[[QueryReport], None]


def crawl_key(
    client: HubClient, queries: Sequence[Query], *, source: str | None = None, limit: int | None = None
) -> str:
    """Return a key of what is asked, where, and as whom: crawls with the same key continue each other.

    Args:
        client: Gives endpoint and identity.
        queries: The union.
        source: Stands for the endpoint where that changes from run to run.
        limit: As in `crawl`.
    """
    facts = [source or client.endpoint, identity_of(client), limit, [query.name for query in queries]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def identity_of(client: HubClient) -> str:
    """As whom a client lists: `anonymous` or `token`."""
    return "anonymous" if client.anonymous else "token"


@dataclass(frozen=True, slots=True)
class CrawlOptions:
    """What a crawl lists, and how.

    Attributes:
        page_size: Entries per request (the Hub's maximum is 1,000).
        limit: Stop each query after about this many entries.
        since: ISO 8601, UTC: only repos modified later; earlier ones are carried over from the last listing.
        source: Name of the place in the crawl's state; the endpoint unless given.
        dry_run: Store nothing; say what a crawl needs.
    """

    page_size: int = 1000
    limit: int | None = None
    since: str | None = None
    source: str | None = None
    dry_run: bool = False


def crawl(
    client: HubClient,
    queries: Sequence[Query],
    state_dir: Path,
    options: CrawlOptions | None = None,
    *,
    on_page: OnPage | None = None,
) -> CrawlReport:
    """List the union of `queries` into `listing.parquet` and `quarantine.parquet`.

    An interrupted crawl of the same queries goes on where it stopped; a finished one starts anew. Trouble
    with one query (a deep page that stays 504) leaves it incomplete and the others unharmed; the next call
    takes it up again. An incomplete crawl never replaces the listing of a complete one. Repos that a complete
    full crawl misses, although the last one of the same questions had them, are asked about one by one.

    Args:
        client: The connection; its identity decides what is visible.
        queries: The union.
        state_dir: Holds pages, progress and the result.
        options: What is listed, and how; everything unless given.
        on_page: Called after every stored page.
    """
    if not queries:
        raise UserError("No queries: give at least one filter or author to list.")
    started, requests, received = time.monotonic(), client.requests, client.received
    options = options or CrawlOptions()
    since = options.since
    walk = _Walk(client, Pager(client), options, on_page)
    key = crawl_key(client, queries, source=options.source, limit=options.limit)
    if options.dry_run:
        return _estimate(walk, queries, state_dir, key)
    urls = [query.url("", limit=options.page_size, newest_first=since is not None) for query in queries]
    store = PageStore(state_dir, urls, salt=(key, since or ""))
    store.open()
    reports = tuple(walk.run(query, number, store) for number, query in enumerate(queries))
    before = read_history(state_dir).last("full", key)
    with gc_paused():
        union = ListingUnion.of(store, [query.name for query in queries])
    report = replace(union.report(reports), since=since, identity=identity_of(client))
    if report.complete or not listing_path(state_dir).exists():
        continues = report.complete and before is not None
        with gc_paused():
            report = write_union(client, union, state_dir, report, carry=since is not None, reconcile=continues)
    report = replace(
        report,
        requests=client.requests - requests,
        received=client.received - received,
        seconds=round(time.monotonic() - started, 3),
    )
    if report.complete:
        _finish(store, state_dir, key, union.newest, report)
    return report


def _finish(store: PageStore, state_dir: Path, key: str, newest: str | None, report: CrawlReport) -> None:
    """Note what a complete crawl took, for the next one and its estimate. Its pages stay until that one begins."""
    mode: Mode = "full" if report.since is None else "incremental"
    pages = tuple(query.pages for query in report.queries)
    stored = sum(store.progress(number).received for number in range(len(pages)))
    remember(state_dir, mode, FinishedCrawl(key, stamp(datetime.now(UTC)), newest, pages, stored, report.seconds))
    store.finish()


@dataclass(frozen=True, slots=True)
class _Walk:
    """How queries are walked."""

    client: HubClient
    pager: Pager
    options: CrawlOptions
    on_page: OnPage | None

    def first_url(self, query: Query) -> str:
        limit = min(self.options.page_size, self.options.limit or self.options.page_size)
        return query.url("", limit=limit, newest_first=self.options.since is not None)

    def run(self, query: Query, number: int, store: PageStore) -> QueryReport:
        """Walk one query to its end, or to the trouble that stops it."""
        progress = store.progress(number)
        while not progress.complete:
            resumed = progress.pages > 0
            try:
                page = self.pager.page(progress.next_url or self.first_url(query), first=not resumed)
            except (HfHubHTTPError, httpx2.HTTPError, TransientError, OSError) as error:
                _raise_if_ours(error, self.client)
                if resumed and _cursor_expired(error) and not progress.restarted:
                    progress = store.restart(number)
                    continue
                progress = store.fail(number, _one_line(error))
                break
            enough = self._enough(page.entries, progress.entries + len(page.entries))
            following, trouble = (None, None) if enough else (page.following, page.trouble)
            progress = store.add_page(number, page.body, len(page.entries), following, error=trouble)
            crash_point("crawl_page_stored")
            if self.on_page is not None:
                self.on_page(_query_report(query, progress))
            if trouble is not None:
                break
        return _query_report(query, progress)

    def _enough(self, entries: list[Any], total: int) -> bool:
        if self.options.limit is not None and total >= self.options.limit:
            return True
        if self.options.since is None or not entries:
            return False
        oldest = entries[-1].get("lastModified") if isinstance(entries[-1], dict) else None
        return isinstance(oldest, str) and oldest < self.options.since


def _raise_if_ours(error: Exception, client: HubClient) -> None:
    """A refused token is the user's to fix, and the same on every page."""
    status = status_of(error)
    if status == 401 and client.anonymous:
        raise PrerequisiteMissing(f"{client.endpoint} lists nothing for strangers (401). Set HF_TOKEN.") from error
    if status in (401, 403) and not client.anonymous:
        raise UserError(
            f"The Hub refuses to list for this token ({status}). "
            "Check it (`hf auth whoami`), or crawl without one: unset HF_TOKEN."
        ) from error


def _cursor_expired(error: Exception) -> bool:
    return status_of(error) in (400, 404, 410, 422)


def _one_line(error: Exception) -> str:
    if status_of(error) == 403:
        return "403 on the listing: a firewall's or region's block, perhaps; later pages wait for the next run"
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return text if transient(error) or isinstance(error, AuditorError) else f"{type(error).__name__}: {text}"


def _query_report(query: Query, progress: QueryProgress) -> QueryReport:
    return QueryReport(query.name, progress.pages, progress.entries, progress.complete, progress.error)


def _estimate(walk: _Walk, queries: Sequence[Query], state_dir: Path, key: str) -> CrawlReport:
    """From the last complete crawl of the kind when there was one; else one probe per query gives a lower bound."""
    known = read_history(state_dir).last("full" if walk.options.since is None else "incremental", key)
    base = CrawlReport((), since=walk.options.since, identity=identity_of(walk.client))
    if known is not None:
        reports = [QueryReport(query.name, n, 0, False) for query, n in zip(queries, known.pages, strict=True)]
        pages = sum(known.pages)
        seconds = _seconds(walk.client, pages, known.seconds / pages)
        return replace(
            base,
            queries=tuple(reports),
            estimated_requests=pages,
            estimated_seconds=seconds,
            estimated_bytes=known.received,
            estimate_known=True,
        )
    return _probed(walk, queries, base)


def _probed(walk: _Walk, queries: Sequence[Query], base: CrawlReport) -> CrawlReport:
    client, reports, needed = walk.client, list[QueryReport](), 0
    started, requests, received = time.monotonic(), client.requests, client.received
    for query in queries:
        needed += 1
        try:
            page = walk.pager.page(walk.first_url(query), first=True)
        except (HfHubHTTPError, httpx2.HTTPError, TransientError, OSError) as error:
            _raise_if_ours(error, client)
            reports.append(QueryReport(query.name, 0, 0, False, _one_line(error)))
            continue
        needed += page.following is not None
        reports.append(
            QueryReport(query.name, 1, len(page.entries), page.following is None and page.trouble is None, page.trouble)
        )
    asked, got = client.requests - requests, client.received - received
    each = (time.monotonic() - started) / asked if asked else _GUESSED_SECONDS_PER_REQUEST
    return replace(
        base,
        queries=tuple(reports),
        requests=asked,
        received=got,
        estimated_requests=needed,
        estimated_seconds=_seconds(client, needed, each),
        estimated_bytes=round(got / asked * needed) if asked else None,
        estimate_known=all(report.complete for report in reports),
    )


def _seconds(client: HubClient, requests: int, each_s: float) -> float:
    """What so many API calls take: the slower of the speed seen and the quota in force."""
    seen = client.rate_limit
    limit, window = quota("api", anonymous=client.anonymous, seen=seen)
    waits = least_seconds(requests, limit, window, seen.remaining if seen is not None else None)
    return round(max(requests * each_s, waits), 1)
