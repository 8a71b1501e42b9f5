"""One configured connection to a Hub: endpoint, identity, timeouts, retries. Nothing else talks HTTP."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # lazy re-exports
    RateLimitInfo,
    build_hf_headers,
    fix_hf_endpoint_in_url,
    hf_raise_for_status,
    http_backoff,
    http_stream_backoff,
    parse_ratelimit_headers,
)

from auditor import __version__
from auditor.errors import TransientError, UserError

DEFAULT_ENDPOINT = "https://huggingface.co"
RETRIED_STATUS = (408, 429, 500, 502, 503, 504)
_RETRIED_ERRORS = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class Retry:
    """How stubborn a request is: attempts, and seconds between them (doubling up to the maximum).

    A 429 that names its reset time is waited for as told, whatever stands here.
    """

    max_retries: int = 5
    base_wait_s: float = 1.0
    max_wait_s: float = 8.0


@dataclass(slots=True)
class HubClient:
    """Requests to one Hub under one identity, counted.

    Attributes:
        endpoint: Without a trailing slash.
        token: The token sent, or False for anonymous: never one that happens to lie on this machine.
        api: The library's own client for the same endpoint and identity.
        requests: Requests made so far (redirect targets included, retries not).
        rate_limit: What the server said last about our budget, if it did.
    """

    endpoint: str
    token: str | Literal[False]
    retry: Retry
    api: HfApi
    requests: int = 0
    rate_limit: RateLimitInfo | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def anonymous(self) -> bool:
        """Whether requests carry no token."""
        return self.token is False

    def headers(self, url: str) -> dict[str, str]:
        """Return request headers; the token goes to our endpoint's origin only."""
        token = self.token if _origin(url) == _origin(self.endpoint) else False
        return build_hf_headers(token=token, library_name="auditor", library_version=__version__)

    def get(self, url: str, params: Sequence[tuple[str, str]] = ()) -> httpx2.Response:
        """GET with back-off, the first page of a listing included; raises the library's errors."""
        return self._request("GET", url, headers=self.headers(url), params=list(params) or None)

    def post(self, url: str, data: Mapping[str, Any]) -> httpx2.Response:
        """POST a form with back-off (for questions, which are safe to repeat)."""
        return self._request("POST", url, headers=self.headers(url), data=dict(data))

    def head(self, url: str) -> httpx2.Response:
        """HEAD without following redirects: the Hub's redirect itself carries the facts about a file."""
        headers = {**self.headers(url), "Accept-Encoding": "identity"}  # else the size is that of a gzip
        return self._request("HEAD", url, headers=headers, follow_redirects=False)

    def _request(self, method: Literal["GET", "POST", "HEAD"], url: str, **kwargs: Any) -> httpx2.Response:
        self.count()
        response = http_backoff(
            method,
            url,
            max_retries=self.retry.max_retries,
            base_wait_time=self.retry.base_wait_s,
            max_wait_time=self.retry.max_wait_s,
            retry_on_exceptions=_RETRIED_ERRORS,
            retry_on_status_codes=RETRIED_STATUS,
            **kwargs,
        )
        self.rate_limit = parse_ratelimit_headers(response.headers) or self.rate_limit
        hf_raise_for_status(response)
        return response

    @contextmanager
    def stream(self, url: str, *, first_byte: int = 0) -> Iterator[httpx2.Response]:
        """GET a body piece by piece, from `first_byte` on; only the opening is retried."""
        self.count()
        headers = {**self.headers(url), "Accept-Encoding": "identity"}
        if first_byte:
            headers["Range"] = f"bytes={first_byte}-"
        with http_stream_backoff(
            "GET",
            url,
            headers=headers,
            max_retries=self.retry.max_retries,
            base_wait_time=self.retry.base_wait_s,
            max_wait_time=self.retry.max_wait_s,
            retry_on_exceptions=(),
            retry_on_status_codes=RETRIED_STATUS,
        ) as response:
            hf_raise_for_status(response)
            yield response

    def next_page(self, response: httpx2.Response) -> str | None:
        """Return the next link of a page; a link to another origin is refused (it would get our token)."""
        url: str | None = response.links.get("next", {}).get("url")
        if url is None:
            return None
        url = fix_hf_endpoint_in_url(url, self.endpoint)
        if _origin(url) != _origin(self.endpoint):
            raise TransientError(f"the Hub's next-page link leads to another server ({_origin(url)})")
        return url

    def count(self) -> None:
        """Count one request."""
        with self._lock:
            self.requests += 1


def connect(
    endpoint: str = DEFAULT_ENDPOINT,
    *,
    token: str | None = None,
    connect_timeout_s: float = 10.0,
    read_timeout_s: float = 60.0,
    retry: Retry | None = None,
) -> HubClient:
    """Configure the library for this process and return a client.

    The library reads `HF_ENDPOINT` and its switches when it is imported, and sets no timeout of its own;
    both are settled here: the endpoint is passed explicitly, every request times out, telemetry is off,
    and Xet is off (for files of some megabytes it costs an API request per repo and gains nothing).
    """
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UserError(f"{endpoint!r} is not a Hub endpoint. Give a URL such as {DEFAULT_ENDPOINT}.")
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_DISABLE_XET = True
    timeout = httpx2.Timeout(read_timeout_s, connect=connect_timeout_s)
    set_client_factory(lambda: _new_session(timeout))
    endpoint = endpoint.rstrip("/")
    chosen: str | Literal[False] = token if token else False
    return HubClient(endpoint, chosen, retry or Retry(), HfApi(endpoint=endpoint, token=chosen))


def _new_session(timeout: httpx2.Timeout) -> httpx2.Client:
    return httpx2.Client(
        timeout=timeout,
        follow_redirects=True,
        verify=_ssl_context(),
        event_hooks={"request": [_refuse_offline]},
    )


@cache
def _ssl_context() -> ssl.SSLContext:
    """Reading the certificates takes long, and the library makes a new session after some errors."""
    return httpx2.create_ssl_context()


def _refuse_offline(request: httpx2.Request) -> None:
    """Keep the promise of `HF_HUB_OFFLINE`, as the library's own session does; loopback is no network."""
    if constants.is_offline_mode() and request.url.host not in ("127.0.0.1", "localhost", "::1"):
        raise OfflineModeIsEnabled(f"HF_HUB_OFFLINE is set; not reaching {request.url.host}")


def transient(error: Exception) -> bool:
    """Return whether another attempt, later, may succeed where this error came up."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in RETRIED_STATUS
    return isinstance(error, (httpx2.TransportError, OfflineModeIsEnabled))


def same_origin(url: str, other: str) -> bool:
    """Return whether two URLs have scheme, host and port in common."""
    return _origin(url) == _origin(other)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default
