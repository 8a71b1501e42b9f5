"""Where proposals are asked for while the generator goes on: a bounded queue, one thread, answers in order.

The thread does nothing but ask. Explaining and publishing stay with the caller's thread, between two adapters, so
that models and files are only ever touched by one.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from auditor.proposing.proposer import Proposer, VlmUnavailable
from auditor.records.proposals import Proposals
from auditor.results.waiting_pictures import AuditedFile

GRACE_S = 15.0
"""Seconds that a task which was told to stop still waits for answers: a scheduler kills after thirty or more."""
_POLL_S = 0.2


@dataclass(eq=False)
class _Order:
    audited: AuditedFile
    proposals: Proposals | None = None
    error: BaseException | None = None
    seconds: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)


class ProposalQueue:
    """Takes audited adapters, gives them back with their proposals, first come first served.

    Args:
        proposer: Asked from the queue's own thread when `ahead` is positive.
        on_answer: Called in the thread that calls `put` and `drain`, with seconds asked; the proposals are None when
            none could be had now.
        ahead: Adapters that may wait when `put` returns. 0: `put` returns with the answer, no thread.
        stopping: Asked while waiting. Once it says yes, waiting ends after `GRACE_S` seconds.
    """

    def __init__(
        self,
        proposer: Proposer,
        on_answer: Callable[[AuditedFile, Proposals | None, float], None],
        *,
        ahead: int,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.proposer, self.on_answer, self.ahead, self.stopping = proposer, on_answer, ahead, stopping
        self._give_up_at = math.inf
        self._prepared = False
        self._orders: deque[_Order] = deque()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Let the proposer start what it needs, in the background. Trouble shows again when it is asked."""
        prepare = getattr(self.proposer, "prepare", None)
        if self._prepared or prepare is None or not self.ahead:
            return
        self._prepared = True

        def quietly() -> None:
            with contextlib.suppress(Exception):  # a bug too: it must not end the thread that answers
                prepare()

        self._hand_over(quietly)

    def put(self, audited: AuditedFile) -> None:
        """Ask for one adapter's concepts; returns once at most `ahead` are unanswered, or when stopping."""
        order = _Order(audited)
        self._orders.append(order)
        if self.ahead:
            self._hand_over(lambda: self._answer(order))
        else:
            self._answer(order)
        while self._orders and (self._orders[0].done.is_set() or len(self._orders) > self.ahead):
            if not self._collect():
                break

    def drain(self) -> list[AuditedFile]:
        """Wait for everything in the queue. Returns what was left unanswered because the task is stopping."""
        while self._orders and self._collect():
            pass
        left = [order.audited for order in self._orders]
        self._orders.clear()
        return left

    def close(self) -> None:
        """Ask nothing more. What is unanswered keeps its pictures on disk; a request under way is left alone."""
        self._orders.clear()
        if self._thread is not None:
            self._inbox.put(None)
            self._thread = None

    def _hand_over(self, work: Callable[[], None]) -> None:
        if self._thread is None:
            # A daemon: a server that hangs must not keep an interrupted task from ending.
            self._thread = threading.Thread(target=self._serve, name="proposals", daemon=True)
            self._thread.start()
        self._inbox.put(work)

    def _serve(self) -> None:
        while (work := self._inbox.get()) is not None:
            work()

    def _answer(self, order: _Order) -> None:
        assert order.audited.shown is not None
        began = time.monotonic()
        try:
            order.proposals = self.proposer.propose(order.audited.shown.base_images, order.audited.shown.images)
        except BaseException as error:
            order.error = error
        order.seconds = time.monotonic() - began
        order.done.set()

    def _collect(self) -> bool:
        """Hand back the first order. False: stopping, and it was not answered in time."""
        order = self._orders[0]
        while not order.done.wait(_POLL_S):
            if self._give_up_at == math.inf and self.stopping():
                self._give_up_at = time.monotonic() + GRACE_S
            if time.monotonic() >= self._give_up_at:
                return False
        self._orders.popleft()
        if order.error is not None and not isinstance(order.error, VlmUnavailable):
            raise order.error
        self.on_answer(order.audited, order.proposals, order.seconds)
        return True
