"""One configured connection to a Hub: endpoint, identity, timeouts, retries. Nothing else talks HTTP."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import httpx2
import structlog
from huggingface_hub import HfApi, constants, set_client_factory
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # lazy re-exports
    RateLimitInfo,
    build_hf_headers,
    close_session,
    fix_hf_endpoint_in_url,
    get_session,
    hf_raise_for_status,
)

from auditor import __version__
from auditor.common.retry_after import retry_after_s
from auditor.errors import TransientError, UserError
from auditor.hub.pace import Pace, bucket_of
from auditor.hub.refusals import is_retried, status_of
from auditor.hub.session import new_session, origin, same_origin

DEFAULT_ENDPOINT = "https://huggingface.co"
MAX_ANSWER_BYTES = 256 * 1024**2
"""A page of 1,000 repos with long file lists takes some megabytes."""
_RETRIED_ERRORS = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)
_REST_S = 30.0
log = structlog.get_logger(__name__)


class AnswerTooLong(TransientError):
    """An answer was given up at `MAX_ANSWER_BYTES`: ask for less at once."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How stubborn a request is: attempts, and seconds between them (doubling up to the maximum).

    A 429 that names its reset time is waited for as told, up to `max_announced_s`.
    """

    max_retries: int = 5
    base_wait_s: float = 1.0
    max_wait_s: float = 8.0
    max_announced_s: float = 900.0

    def pause(self, failures: int) -> float:
        """Seconds to wait after the given number of failures."""
        return min(self.base_wait_s * 2.0 ** (failures - 1), self.max_wait_s)


@dataclass(slots=True)
class HubClient:
    """Requests to one Hub under one identity, counted and paced.

    Attributes:
        endpoint: Without a trailing slash.
        token: The token sent, or False for anonymous: never one that happens to lie on this machine.
        api: The library's own client for the same endpoint and identity.
        pace: What the server's rate-limit headers allow.
        answer_s: Seconds for one whole answer other than a download: a server that drips is given up.
        requests: Requests made so far (redirect targets included, retries not).
        received: Bytes of answers and downloads so far, as they came over the wire or more.
    """

    endpoint: str
    token: str | Literal[False]
    retry: Retry
    api: HfApi
    pace: Pace
    answer_s: float = 300.0
    requests: int = 0
    received: int = 0
    _away_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def anonymous(self) -> bool:
        """Whether requests carry no token."""
        return self.token is False

    @property
    def rate_limit(self) -> RateLimitInfo | None:
        """What the server said last about our budget of API calls, if it did."""
        return self.pace.seen.get("api")

    def headers(self, url: str) -> dict[str, str]:
        """Return request headers; the token goes to our endpoint's origin only."""
        token = self.token if same_origin(url, self.endpoint) else False
        return build_hf_headers(token=token, library_name="auditor", library_version=__version__)

    def get(self, url: str, params: Sequence[tuple[str, str]] = ()) -> httpx2.Response:
        """GET with back-off, the first page of a listing included; raises the library's errors."""
        return self._request("GET", url, headers=self.headers(url), params=list(params) or None)

    def post(self, url: str, data: Mapping[str, Any]) -> httpx2.Response:
        """POST a form with back-off (for questions, which are safe to repeat)."""
        return self._request("POST", url, headers=self.headers(url), data=dict(data))

    def head(self, url: str) -> httpx2.Response:
        """HEAD without following redirects: the Hub's redirect itself carries the facts about a file.

        Where a proxy knows no HEAD, the headers of a GET are taken and its body is left.
        """
        headers = {**self.headers(url), "Accept-Encoding": "identity"}  # else the size is that of a gzip
        try:
            return self._request("HEAD", url, headers=headers, follow_redirects=False)
        except HfHubHTTPError as error:
            if status_of(error) not in (405, 501):
                raise
        return self._request("GET", url, body=False, headers=headers, follow_redirects=False)

    def _request(
        self, method: Literal["GET", "POST", "HEAD"], url: str, *, body: bool = True, **kwargs: Any
    ) -> httpx2.Response:
        """One question and its whole answer, or its headers where the body is not wanted.

        The library's own back-off retries neither a body that is cut nor one that drips, and sleeps for as long
        as any server says; so the loop is ours, over the library's session.
        """
        self.count()
        for failures in itertools.count(1):
            self._ready(url)
            try:
                response = self._answer(method, url, kwargs, body=body)
            except _RETRIED_ERRORS as error:
                self._failed(error, failures)
            else:
                if not is_retried(response.status_code) or failures > self.retry.max_retries:
                    hf_raise_for_status(response)
                    return response
                self._hold(url, response)
            time.sleep(self.retry.pause(failures))
        raise AssertionError("unreachable")

    def _answer(self, method: str, url: str, kwargs: Mapping[str, Any], *, body: bool) -> httpx2.Response:
        """Read one answer within the deadline and the size cap."""
        deadline = time.monotonic() + self.answer_s
        content = bytearray()
        with get_session().stream(method, url, **kwargs) as response:
            for chunk in response.iter_bytes() if body else ():
                content += chunk
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout(f"the answer took longer than {self.answer_s:g} s")
                if len(content) > MAX_ANSWER_BYTES:
                    raise AnswerTooLong(f"The answer to {urlsplit(url).path} runs past {MAX_ANSWER_BYTES:,} bytes.")
        self.pace.learn(bucket_of(url), response.headers)
        self.count(0, len(content))
        decoded = ("content-encoding", "content-length", "transfer-encoding")
        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in decoded]
        return httpx2.Response(response.status_code, headers=headers, content=bytes(content), request=response.request)

    @contextmanager
    def stream(self, url: str, *, first_byte: int = 0) -> Iterator[httpx2.Response]:
        """GET a body piece by piece, from `first_byte` on; refusals are retried, cuts are the caller's to resume."""
        self.count()
        headers = {**self.headers(url), "Accept-Encoding": "identity"}
        if first_byte:
            headers["Range"] = f"bytes={first_byte}-"
        for failures in itertools.count(1):
            self._ready(url)
            with ExitStack() as stack:
                response = stack.enter_context(get_session().stream("GET", url, headers=headers))
                if not is_retried(response.status_code) or failures > self.retry.max_retries:
                    hf_raise_for_status(response)
                    yield response
                    return
                self._hold(url, response)
            time.sleep(self.retry.pause(failures))

    def _ready(self, url: str) -> None:
        """Wait for the rate limit; a server that was not there a moment ago is not tried by every thread again."""
        if time.monotonic() < self._away_until:
            raise httpx2.ConnectError(f"{self.endpoint} did not answer a moment ago")
        self.pace.wait(bucket_of(url))

    def _hold(self, url: str, response: httpx2.Response) -> None:
        """Note how long a refusal asks us to wait; one without a word gets the usual pause."""
        self.pace.learn(bucket_of(url), response.headers)
        wait = retry_after_s(response.headers)
        if wait is not None:
            self.pace.hold(bucket_of(url), wait)
        log.warning("the Hub refused", status=response.status_code, path=urlsplit(url).path, retry_after_s=wait)

    def _failed(self, error: Exception, failures: int) -> None:
        """Count a cut or a silence; raise it when patience is over."""
        if isinstance(error, httpx2.ConnectError):
            close_session()  # after a TLS error the shared session is of no more use
        if failures > self.retry.max_retries:
            if isinstance(error, httpx2.ConnectError):
                self._away_until = time.monotonic() + _REST_S
            raise error

    def next_page(self, response: httpx2.Response) -> str | None:
        """Return the next link of a page; a link to another origin is refused (it would get our token)."""
        url: str | None = response.links.get("next", {}).get("url")
        if url is None:
            return None
        url = fix_hf_endpoint_in_url(urljoin(str(response.request.url), url), self.endpoint)
        if not same_origin(url, self.endpoint):
            raise TransientError(f"the Hub's next-page link leads to another server ({origin(url)})")
        return url

    def count(self, requests: int = 1, received: int = 0) -> None:
        """Add to the totals."""
        with self._lock:
            self.requests += requests
            self.received += received


