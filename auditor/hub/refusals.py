"""What an HTTP status of a Hub, its mirror or its CDN means for the next attempt."""

from __future__ import annotations

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
