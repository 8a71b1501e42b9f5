"""The loop of a task: its slice of the plan, item by item, safe to interrupt at any point.

Done means that a result file exists. Attempts are counted before the work, so that an item that kills its process
is noticed; after three it is recorded as `poison` and the rest goes on (see attempts.py).
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from auditor.adapters.adapter_file import inspect_file
from auditor.audit.attempts import MAX_ATTEMPTS, Attempts
from auditor.audit.bench import Workbench, load_encoder, open_workbench
from auditor.audit.choosing import choose_base
from auditor.audit.failures import failure_record
from auditor.audit.finishing import Finisher
from auditor.audit.naming import Audited
from auditor.audit.one import audit_file
from auditor.audit.proposers import load_proposer, works_ahead
from auditor.audit.result_file import CorruptResult, Result, read_result, result_path
from auditor.audit.signals import stop_signals
from auditor.audit.waiting import waiting_path
from auditor.audit.workspace import Workspace
from auditor.crash import crash_point
from auditor.errors import BaseDamaged, ItemError, PrerequisiteMissing, TransientError
from auditor.hub.client import HubClient
from auditor.hub.download import FetchedFile, fetch
from auditor.proposing.proposer import Proposer
from auditor.records.outcomes import TRANSIENT_REASONS
from auditor.records.result import ANY_RECIPE, AuditRecord, WorkItem
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
        self._on_reference = on_reference
        self.attempts = Attempts(self.workspace.attempts)
        self._bench: Workbench | None = None
        self._absent: dict[str, str] = {}
        self._report = TaskReport()
        self._stop = False
        self._finisher = Finisher(self.workspace, self._count, lambda: self._stop)

    def close(self) -> None:
        """Ask nothing more, and end the proposer's server if this task started one."""
        self._finisher.close()

    def run(
        self, items: Sequence[WorkItem], on_item: Callable[[WorkItem, AuditRecord | None], None] | None = None
    ) -> TaskReport:
        """Audit every item that has no result yet.

        Args:
            items: In manifest order, so that items of one base are together.
            on_item: Told after each item; the record is None when nothing new was made. While proposals are
                asked for in the background, it is the pending one.
        """
        report = self._report = TaskReport()
        seen: set[str] = set()
        with stop_signals(self._ask_to_stop):
            for item in items:
                if self._stop:
                    report.interrupted = True
                    break
                record = self._one(item, seen, report)
                if on_item is not None:
                    on_item(item, record)
            self._finisher.drain()
            report.interrupted |= self._stop and report.unanswered > 0
        return report

    def _one(self, item: WorkItem, seen: set[str], report: TaskReport) -> AuditRecord | None:
        fallback = item.file_sha256 or item.name_sha256
        if self._done(fallback, item.base_name) or self._done(item.name_sha256, item.base_name):
            report.duplicates += fallback in seen
            report.already_done += fallback not in seen
            self.attempts.settle(item)  # its process may have been killed between the two
            self._take_up(fallback)
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
        if self._bench is not None and not self._finisher.take_up(
            sha256, self._bench.recipe.recipe_id, self._bench.reference.images, self._bench.max_side
        ):
            self._report.transient += 1

    def _count(self, record: AuditRecord, unanswered: bool) -> None:
        self._report.outcomes[record.outcome] += 1
        self._report.pending += record.proposals == "pending"
        self._report.unanswered += unanswered
        log.info("audited", repo_id=record.item.repo_id, path=record.item.path, outcome=record.outcome,
                 reason=record.reason)  # fmt: skip

    def _attempt(self, item: WorkItem, report: TaskReport) -> Audited | None:
        """One counted attempt. None: nothing to publish, because it is a duplicate or was put off."""
        attempts = self.attempts.begin(item)
        crash_point("item_claimed")
        try:
            if attempts > MAX_ATTEMPTS:
                raise ItemError("failed", "poison", f"Given up after {MAX_ATTEMPTS} attempts that ended the process.")
            result = self._audit(item, report)
        except ItemError as error:
            # Found out about the place, not about the bytes: another repo with the same file is not done by it.
            return Audited(Result(failure_record(item, item.name_sha256, ANY_RECIPE, error), {}))
        except TransientError as error:
            log.warning("item put off", repo_id=item.repo_id, path=item.path, error=str(error))
            # What is on record as not to be had comes with the next prefetch, not by running a task without a network
            # again and again.
            on_record = self.client is None and self._result(item.name_sha256, ANY_RECIPE).exists()
            report.already_done += on_record
            report.transient += not on_record
            result = None
        except PrerequisiteMissing:
            raise
        except Exception as error:
            if ends_the_process(error):
                if isinstance(error, OSError):
                    self.attempts.end()
                raise
            # A bug that one file brings out must not cost the others their turn; the next run tries it again.
            log.exception("item failed", repo_id=item.repo_id, path=item.path)
            message = f"{type(error).__name__} while it was audited; the log has the details."
            failure = ItemError("failed", "internal_error", message)
            return Audited(Result(failure_record(item, item.name_sha256, ANY_RECIPE, failure), {}))
        if result is None:
            self.attempts.end()
        return result

    def _audit(self, item: WorkItem, report: TaskReport) -> Audited | None:
        """Fetch, inspect, choose the base and audit. None when the same bytes were already audited."""
        fetched = self._fetch(item, item.path)
        try:
            adapter = inspect_file(
                fetched.local_path,
                name=item.path,
                companions={path: self._fetch(item, path).local_path for path in item.companions},
                max_bytes=self.settings.hub.file_limit,
            )
            choice = choose_base(item, adapter, self.settings)
        except ItemError as error:
            return Audited(Result(failure_record(item, fetched.sha256, ANY_RECIPE, error), {}))
        crash_point("item_fetched")
        bench = self._bench_of(choice.base_name)
        if self._finished(fetched.sha256, bench.recipe.recipe_id):
            report.duplicates += 1
            return None
        self._finisher.expect()
        try:
            result = audit_file(bench, item, adapter, fetched.sha256, choice)
            crash_point("item_measured")
            return result
        except BaseDamaged as error:
            # Only this adapter came since the last good check: rebuild, and never score it on a damaged base.
            log.error("base damaged", repo_id=item.repo_id, path=item.path, error=str(error))
            bench.generator.rebuild()
            message = f"It changed the base for good ({error}); nothing of it is scored."
            failure = ItemError("quarantined", "unexpected_tensors", message)
            return Audited(Result(failure_record(item, fetched.sha256, bench.recipe.recipe_id, failure), {}))

    def bench(self, base_name: str) -> Workbench:
        """The workbench of a base; one is kept at a time, encoder and proposer are shared."""
        if self._bench is None or self._bench.base_name != base_name:
            self._finisher.drain()  # with the scorer of the bench that goes
            old, self._bench = self._bench, None
            encoder = old.encoder if old else load_encoder(self.settings)
            proposer = old.proposer if old else self._open_proposer()
            del old
            self._bench = open_workbench(
                self.settings, base_name, encoder=encoder, proposer=proposer, on_step=self._on_reference
            )
            self._finisher.use(self._bench.scorer)
        return self._bench

    def _bench_of(self, base_name: str) -> Workbench:
        """The workbench of a base that may not be here: its adapters are skipped, those of the others go on.

        Raises:
            ItemError: `base_unavailable`; tried again on the next run.
            PrerequisiteMissing: It is the only base there is.
        """
        if base_name not in self._absent:
            try:
                return self.bench(base_name)
            except PrerequisiteMissing as error:
                if len(self.settings.recipe.active_bases) == 1:
                    raise
                log.error("base unavailable", base=base_name, error=str(error))
                self._absent[base_name] = str(error)
        message = f"The base {base_name} is not here: {self._absent[base_name]}"
        raise ItemError("skipped", "base_unavailable", message)

    def _open_proposer(self) -> Proposer | None:
        proposer = load_proposer(self.settings)
        if proposer is not None and self.settings.serving.when == "inline":
            self._finisher.open(proposer, ahead=works_ahead(self.settings))
        return proposer

    def _fetch(self, item: WorkItem, path: str) -> FetchedFile:
        return fetch(
            self.client, item.repo_id, path, commit_sha=item.commit_sha, cache_dir=self.workspace.files,
            max_bytes=self.settings.hub.file_limit,
            expected_sha256=item.file_sha256 if path == item.path else None,
        )  # fmt: skip

    def _done(self, sha256: str, base_name: str | None) -> bool:
        """Whether a good result of these bytes exists: for any recipe, or for the base's own recipe."""
        if self._finished(sha256, ANY_RECIPE):
            return True
        if base_name is None and self._bench is None:
            return False
        try:
            return self._finished(sha256, self._bench_of(base_name or self._bench_name()).recipe.recipe_id)
        except ItemError:
            return False

    def _bench_name(self) -> str:
        assert self._bench is not None
        return self._bench.base_name

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
            return record.reason not in TRANSIENT_REASONS
        except CorruptResult as error:
            log.warning("result redone", error=str(error))
            return False

    def _ask_to_stop(self) -> None:
        self._stop = True
        self.attempts.stopping()


def ends_the_process(error: Exception) -> bool:
    """Whether going on makes no sense: the disk is full, memory is out, or the GPU refuses everything from now on."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
    return isinstance(error, MemoryError) or "CUDA error" in str(error)