def connect(
    endpoint: str = DEFAULT_ENDPOINT,
    *,
    token: str | None = None,
    connect_timeout_s: float = 10.0,
    read_timeout_s: float = 60.0,
    answer_s: float = 300.0,
    retry: Retry | None = None,
) -> HubClient:
    """Configure the library for this process and return a client.

    The library reads `HF_ENDPOINT` and its switches when it is imported, and sets no timeout of its own;
    both are settled here: the endpoint is passed explicitly, every request times out, telemetry is off, no token
    is taken from this machine unasked, and Xet is off (for files of some megabytes it costs an API request per
    repo and gains nothing).
    """
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UserError(f"{endpoint!r} is not a Hub endpoint. Give a URL such as {DEFAULT_ENDPOINT}.")
    constants.HF_HUB_DISABLE_TELEMETRY = True
    constants.HF_HUB_DISABLE_XET = True
    constants.HF_HUB_DISABLE_IMPLICIT_TOKEN = True
    timeout = httpx2.Timeout(read_timeout_s, connect=connect_timeout_s)
    endpoint = endpoint.rstrip("/")
    set_client_factory(lambda: new_session(timeout, endpoint))
    chosen: str | Literal[False] = token if token else False
    patience = retry or Retry()
    api = HfApi(endpoint=endpoint, token=chosen)
    return HubClient(endpoint, chosen, patience, api, Pace(patience.max_announced_s), answer_s)
