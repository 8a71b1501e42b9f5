"""The HTTP session under every request: timeouts, certificates, and where the token may go."""

from __future__ import annotations

import ssl
from functools import cache
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled


def new_session(timeout: httpx2.Timeout, endpoint: str) -> httpx2.Client:
    """A session that follows redirects and shows a token to `endpoint`'s origin only."""

    def keep_token_home(request: httpx2.Request) -> None:
        # Called for every hop. The session itself would carry it along from http to https.
        if not same_origin(str(request.url), endpoint):
            request.headers.pop("Authorization", None)

    return httpx2.Client(
        timeout=timeout,
        follow_redirects=True,
        verify=_ssl_context(),
        event_hooks={"request": [_refuse_offline, keep_token_home]},
    )


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL."""
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def same_origin(url: str, other: str) -> bool:
    """Return whether two URLs have scheme, host and port in common."""
    return origin(url) == origin(other)


@cache
def _ssl_context() -> ssl.SSLContext:
    """Reading the certificates takes long, and the library makes a new session after some errors."""
    return httpx2.create_ssl_context()


def _refuse_offline(request: httpx2.Request) -> None:
    """Keep the promise of `HF_HUB_OFFLINE`, as the library's own session does; loopback is no network."""
    if constants.is_offline_mode() and request.url.host not in ("127.0.0.1", "localhost", "::1"):
        raise OfflineModeIsEnabled(f"HF_HUB_OFFLINE is set; not reaching {request.url.host}")
