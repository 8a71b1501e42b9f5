"""The loop of a task: its slice of the plan, item by item, safe to interrupt at any point.

Done means that a result file exists. Attempts are counted before the work, so that an item that kills its process
is noticed; after three it is recorded as `poison` and the rest goes on (see attempts.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from auditor.adapters.adapter_file import inspect_file, judge
from auditor.audit.attempts import MAX_ATTEMPTS, Attempts
from auditor.audit.base_pool import BasePool, OtherBaseOpen
from auditor.audit.finishing import Finisher, failed_file
from auditor.audit.item_limit import item_limit
from auditor.audit.signals import stop_signals
from auditor.common.crash_points import crash_point
from auditor.errors import BaseDamaged, Interrupted, ItemError, PrerequisiteMissing, Refused, TransientError
from auditor.hub.client import HubClient
from auditor.hub.download import FetchedFile, fetch_item
from auditor.measuring.base_choice import choose_base, file_words
from auditor.measuring.measure_file import audit_file
from auditor.measuring.opened_base import OpenedBase
from auditor.planning.recipes_in_force import bases_key, lasts
from auditor.records.result import ANY_RECIPE, AuditRecord, WorkItem
from auditor.results.failures import ends_the_process
from auditor.results.result_file import CorruptResult, read_result, result_path
from auditor.results.waiting_pictures import AuditedFile, waiting_path
from auditor.results.workspace import Workspace
from auditor.settings import Settings

log = structlog.get_logger(__name__)


@dataclass
class TaskReport:
    """What a task did.

    `pending` results keep their pictures for `auditor propose`; `unanswered` of them should have been named here but
    the proposer was away. `interrupted` says that it stopped early because it was asked to.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    already_done: int = 0
    duplicates: int = 0
    transient: int = 0
    pending: int = 0
    unanswered: int = 0
    interrupted: bool = False


