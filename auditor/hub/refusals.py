"""What an HTTP status of a Hub, its mirror or its CDN means for the next attempt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled


def is_retried(status: int) -> bool:
    """Whether a status is trouble that may pass: every 5xx (proxies have numbers of their own), and 408, 425, 429."""
    return status >= 500 or status in (408, 425, 429)


def status_of(error: Exception) -> int | None:
    """The HTTP status behind an error of the library; None for anything else."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def transient(error: Exception) -> bool:
    """Return whether another attempt, later, may succeed where this error came up."""
    status = status_of(error)
    if status is not None:
        return is_retried(status)
    return isinstance(error, (httpx2.TransportError, OfflineModeIsEnabled))


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number, or a date (RFC 9110, section 10.2.3).

    A date is read against the answer's own `Date` where it has one, so that a clock that is off costs nothing.
    """
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        until = _date(text)
        if until is None:
            return None
        seconds = (until - (_date(headers.get("Date", "")) or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
