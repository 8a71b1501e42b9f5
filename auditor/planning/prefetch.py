"""Fetch what a plan needs, on a machine with a network, so that machines with GPUs need none.

What cannot be had is recorded here as the audit would record it (gone, gated, too large, other bytes than
announced), since an audit without a network could not tell. A file that the network did not yield this time is
left for the next run.
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import structlog

from auditor.errors import ItemError, PrerequisiteMissing, TransientError
from auditor.hub.client import HubClient
from auditor.hub.download import fetch_item
from auditor.hub.download_cache import FileCache
from auditor.hub.facts import FileFacts, KnownFile
from auditor.hub.pace import least_seconds, quota
from auditor.planning.cache_budget import CacheBudget
from auditor.planning.recipes_in_force import lasts
from auditor.records.result import ANY_RECIPE, AuditRecord, WorkItem
from auditor.results.failures import failure_record
from auditor.results.result_file import CorruptResult, Result, read_result, result_path, write_result
from auditor.results.workspace import Workspace

_AHEAD = 4
"""Items handed to the pool per worker: enough to keep it busy, few enough to stop soon."""

Fate = Literal["fetched", "present", "failed", "put_off", "no_room"]
log = structlog.get_logger(__name__)


@dataclass
class PrefetchReport:
    """What a prefetch did with the items of its slice. The counts add up to `items`.

    Attributes:
        done: A result exists: nothing is needed any more.
        duplicates: The same bytes as an item before.
        fetched: Downloaded now, with their companions.
        present: Already in the cache.
        failed: Reason → items that were recorded as not to be had.
        put_off: The network's trouble; run it again.
        no_room: The cache is full (`hub.cache_bytes`); they wait for audits to make room.
    """

    items: int = 0
    done: int = 0
    duplicates: int = 0
    fetched: int = 0
    present: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    put_off: int = 0
    no_room: int = 0
    received_bytes: int = 0
    requests: int = 0
    seconds: float = 0.0
    stopped: bool = False

    def count(self, fate: Fate, reason: str | None) -> None:
        """Add one item."""
        match fate:
            case "fetched":
                self.fetched += 1
            case "present":
                self.present += 1
            case "failed":
                self.failed[reason or "unknown"] += 1
            case "put_off":
                self.put_off += 1
            case "no_room":
                self.no_room += 1

    @property
    def bytes_per_second(self) -> float:
        """Speed over the whole run."""
        return self.received_bytes / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class PrefetchCost:
    """What a prefetch would need.

    Attributes:
        files: Items whose file is wanted and not in the cache.
        bytes: Of their files, those of unknown size at the mean of the known; None when no size is known.
        requests: One question and one download per file and companion.
        seconds: That the documented or announced rate limit takes at least.
    """

    files: int
    bytes: int | None
    requests: int
    seconds: float


@dataclass(frozen=True)
class PrefetchLimits:
    """How much is fetched at once, and at all."""

    workers: int
    max_file_bytes: int
    cache_bytes: int | None = None


class Prefetch:
    """Fetches the files of work items."""

    def __init__(
        self,
        client: HubClient,
        workspace: Workspace,
        limits: PrefetchLimits,
        recipe_ids: Sequence[str],
        *,
        bases: str | None = None,
    ) -> None:
        self.client = client
        self.workspace = workspace
        self.limits = limits
        self.facts = FileFacts(workspace.facts)
        self.stop = False
        self._recipes, self._bases = tuple(recipe_ids), bases
        self._cache = FileCache(workspace.files)
        self._room = CacheBudget(workspace.files, limits.cache_bytes)

    def wanted(self, items: Sequence[WorkItem], report: PrefetchReport, copies: list[WorkItem]) -> Iterator[WorkItem]:
        """The items that still need their file; counts those that do not, and puts repeated contents aside."""
        seen: set[str] = set()
        for item in items:
            report.items += 1
            if self.finished(item):
                report.done += 1
            elif item.file_sha256 is not None and item.file_sha256 in seen and not item.companions:
                copies.append(item)
            else:
                seen.add(item.file_sha256 or item.name_sha256)
                yield item

    def run(
        self, items: Sequence[WorkItem], on_item: Callable[[WorkItem, Fate], None] = lambda item, fate: None
    ) -> PrefetchReport:
        """Fetch everything that is wanted, several files at a time.

        Raises:
            PrerequisiteMissing: The disk is full.
        """
        report = PrefetchReport()
        started, requests, received = time.monotonic(), self.client.requests, self.client.received
        if self.limits.cache_bytes is not None:
            self._room.protect(i.file_sha256 for i in items if i.file_sha256 is not None and not self.finished(i))
        copies: list[WorkItem] = []
        try:
            self._work(self.wanted(items, report, copies), report, on_item)
            # A copy is there unless the repo that stood for it failed; then it has to stand for itself.
            self._work(self._orphans(copies, report), report, on_item)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            message = f"The disk that holds {self.workspace.files} is full; free some space, or set hub.cache_bytes."
            raise PrerequisiteMissing(f"{message} What was fetched so far is kept.") from error
        finally:
            with suppress(OSError):  # a full disk is told of above, and facts can be asked for again
                self.facts.save()
        report.stopped = self.stop
        report.requests = self.client.requests - requests
        report.received_bytes = self.client.received - received
        report.seconds = round(time.monotonic() - started, 3)
        return report

    def ask_to_stop(self) -> None:
        """Let the files in hand finish, and begin no other."""
        self.stop = True

    def _work(
        self, wanted: Iterator[WorkItem], report: PrefetchReport, on_item: Callable[[WorkItem, Fate], None]
    ) -> None:
        """Keep the pool busy until nothing is wanted any more, or a stop was asked for."""
        with ThreadPoolExecutor(self.limits.workers, thread_name_prefix="prefetch") as pool:
            running: dict[Future[tuple[Fate, str | None]], WorkItem] = {}
            try:
                while True:
                    free = 0 if self.stop else self.limits.workers * _AHEAD - len(running)
                    running |= {pool.submit(self._one, item): item for item in islice(wanted, free)}
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        item, (fate, reason) = running.pop(future), future.result()
                        report.count(fate, reason)
                        on_item(item, fate)
            except BaseException:
                self.stop = True  # whatever is queued ends at once; what runs finishes its file
                raise

    def _orphans(self, copies: Sequence[WorkItem], report: PrefetchReport) -> Iterator[WorkItem]:
        for item in copies:
            if item.file_sha256 is not None and self._cache.size(item.file_sha256) is not None:
                report.duplicates += 1
            else:
                yield item

    def cost(self, items: Sequence[WorkItem]) -> PrefetchCost:
        """What a run would need, without a request."""
        missing = [item for item in self.wanted(items, PrefetchReport(), []) if self._cache.find(*item.key) is None]
        sizes = [item.size_bytes for item in missing if item.size_bytes is not None]
        files = sum(1 + len(item.companions) for item in missing)
        limit, window = quota("resolvers", anonymous=self.client.anonymous, seen=self.client.pace.seen.get("resolvers"))
        return PrefetchCost(
            files=len(missing),
            bytes=round(sum(sizes) / len(sizes) * len(missing)) if sizes else None if missing else 0,
            requests=2 * files,
            seconds=least_seconds(2 * files, limit, window),
        )

    def finished(self, item: WorkItem) -> bool:
        """Whether a lasting result of this place or these bytes exists. What was gated is asked again: terms get
        accepted; so is what failed for a passing reason.
        """
        place = self._result(item.name_sha256, ANY_RECIPE)
        if place.exists():
            record = self._record(place)
            if record is not None and record.reason == "gated" and not self.client.anonymous:
                return False
            if record is not None and lasts(record.reason, record.bases, self._bases):
                return True
        if item.file_sha256 is None:
            return False
        content = self._result(item.file_sha256, ANY_RECIPE)
        if content.exists():
            record = self._record(content)
            if record is None or lasts(record.reason, record.bases, self._bases):
                return True
        return any(self._result(item.file_sha256, recipe).exists() for recipe in self._recipes)

    def _result(self, sha256: str, recipe_id: str) -> Path:
        return result_path(self.workspace.results, sha256, recipe_id)

    def _record(self, path: Path) -> AuditRecord | None:
        """What became of an item; None when the result is damaged."""
        try:
            return read_result(path).record
        except CorruptResult:
            return None

    def _one(self, item: WorkItem) -> tuple[Fate, str | None]:
        """Fetch one item; return what became of it, and the reason when it is not to be had."""
        if self.stop:
            return "put_off", None
        known = self._cache.find(*item.key)
        if known is not None:
            self._learn(item, item.path, *known)
        elif not self._room.reserve(item.size_bytes or 0):
            return "no_room", None
        try:
            for path in (item.path, *item.companions):
                self._fetch(item, path)
        except ItemError as error:
            record = failure_record(item, item.name_sha256, ANY_RECIPE, error)
            write_result(self.workspace.results, Result(record, {}))
            log.info("not to be had", repo_id=item.repo_id, path=item.path, reason=error.reason)
            return "failed", error.reason
        except TransientError as error:
            log.warning("download put off", repo_id=item.repo_id, path=item.path, error=str(error))
            return "put_off", None
        finally:
            if known is None and self._cache.find(*item.key) is None:
                self._room.release(item.size_bytes or 0)
        self._forget_refusal(item)
        return ("fetched" if known is None else "present"), None

    def _fetch(self, item: WorkItem, path: str) -> None:
        if self._cache.find(item.repo_id, item.commit_sha, path) is not None:
            return  # its hash is proved again when it is opened
        limit = self.limits.max_file_bytes
        got = fetch_item(self.client, item, path, cache_dir=self.workspace.files, max_bytes=limit)
        self._room.keep(got.sha256, got.size_bytes - (item.size_bytes or 0) if path == item.path else got.size_bytes)
        self._learn(item, path, got.sha256, got.size_bytes)

    def _learn(self, item: WorkItem, path: str, sha256: str, size_bytes: int) -> None:
        self.facts.learn(item.repo_id, item.commit_sha, [KnownFile(path, size_bytes, sha256)])

    def _forget_refusal(self, item: WorkItem) -> None:
        """A file that could not be had once and is had now is to be audited."""
        path = self._result(item.name_sha256, ANY_RECIPE)
        if not path.exists():
            return
        record = self._record(path)
        if record is None or record.reason in ("gated", "download_failed"):
            path.unlink(missing_ok=True)
