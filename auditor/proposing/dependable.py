"""A server that fails now and then, made bearable: restarted a few times where it is ours, then left alone.

Once several adapters in a row got no answer, further ones are not kept waiting: their pictures stay on disk and are
named later. After a pause one is let through to see whether the server is back.
"""

from __future__ import annotations

import time

import structlog

from auditor.common.pictures import Pictures
from auditor.proposing.openai_proposer import OpenAIProposer
from auditor.proposing.proposer import Proposer, ProposerOptions, VlmUnavailable
from auditor.proposing.readiness import check_server
from auditor.proposing.reply_cache import ReplyCache
from auditor.proposing.server import LocalServer
from auditor.records.proposals import Proposals

_CHECK_S = 30.0

log = structlog.get_logger(__name__)


class Breaker:
    """Passes calls on until `failures` in a row found no answer, then one every `pause_s` seconds."""

    def __init__(self, inner: Proposer, *, failures: int, pause_s: float = 300.0) -> None:
        self.inner = inner
        self.failures, self.pause_s = failures, pause_s
        self._in_a_row = 0
        self._last_try = 0.0

    @property
    def identity(self) -> str:
        """That of the proposer inside."""
        return self.inner.identity

    @property
    def is_open(self) -> bool:
        """Whether the next call is turned away."""
        return self._in_a_row >= self.failures and time.monotonic() - self._last_try < self.pause_s

    def propose(self, base_images: Pictures, adapted_images: Pictures) -> Proposals:
        """See `Proposer.propose`."""
        if self.is_open:
            raise VlmUnavailable(f"the VLM failed {self._in_a_row} times in a row and is left alone for a while")
        self._last_try = time.monotonic()
        try:
            proposals = self.inner.propose(base_images, adapted_images)
        except VlmUnavailable:
            self._in_a_row += 1
            if self._in_a_row == self.failures:
                log.error("vlm given up for now", failures=self._in_a_row, next_try_s=self.pause_s)
            raise
        self._in_a_row = 0
        return proposals

    def close(self) -> None:
        """Release what the proposer inside holds."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            close()


class ServedProposer:
    """Starts its own server when first asked, and again, `restarts` times at most, when it no longer answers."""

    def __init__(
        self, server: LocalServer, settings: ProposerOptions, cache: ReplyCache | None, *, restarts: int
    ) -> None:
        self.server = server
        self.settings, self.cache = settings, cache
        self.restarts_left = restarts
        self._closed = False
        self._plain = OpenAIProposer(server.plan.endpoint, settings, cache)

    @property
    def identity(self) -> str:
        """The same as for a server at a given address: where a model runs decides nothing."""
        return self._plain.identity

    def prepare(self) -> None:
        """Start the server ahead of the first question. Trouble shows again, and is handled, when it is asked."""
        try:
            self.server.start()
        except VlmUnavailable as error:
            log.warning("vlm server did not start", error=str(error))

    def propose(self, base_images: Pictures, adapted_images: Pictures) -> Proposals:
        """See `Proposer.propose`."""
        while True:
            if self._closed:
                raise VlmUnavailable("the VLM server was stopped")
            try:
                proposer = OpenAIProposer(self.server.start(), self.settings, self.cache)
                proposer.form = self._plain.form
                proposals = proposer.propose(base_images, adapted_images)
                self._plain.form = proposer.form
                return proposals
            except VlmUnavailable as error:
                if not self.restarts_left or self._answers():
                    raise
                self.restarts_left -= 1
                log.warning("vlm server is started again", error=str(error), restarts_left=self.restarts_left)
                self.server.stop()

    def close(self) -> None:
        """End the server for good."""
        self._closed = True
        self.server.stop()

    def _answers(self) -> bool:
        """Whether the server can still look at a picture; then the trouble was the request's own."""
        if not self.server.running:
            return False
        try:
            endpoint = self.server.start()
            return check_server(endpoint, min(_CHECK_S, endpoint.deadline_s)).ready
        except VlmUnavailable:
            return False