class Task:
    """Audits items with models that are loaded when first needed and kept."""

    def __init__(
        self,
        settings: Settings,
        client: HubClient | None,
        *,
        on_reference: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.settings = settings
        self.workspace = Workspace(settings.work.dir)
        self.client = client
        self.attempts = Attempts(self.workspace.attempts)
        self._bases = bases_key(settings)
        self._report = TaskReport()
        self._stop = False
        self._put_off = True
        self._finisher = Finisher(self.workspace, self._count, lambda: self._stop)
        self._pool = BasePool(settings, self._finisher, on_reference=on_reference, stopping=lambda: self._stop)

    def close(self) -> None:
        """Ask nothing more, and end the proposer's server if this task started one."""
        self._finisher.close()

    def run(
        self, items: Sequence[WorkItem], on_item: Callable[[WorkItem, AuditRecord | None], None] | None = None
    ) -> TaskReport:
        """Audit every item that has no result yet. Those for another base than is open come after the others.

        Args:
            items: In manifest order, so that items of one base are together.
            on_item: Told after each item; the record is None when nothing new was made. While proposals are
                asked for in the background, it is the pending one.
        """
        report = self._report = TaskReport()
        seen: set[str] = set()
        with stop_signals(self._ask_to_stop):
            self._put_off = True
            later = self._go_through(items, seen, on_item)
            self._put_off = False
            for put_off in later.values():
                self._go_through(put_off, seen, on_item)
            self._finisher.drain()
            report.interrupted |= self._stop and report.unanswered > 0
        return report

    def _go_through(
        self, items: Sequence[WorkItem], seen: set[str], on_item: Callable[[WorkItem, AuditRecord | None], None] | None
    ) -> dict[str, list[WorkItem]]:
        """Audit items one by one. Returns those that were put off, by the base that they are for."""
        later: dict[str, list[WorkItem]] = {}
        for item in items:
            if self._stop:
                self._report.interrupted = True
                break
            try:
                record = self._one(item, seen, self._report)
            except OtherBaseOpen as other:
                later.setdefault(other.base_name, []).append(item)
                continue
            except Interrupted:
                self._report.interrupted = True
                break
            if on_item is not None:
                on_item(item, record)
        return later

    def _one(self, item: WorkItem, seen: set[str], report: TaskReport) -> AuditRecord | None:
        fallback = item.file_sha256 or item.name_sha256
        if self._done(fallback, item.base_name) or self._done(item.name_sha256, item.base_name):
            self._take_up(fallback)
            report.duplicates += fallback in seen
            report.already_done += fallback not in seen
            self.attempts.settle(item)  # its process may have been killed between the two
            return None
        audited = self._attempt(item, report)
        if audited is None:
            return None
        record = audited.result.record
        seen.add(record.file_sha256)
        try:
            self._finisher.publish(audited)
        except OSError:
            self.attempts.end()  # a full disk says nothing about the item
            raise
        crash_point("item_published")
        self.attempts.settle(item)
        crash_point("item_settled")
        self._finisher.name(audited)
        return record

    def _take_up(self, sha256: str) -> None:
        """Have an earlier result named that still waits for it."""
        for base_name, recipe_id in self._pool.recipe_ids.items():
            if not self._finisher.may_take_up(sha256, recipe_id):
                continue
            try:
                opened = self._base_of(base_name)
            except ItemError:
                continue  # its base has gone meanwhile; the pictures wait on
            if not self._finisher.take_up(sha256, recipe_id, opened.reference.images, opened.max_side):
                self._report.transient += 1

    def _count(self, record: AuditRecord, unanswered: bool) -> None:
        self._report.outcomes[record.outcome] += 1
        self._report.pending += record.proposals == "pending"
        self._report.unanswered += unanswered
        log.info(
            "audited", repo_id=record.item.repo_id, path=record.item.path, outcome=record.outcome, reason=record.reason
        )

    def _attempt(self, item: WorkItem, report: TaskReport) -> AuditedFile | None:
        """One counted attempt. None: nothing to publish, because it is a duplicate or was put off."""
        attempts = self.attempts.begin(item)
        crash_point("item_claimed")
        try:
            if attempts > MAX_ATTEMPTS:
                raise ItemError("failed", "poison", f"Given up after {MAX_ATTEMPTS} attempts that ended the process.")
            result = self._audit(item, report)
        except (PrerequisiteMissing, Interrupted, OtherBaseOpen):
            self.attempts.end()  # none of them says anything about the item
            raise
        except ItemError as error:
            # Found out about the place, not about the bytes: another repo with the same file is not done by it.
            return failed_file(item, item.name_sha256, error)
        except TransientError as error:
            log.warning("item put off", repo_id=item.repo_id, path=item.path, error=str(error))
            # What is on record as not to be had comes with the next prefetch, not with a task without a network.
            on_record = self.client is None and self._result(item.name_sha256, ANY_RECIPE).exists()
            report.already_done += on_record
            report.transient += not on_record
            result = None
        except Exception as error:
            if ends_the_process(error):
                if isinstance(error, OSError):
                    self.attempts.end()
                raise
            # A bug that one file brings out must not cost the others their turn; the next run tries it again.
            log.exception("item failed", repo_id=item.repo_id, path=item.path)
            message = f"{type(error).__name__} while it was audited; the log has the details."
            return failed_file(item, item.name_sha256, ItemError("failed", "internal_error", message))
        if result is None:
            self.attempts.end()
        return result

    def _audit(self, item: WorkItem, report: TaskReport) -> AuditedFile | None:
        """Fetch, inspect, choose the base and audit. None when the same bytes were already audited."""
        fetched = self._fetch(item, item.path)
        limit_s = self.settings.work.item_limit_s
        try:
            companions = {path: self._fetch(item, path).local_path for path in item.companions}
            with item_limit(limit_s, "Reading it"):
                adapter = inspect_file(
                    fetched.local_path, name=item.path, companions=companions, max_bytes=self.settings.hub.file_limit
                )
        except ItemError as error:
            return failed_file(item, fetched.sha256, error)
        try:
            with item_limit(limit_s, "Judging it"):
                judge(adapter)
        except ItemError as error:
            # No base can change it: none is loaded for it.
            return failed_file(item, fetched.sha256, error, changes=file_words(item, adapter))
        try:
            choice = choose_base(item, adapter, self.settings)
        except ItemError as error:
            # Found out about the card and the bases that are switched on: the same bytes may fit elsewhere.
            return failed_file(
                item, item.name_sha256, error, changes=file_words(item, adapter) | {"bases": self._bases}
            )
        crash_point("item_fetched")
        opened = self._base_of(choice.base_name)
        if self._finished(fetched.sha256, opened.recipe.recipe_id):
            report.duplicates += 1
            return None
        self._finisher.expect()
        try:
            with item_limit(limit_s, "Measuring it"), self._pool.memory(choice.base_name):
                result = audit_file(opened, item, adapter, fetched.sha256, choice)
            if result.result.record.reason == "took_too_long":
                opened.generator.rebuild()  # it was stopped anywhere
            crash_point("item_measured")
            return result
        except BaseDamaged as error:
            # Only this adapter came since the last good check: rebuild, and never score it on a damaged base.
            log.error("base damaged", repo_id=item.repo_id, path=item.path, error=str(error))
            opened.generator.rebuild()
            message = f"It changed the base for good ({error}); nothing of it is scored."
            return failed_file(item, fetched.sha256, Refused("unexpected_tensors", message), opened.recipe.recipe_id)

    def open_base(self, base_name: str) -> OpenedBase:
        """A base, opened; one is kept at a time, encoder and proposer are shared."""
        return self._pool.open(base_name)

    def _base_of(self, base_name: str) -> OpenedBase:
        """The base of an item, opened.

        Raises:
            OtherBaseOpen: Another one is open, and items of other bases are to come later.
            ItemError: `base_unavailable`.
        """
        current = self._pool.current
        if self._put_off and current is not None and current.base_name != base_name:
            raise OtherBaseOpen(base_name)
        return self._pool.open_or_skip(base_name)

    def _fetch(self, item: WorkItem, path: str) -> FetchedFile:
        limit = self.settings.hub.file_limit
        return fetch_item(self.client, item, path, cache_dir=self.workspace.files, max_bytes=limit)

    def _done(self, sha256: str, base_name: str | None) -> bool:
        """Whether a good result of these bytes exists: for any recipe, or for the base's own recipe.

        Where the card leaves the base open, the recipes count of all bases that were opened by this task.
        """
        if self._finished(sha256, ANY_RECIPE):
            return True
        if base_name is None:
            return any(self._finished(sha256, recipe_id) for recipe_id in self._pool.recipe_ids.values())
        recipe_id = self._pool.recipe_id(base_name)
        return recipe_id is not None and self._finished(sha256, recipe_id)

    def _result(self, sha256: str, recipe_id: str) -> Path:
        return result_path(self.workspace.results, sha256, recipe_id)

    def _finished(self, sha256: str, recipe_id: str) -> bool:
        path = self._result(sha256, recipe_id)
        if not path.exists():
            return False
        try:
            record = read_result(path).record
            if record.proposals == "pending" and not waiting_path(self.workspace.waiting, sha256, recipe_id).exists():
                return False  # its pictures are gone
            return lasts(record.reason, record.bases, self._bases)
        except CorruptResult as error:
            log.warning("result redone", error=str(error))
            return False

    def _ask_to_stop(self) -> None:
        self._stop = True
        self.attempts.stopping()
