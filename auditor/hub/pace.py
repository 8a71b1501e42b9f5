"""How fast we may ask: the server's own rate-limit headers, per kind of request, shared by all threads."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import structlog
from huggingface_hub.utils import RateLimitInfo, parse_ratelimit_headers  # type: ignore[attr-defined]  # lazy re-exports

from auditor.errors import TransientError

Bucket = Literal["api", "resolvers", "cdn"]
"""What the Hub counts separately: API calls, file requests, and what its CDN serves (not counted)."""

WINDOW_S = 300
ANONYMOUS_QUOTA: Mapping[Bucket, int] = {"api": 500, "resolvers": 3_000}
TOKEN_QUOTA: Mapping[Bucket, int] = {"api": 1_000, "resolvers": 5_000}
"""Requests per window that the Hub documents for a stranger and for a free account; its headers overrule them."""

log = structlog.get_logger(__name__)


def bucket_of(url: str) -> Bucket:
    """Name the quota that a request is counted against."""
    path = urlsplit(url).path
    if path.startswith("/api/"):
        return "api"
    return "resolvers" if "/resolve/" in path else "cdn"


def quota(bucket: Bucket, *, anonymous: bool, seen: RateLimitInfo | None) -> tuple[int, int]:
    """Return (requests, seconds of the window): as the server says, else as documented."""
    if seen is not None and seen.limit and seen.window_seconds:
        return seen.limit, seen.window_seconds
    return (ANONYMOUS_QUOTA if anonymous else TOKEN_QUOTA).get(bucket, 0), WINDOW_S


def least_seconds(requests: int, limit: int, window_s: int, remaining: int | None = None) -> float:
    """Seconds that the quota alone imposes on so many requests: whole windows to wait for."""
    left = limit if remaining is None else min(remaining, limit)
    if limit <= 0 or requests <= left:
        return 0.0
    return float(math.ceil((requests - left) / limit) * window_s)


@dataclass(slots=True)
class Pace:
    """When the next request of each kind may go out.

    Attributes:
        max_wait_s: A longer announced wait is not sat out: the stage ends and is run again later.
        seen: What the server said last, by bucket.
    """

    max_wait_s: float
    seen: dict[Bucket, RateLimitInfo] = field(default_factory=dict)
    _not_before: dict[Bucket, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def wait(self, bucket: Bucket) -> None:
        """Sleep until a request of this kind is welcome.

        Raises:
            TransientError: The server wants more patience than `max_wait_s`.
        """
        while (left := self._not_before.get(bucket, 0.0) - time.monotonic()) > 0:
            if left > self.max_wait_s:
                raise TransientError(f"The Hub's rate limit asks for {left:.0f} s of patience. Try again later.")
            log.warning("waiting for the Hub's rate limit", kind=bucket, seconds=round(left, 1))
            time.sleep(left)

    def learn(self, bucket: Bucket, headers: Mapping[str, str]) -> None:
        """Note the budget that a reply tells of; an empty one holds the next request back."""
        info = parse_ratelimit_headers(headers)
        if info is None:
            return
        with self._lock:
            self.seen[bucket] = info
        if info.remaining == 0:
            self.hold(bucket, info.reset_in_seconds)

    def hold(self, bucket: Bucket, seconds: float) -> None:
        """Let nobody ask before so many seconds have passed (and one more, since servers round)."""
        with self._lock:
            self._not_before[bucket] = max(self._not_before.get(bucket, 0.0), time.monotonic() + seconds + 1)
