"""The queue on its own: trouble while a proposer gets ready must not end the thread that answers."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from auditor.audit.proposal_queue import ProposalQueue
from auditor.proposing.proposer import VlmUnavailable
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


class Slow:
    """Answers when it is let, and remembers in which thread."""

    identity = "stub"

    def __init__(self, *, away: bool = False) -> None:
        self.let, self.away = threading.Event(), away
        self.threads: list[str] = []

    def propose(self, base_images: Any, images: Any) -> Proposals:
        assert self.let.wait(20)
        self.threads.append(threading.current_thread().name)
        if self.away:
            raise VlmUnavailable("away")
        return Proposals((), (), len(self.threads), 0, None)


def test_with_nothing_ahead_put_returns_with_the_answer_in_its_own_thread() -> None:
    proposer, answers = Slow(), list[AuditedFile]()
    proposer.let.set()
    queue = ProposalQueue(proposer, lambda audit, *_: answers.append(audit), ahead=0)
    one = audited()
    queue.put(one)
    assert answers == [one] and proposer.threads == [threading.current_thread().name]


def test_as_many_as_may_wait_do_and_answers_come_in_order() -> None:
    proposer, answers = Slow(), list[AuditedFile]()
    queue = ProposalQueue(proposer, lambda audit, *_: answers.append(audit), ahead=2)
    files = [audited() for _ in range(3)]
    for file in files[:2]:
        queue.put(file)
    assert answers == []
    timer = threading.Timer(0.2, proposer.let.set)
    timer.start()
    queue.put(files[2])  # a third may not wait beside two
    assert answers and answers[0] is files[0]
    assert queue.drain() == [] and answers == files
    assert set(proposer.threads) == {"proposals"}
    queue.close()


def test_who_is_told_to_stop_waits_for_a_while_and_leaves_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.audit.proposal_queue.GRACE_S", 0.3)
    proposer, answers = Slow(), list[AuditedFile]()
    queue = ProposalQueue(proposer, lambda audit, *_: answers.append(audit), ahead=2, stopping=lambda: True)
    files = [audited() for _ in range(3)]
    for file in files[:2]:
        queue.put(file)
    began = time.monotonic()
    queue.put(files[2])  # which may not wait beside two, and does not wait for ever either
    assert queue.drain() == files and answers == []
    assert 0.3 <= time.monotonic() - began < 10.0
    proposer.let.set()
    queue.close()
    quick = ProposalQueue(proposer, lambda audit, *_: answers.append(audit), ahead=2, stopping=lambda: True)
    quick.put(files[0])
    assert quick.drain() == [] and answers == files[:1]
    quick.close()


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_proposer_that_is_away_is_no_error_and_gives_no_proposals(ahead: int) -> None:
    proposer, answers = Slow(away=True), list[Proposals | None]()
    proposer.let.set()
    queue = ProposalQueue(proposer, lambda audit, proposals, seconds: answers.append(proposals), ahead=ahead)
    queue.put(audited())
    queue.drain()
    queue.close()
    assert answers == [None]
