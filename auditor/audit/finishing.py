"""From a measured adapter to its published result: pending at first, final once its concepts are named.

Pictures are on disk before the pending result is, and until after the final one is, so that a task may die at any
point, and a proposer be away for any time, without a picture made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import structlog
from numpy.typing import NDArray

from auditor.audit.proposal_queue import ProposalQueue
from auditor.common.crash_points import crash_point
from auditor.errors import ItemError
from auditor.measuring.explanations import explain_with_proposals
from auditor.measuring.scoring import Scorer
from auditor.proposing.proposer import Proposer
from auditor.records.proposals import Proposals
from auditor.records.result import ANY_RECIPE, AuditRecord, WorkItem
from auditor.results.failures import failure_record
from auditor.results.result_file import CorruptResult, Result, read_result, result_path, write_result
from auditor.results.waiting_pictures import AuditedFile, DamagedPictures, read_waiting, waiting_path, write_waiting
from auditor.results.workspace import Workspace

log = structlog.get_logger(__name__)


class Finisher:
    """Publishes audits, and names their concepts if it was given a proposer.

    Args:
        workspace: Where results and waiting pictures lie.
        on_record: Told about every result that this task leaves: its record, and whether the proposer should have
            named it but was away.
        stopping: Whether the task was told to stop.
    """

    def __init__(
        self,
        workspace: Workspace,
        on_record: Callable[[AuditRecord, bool], None],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.workspace, self.on_record, self.stopping = workspace, on_record, stopping
        self._queue: ProposalQueue | None = None
        self._scorer: Scorer | None = None
        self._asked: set[tuple[str, str]] = set()

    def open(self, proposer: Proposer, *, ahead: int) -> None:
        """Name concepts from now on; without this, results stay pending."""
        self._queue = ProposalQueue(proposer, self._answered, ahead=ahead, stopping=self.stopping)

    def expect(self) -> None:
        """There will be something to name: let the proposer get ready meanwhile."""
        if self._queue is not None:
            self._queue.prepare()

    def use(self, scorer: Scorer) -> None:
        """Explain what comes from now on with this scorer. What is in the queue is finished first, with the old one."""
        if scorer is not self._scorer:
            self.drain()
            self._scorer = scorer

    def publish(self, audited: AuditedFile) -> None:
        """Write an audit's pictures and result."""
        record = audited.result.record
        if audited.shown is not None:
            write_waiting(waiting_path(self.workspace.waiting, record.file_sha256, record.recipe_id), audited.shown)
            crash_point("pictures_kept")
        write_result(self.workspace.results, audited.result)

    def name(self, audited: AuditedFile) -> None:
        """Have the concepts of a published audit named, if there are any to name and someone to ask."""
        record = audited.result.record
        if audited.shown is not None and self._queue is not None:
            self._asked.add((record.file_sha256, record.recipe_id))
            self._queue.put(audited)
        else:
            self.on_record(record, False)

    def may_take_up(self, file_sha256: str, recipe_id: str) -> bool:
        """Whether there are pictures to name of an earlier result, and someone to ask."""
        path = waiting_path(self.workspace.waiting, file_sha256, recipe_id)
        return self._queue is not None and (file_sha256, recipe_id) not in self._asked and path.exists()

    def take_up(self, file_sha256: str, recipe_id: str, base_images: NDArray[np.uint8], max_side: int) -> bool:
        """Name an earlier result that still waits. False: its pictures are damaged, it has to be audited again.

        Args:
            file_sha256: Of the result.
            recipe_id: Of the result.
            base_images: The recipe's base images (n, H, W, 3).
            max_side: Longest side shown, in pixels.
        """
        if not self.may_take_up(file_sha256, recipe_id):
            return True
        path = waiting_path(self.workspace.waiting, file_sha256, recipe_id)
        try:
            result = read_result(result_path(self.workspace.results, file_sha256, recipe_id))
            if result.record.proposals != "pending":
                path.unlink(missing_ok=True)  # named, but killed before this
                return True
            shown = read_waiting(path, base_images, max_side)
        except (CorruptResult, DamagedPictures) as error:
            log.warning("pictures lost, adapter is audited again", error=str(error))
            path.unlink(missing_ok=True)
            return False
        self.name(AuditedFile(result, shown))
        return True

    def drain(self) -> None:
        """Wait until everything is named, or the task is stopping; what is left stays pending."""
        for audited in self._queue.drain() if self._queue is not None else ():
            self._answered(audited, None, 0.0)

    def close(self) -> None:
        """Ask nothing more, and end the proposer's server if it started one."""
        if self._queue is not None:
            self._queue.close()
            close = getattr(self._queue.proposer, "close", None)
            if close is not None:
                close()

    def _answered(self, audited: AuditedFile, proposals: Proposals | None, seconds: float) -> None:
        record = audited.result.record
        if proposals is None:
            self.on_record(record, True)
            return
        assert self._scorer is not None
        named = explain_with_proposals(self._scorer, audited, proposals, seconds)
        write_result(self.workspace.results, named)
        crash_point("item_named")
        waiting_path(self.workspace.waiting, record.file_sha256, record.recipe_id).unlink(missing_ok=True)
        crash_point("pictures_dropped")
        self.on_record(named.record, False)


def failed_file(
    item: WorkItem,
    sha256: str,
    error: ItemError,
    recipe_id: str = ANY_RECIPE,
    changes: Mapping[str, object] | None = None,
) -> AuditedFile:
    """The result of an item that ended early, with some fields of its record changed."""
    record = failure_record(item, sha256, recipe_id, error)
    return AuditedFile(Result(record.model_copy(update=dict(changes or {})), {}))
