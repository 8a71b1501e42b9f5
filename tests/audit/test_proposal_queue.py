"""The queue on its own: trouble while a proposer gets ready must not end the thread that answers."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from auditor.audit.proposal_queue import ProposalQueue
from auditor.records.proposals import Proposals
from auditor.records.result import ANY_RECIPE, AuditRecord, WorkItem
from auditor.results.result_file import Result
from auditor.results.waiting_pictures import AuditedFile, ShownPairs


def audited() -> AuditedFile:
    item = WorkItem(repo_id="a/b", commit_sha="0" * 40, path="x", file_sha256=None, base_name=None)
    record = AuditRecord(
        item=item,
        file_sha256=item.name_sha256,
        recipe_id=ANY_RECIPE,
        outcome="scored",
        reason=None,
        message="-",
        base_name=None,
        proposals="pending",
    )
    pictures = np.zeros((1, 4, 4, 3), np.uint8)
    return AuditedFile(Result(record, {}), ShownPairs(np.zeros((2, 3), np.float32), pictures, pictures, None))


class Proposer:
    """Cannot get ready: its log folder is on a disk that is full."""

    identity = "stub"

    def __init__(self, *, asked_error: Exception | None = None) -> None:
        self.asked_error = asked_error
        self.prepared = threading.Event()

    def prepare(self) -> None:
        self.prepared.set()
        raise OSError(28, "No space left on device")

    def propose(self, base_images: Any, images: Any) -> Proposals:
        if self.asked_error is not None:
            raise self.asked_error
        return Proposals((), (), 0, 0, None)


def ask(proposer: Proposer) -> list[Proposals | None]:
    """Prepare, ask for one adapter and wait for its answer."""
    answers: list[Proposals | None] = []
    ended = threading.Event()  # as when the task is told to stop, so that a queue that hangs ends with its test
    queue = ProposalQueue(
        proposer, lambda audit, proposals, seconds: answers.append(proposals), ahead=1, stopping=ended.is_set
    )
    queue.prepare()
    assert proposer.prepared.wait(20)
    timer = threading.Timer(2, ended.set)
    timer.start()
    try:
        queue.put(audited())
        queue.drain()
    finally:
        timer.cancel()
        queue.close()
    return answers


def test_any_trouble_in_getting_ready_leaves_the_queue_working(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.audit.proposal_queue.GRACE_S", 1.0)
    assert ask(Proposer()) == [Proposals((), (), 0, 0, None)]


def test_trouble_that_stays_shows_when_the_proposer_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.audit.proposal_queue.GRACE_S", 1.0)
    with pytest.raises(OSError, match="still full"):
        ask(Proposer(asked_error=OSError(28, "still full")))
