"""The stored pages of a crawl, de-duplicated into one listing. Reads them twice, so that memory stays small."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from auditor.common.own_files import Damaged
from auditor.hub.client import HubClient
from auditor.hub.listed_entries import MalformedEntry, entry_id, excerpt, identify, parse_entry
from auditor.hub.listing_file import check_readable, iter_listing, read_quarantine, write_listing, write_quarantine
from auditor.hub.pages import PageStore
from auditor.hub.vanished import confirm
from auditor.records.listing import CrawlReport, ListedRepo, QuarantinedEntry, QueryReport

log = structlog.get_logger(__name__)


def listing_path(state_dir: Path) -> Path:
    """Where a crawl leaves its listing."""
    return state_dir / "listing.parquet"


def quarantine_path(state_dir: Path) -> Path:
    """Where a crawl leaves the entries it could not read."""
    return state_dir / "quarantine.parquet"


def earlier_is_whole(state_dir: Path) -> bool:
    """Whether what an earlier crawl left can be read. What cannot is moved aside: the crawl makes it anew."""
    whole = listing_path(state_dir).exists()
    for path, kind in ((listing_path(state_dir), "listing"), (quarantine_path(state_dir), "quarantine file")):
        try:
            if path.exists():
                check_readable(path, kind)
        except Damaged as error:
            log.warning("made anew", error=str(error))
            whole = False
    return whole


@dataclass(slots=True)
class _Best:
    """Where the newest entry of a repo stands, and which queries found it (a bit per query)."""

    modified: str
    page: int
    position: int
    queries: int


@dataclass(slots=True)
class ListingUnion:
    """Which entry stands for each repo.

    Attributes:
        entries: Entries on all pages.
        newest: The latest `last_modified` met.
    """

    store: PageStore
    names: Sequence[str]
    entries: int = 0
    newest: str | None = None
    quarantined: list[QuarantinedEntry] = field(default_factory=list)
    _unread: set[str] = field(default_factory=set)
    _best: dict[str, _Best] = field(default_factory=dict)

    @classmethod
    def of(cls, store: PageStore, names: Sequence[str]) -> ListingUnion:
        """Read all pages once: find the newest entry per repo, and what cannot be read."""
        union = cls(store, names)
        for page, (number, page_number, raw) in enumerate(store.pages()):
            for position, entry in enumerate(raw):
                union._take(entry, page, position, number, page_number)
        return union

    @property
    def ids(self) -> frozenset[str]:
        """Repos met."""
        return frozenset(self._best)

    def report(self, queries: tuple[QueryReport, ...]) -> CrawlReport:
        """Counts so far."""
        bad = len(self.quarantined)
        return CrawlReport(
            queries,
            entries=self.entries,
            repos=len(self._best),
            duplicates=self.entries - len(self._best) - bad,
            quarantined=bad,
        )

    def repos(self) -> Iterator[ListedRepo]:
        """Read all pages again and yield the newest entry of each repo."""
        for page, (_, _, raw) in enumerate(self.store.pages()):
            for position, entry in enumerate(raw):
                repo_id = entry_id(entry)
                found = self._best.get(repo_id) if repo_id is not None else None
                if found is not None and (found.page, found.position) == (page, position):
                    names = tuple(name for bit, name in enumerate(self.names) if found.queries >> bit & 1)
                    yield parse_entry(entry, found_by=names)

    def _take(self, entry: object, page: int, position: int, number: int, page_number: int) -> None:
        self.entries += 1
        try:
            key = identify(entry)
        except MalformedEntry as error:
            name = entry_id(entry)
            which = name or hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
            if which not in self._unread:  # several queries meet it: once it counts, then it is a duplicate
                self._unread.add(which)
                self.quarantined.append(
                    QuarantinedEntry(self.names[number], page_number, position, name, str(error), excerpt(entry))
                )
            return
        modified = key.last_modified or ""
        self.newest = max(self.newest or "", modified) or None
        found = self._best.get(key.repo_id)
        if found is None:
            self._best[key.repo_id] = _Best(modified, page, position, 1 << number)
            return
        found.queries |= 1 << number
        if modified > found.modified:
            found.modified, found.page, found.position = modified, page, position


def write_union(
    client: HubClient, union: ListingUnion, state_dir: Path, report: CrawlReport, *, carry: bool, reconcile: bool
) -> CrawlReport:
    """Write listing and quarantine; return the report with what became of repos that were not met again.

    Args:
        client: Asks about vanished repos.
        union: The pages.
        state_dir: Where to write.
        report: Counts of the walk.
        carry: Keep repos and unreadable entries of the earlier listing that were not met (an incremental crawl does
            not see them).
        reconcile: Ask about repos of the earlier listing that were not met.
    """
    path = listing_path(state_dir)
    fates: Counter[str] = Counter()
    carried = 0

    def rows() -> Iterator[ListedRepo]:
        nonlocal carried
        yield from union.repos()
        if carry and path.exists():
            for repo in _missing(path, union.ids):
                carried += 1
                yield repo
        elif reconcile and path.exists():
            yield from _confirmed(client, path, union.ids, fates)

    unread = quarantine_path(state_dir)
    kept = _not_met_again(read_quarantine(unread), union) if carry and unread.exists() else []
    write_quarantine(unread, [*union.quarantined, *kept])
    write_listing(path, rows())
    return replace(report, carried=carried, vanished=dict(fates))


def _not_met_again(earlier: Iterable[QuarantinedEntry], union: ListingUnion) -> list[QuarantinedEntry]:
    """Earlier unreadable entries that stand for something this crawl has not seen. One without a name is known by its
    text, and gives way to another nameless one in its place: a plan calls both by that place.
    """
    names = union.ids | {entry.repo_id for entry in union.quarantined}
    nameless = [entry for entry in union.quarantined if entry.repo_id is None]
    texts = {entry.excerpt for entry in nameless}
    places = {(entry.query, entry.page, entry.position) for entry in nameless}
    return [
        entry
        for entry in earlier
        if (
            entry.repo_id not in names
            if entry.repo_id is not None
            else entry.excerpt not in texts and (entry.query, entry.page, entry.position) not in places
        )
    ]


def _missing(path: Path, listed: frozenset[str]) -> Iterator[ListedRepo]:
    return (repo for repo in iter_listing(path) if repo.repo_id not in listed)


def _confirmed(client: HubClient, path: Path, listed: frozenset[str], fates: Counter[str]) -> Iterator[ListedRepo]:
    seen = set(listed)
    for verdict in confirm(client, _missing(path, listed), listed):
        fates[verdict.fate] += 1
        for row in verdict.rows:
            if row.repo_id not in seen:
                seen.add(row.repo_id)
                yield row
