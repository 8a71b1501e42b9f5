"""One page of a listing, believed only when it reads like one: a list, with a way on or a proven end.

A mirror or proxy may drop the `Link` header that leads to the next page, and then every query seems to end after its
first. So an end that looks too early is put to the test: asked for fewer entries than it has, a server that pages must
name a next page.

A page that is too long, because some uploaders' cards are, is asked for in smaller pieces, and a single entry without
its card: one repo cannot end a crawl.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import structlog
from huggingface_hub.errors import HfHubHTTPError

from auditor.errors import TransientError
from auditor.hub.client import AnswerTooLong, HubClient
from auditor.hub.refusals import status_of

log = structlog.get_logger(__name__)

_READABLE_ATTEMPTS = 2
_CARD = ("expand", "cardData")
_SMALLER = 8
_UNREADABLE = "the answer is not a JSON list (a proxy's page, perhaps)"
NO_LINKS = (
    "the listing stops without a link to its next page, and this server gives none: a mirror or proxy that drops the "
    "Link header? Set hub.endpoint to one that keeps it"
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        following: Where to go on, without the server; None at the end.
        trouble: Why a first page without a link is not taken for the whole; its entries are good all the same.
    """

    body: bytes
    entries: list[Any]
    following: str | None
    trouble: str | None = None


@dataclass(slots=True)
class Pager:
    """Fetches pages. `pages_by_link`: whether this server has been seen to name a next page."""

    client: HubClient
    pages_by_link: bool = False

    def page(self, url: str, *, first: bool) -> Page:
        """Fetch one page.

        Args:
            url: Without the server.
            first: Whether it is the first of its query; a later one follows a link that promised more.

        Raises:
            TransientError: No list, the same page again, or an end that cannot be believed.
        """
        self.pages_by_link |= not first
        trouble = _UNREADABLE
        for attempt in range(1, _READABLE_ATTEMPTS + 1):
            if attempt > 1:
                time.sleep(self.client.retry.base_wait_s)
            found = self._read(url)
            if found is None:
                continue
            if found.following is not None:
                self.pages_by_link = True
                return found
            if not found.entries and not first and attempt < _READABLE_ATTEMPTS:
                continue  # the link here promised more
            if self._is_end(url, found.entries, first=first):
                return found
            trouble = NO_LINKS
            if first and attempt == _READABLE_ATTEMPTS:
                return replace(found, trouble=trouble)
        raise TransientError(trouble)

    def _read(self, url: str) -> Page | None:
        """One answer; None when it is no list of entries."""
        asked = url
        while True:
            try:
                response = self._get(f"{self.client.endpoint}{asked}")
                break
            except AnswerTooLong:
                asked = _lighter(asked)
                log.warning("a page of the listing is too long", asked_again_for=_limit(asked), cards=_has_cards(asked))
        try:
            entries = response.json()
        except (ValueError, RecursionError):
            return None
        if not isinstance(entries, list):
            return None
        link = self.client.next_page(response)
        following = link and link.removeprefix(self.client.endpoint)
        if following is not None and asked != url:
            following = _with_limit(following, _limit(url), cards=_has_cards(url))
        if following == url:
            raise TransientError("the next-page link of the listing leads to the same page again")
        return Page(response.content, entries, following)

    def _get(self, url: str) -> httpx2.Response:
        """GET; a 403 on a listing is a firewall's mood more often than a verdict, so it is asked again first."""
        for failures in range(1, self.client.retry.max_retries + 1):
            try:
                return self.client.get(url)
            except HfHubHTTPError as error:
                if status_of(error) != 403:
                    raise
                time.sleep(self.client.retry.pause(failures))
        return self.client.get(url)

    def _is_end(self, url: str, entries: list[Any], *, first: bool) -> bool:
        """Whether a page without a next link is the last one: plainly short, or proven by asking for less."""
        limit = _limit(url)
        if not entries or (len(entries) < limit and (self.pages_by_link or len(entries) == 1)):
            return True
        fewer = max(1, len(entries) - 1)
        probe = self._read(_with_limit(url, fewer))
        if probe is None or len(probe.entries) > fewer:
            # A server that knows no `limit` shows everything at once; anything else is no answer.
            return first and probe is not None and _ids(probe.entries) == _ids(entries)
        if probe.following is None:
            return False
        self.pages_by_link = True
        return _ids(probe.entries) == _ids(entries[: len(probe.entries)])


def _ids(entries: list[Any]) -> list[Any]:
    return [entry.get("id") if isinstance(entry, dict) else None for entry in entries]


def _limit(url: str) -> int:
    text = dict(parse_qsl(urlsplit(url).query)).get("limit", "")
    return int(text) if text.isdecimal() and text else 1


def _has_cards(url: str) -> bool:
    return _CARD in parse_qsl(urlsplit(url).query)


def _lighter(url: str) -> str:
    """The same place, asked for fewer entries, and for a single one without its card.

    Raises:
        AnswerTooLong: There is nothing left to leave out.
    """
    limit = _limit(url)
    if limit > 1:
        return _with_limit(url, max(1, limit // _SMALLER), cards=_has_cards(url))
    if _has_cards(url):
        return _with_limit(url, 1, cards=False)
    raise AnswerTooLong("One entry of the listing is longer than all that is read of a page.")


def _with_limit(url: str, limit: int, *, cards: bool | None = None) -> str:
    """The address with another limit; with or without cards, where that is said."""
    parts = urlsplit(url)
    pairs = [(name, value) for name, value in parse_qsl(parts.query) if name != "limit"]
    if cards is not None:
        pairs = [pair for pair in pairs if pair != _CARD] + [_CARD] * cards
    return f"{parts.path}?{urlencode([*pairs, ('limit', str(limit))])}"
