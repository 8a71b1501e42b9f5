"""Misbehaviour on request: what a test programs into the pocket Hub before it asks something of it."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "stall", "cut", "length", "corrupt", "body", "drip", "endless"]


@dataclass(slots=True)
class Fault:
    """One programmed fault.

    Attributes:
        kind: status: answer `status` with `headers`; stall: wait `seconds` after `after_bytes` of the body;
            cut: close the connection after `after_bytes`; length: announce `by` bytes more than are sent;
            corrupt: flip one byte of the body; body: answer 200 with `body` in place of the real one;
            drip: send `by` bytes every `seconds`; endless: never end the body, and name no length.
        match: Regular expression searched in "METHOD /path?query".
        times: How many matching requests are hit.
        skip: How many matching requests pass unharmed first.
    """

    kind: Kind
    match: str = ""
    times: int = 1
    skip: int = 0
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    after_bytes: int = 0
    by: int = 0
    body: bytes = b""
    hits: int = 0


class Faults:
    """The programmed faults of one server; several may be pending, the first that matches is used."""

    def __init__(self) -> None:
        self._pending: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Program a fault; its `hits` tell how often it struck."""
        with self._lock:
            self._pending.append(fault)
        return fault

    def too_many_requests(
        self,
        match: str = "",
        *,
        times: int = 1,
        skip: int = 0,
        reset: int | None = None,
        retry_after: int | None = None,
    ) -> Fault:
        """Answer 429: bare, with `RateLimit` (reset in seconds), or with `Retry-After`."""
        headers: dict[str, str] = {}
        if reset is not None:
            headers["RateLimit"] = f'"api";r=0;t={reset}'
            headers["RateLimit-Policy"] = '"fixed window";"api";q=500;w=300'
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        return self.add(Fault("status", match, times, skip, status=429, headers=headers))

    def server_error(self, match: str = "", *, status: int = 503, times: int = 1, skip: int = 0) -> Fault:
        """Answer a 5xx."""
        return self.add(Fault("status", match, times, skip, status=status))

    def stall(self, match: str = "", *, seconds: float, times: int = 1, skip: int = 0, after_bytes: int = 0) -> Fault:
        """Fall silent for a while, before the headers or in the middle of the body."""
        return self.add(Fault("stall", match, times, skip, seconds=seconds, after_bytes=after_bytes))

    def cut(self, match: str = "", *, after_bytes: int = 0, times: int = 1, skip: int = 0) -> Fault:
        """Close the connection after so many bytes of the body."""
        return self.add(Fault("cut", match, times, skip, after_bytes=after_bytes))

    def wrong_length(self, match: str = "", *, by: int, times: int = 1, skip: int = 0) -> Fault:
        """Announce a Content-Length that is off by so many bytes, then close."""
        return self.add(Fault("length", match, times, skip, by=by))

    def corrupt(self, match: str = "", *, times: int = 1, skip: int = 0) -> Fault:
        """Flip one byte in the middle of the body."""
        return self.add(Fault("corrupt", match, times, skip))

    def drip(self, match: str = "", *, by: int, seconds: float, times: int = 1, skip: int = 0) -> Fault:
        """Send the body so slowly that no read ever times out."""
        return self.add(Fault("drip", match, times, skip, by=by, seconds=seconds))

    def endless(self, match: str = "", *, times: int = 1, skip: int = 0) -> Fault:
        """Send the body again and again until the client has had enough."""
        return self.add(Fault("endless", match, times, skip))

    def answer(self, match: str = "", *, body: bytes, times: int = 1, skip: int = 0) -> Fault:
        """Answer 200 with this body: an HTML page from a proxy, an object where a list belongs."""
        return self.add(Fault("body", match, times, skip, body=body))

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._pending.clear()

    def take(self, request: str) -> Fault | None:
        """Return the fault that this request ("METHOD /path?query") runs into, if any."""
        with self._lock:
            for fault in self._pending:
                if fault.hits >= fault.times or not re.search(fault.match, request):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.hits += 1
                return fault
        return None
