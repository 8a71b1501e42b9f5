"""Hubs, mirrors, proxies and CDNs that misbehave: what passes is sat out, what lasts is named, the token stays home."""

from __future__ import annotations

import email.utils
import hashlib
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled
from hypothesis import given
from hypothesis import strategies as st

from auditor.common.retry_after import retry_after_s
from auditor.errors import ItemError, PrerequisiteMissing, TransientError, UserError
from auditor.hub.client import HubClient, Retry, connect
from auditor.hub.crawler import CrawlOptions, crawl
from auditor.hub.download import fetch
from auditor.hub.facts import ask_facts
from auditor.hub.queries import Query
from auditor.hub.refusals import is_retried
from auditor.hub.session import new_session
from auditor.pocket.hub_server import Fault, HubIndex, HubServer, Identity, serve, synthetic_repo
from tests.hub.conftest import QUICK, make_lora
from tests.written_table import check_table

REPO, PATH = "ann/sepia", "sepia.safetensors"
WEIGHTS = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
LORA = Query(("lora",))
TOKEN = "hf_me"


@pytest.fixture
def sha(hub: HubServer) -> str:
    repo = synthetic_repo(REPO, {PATH: WEIGHTS})
    hub.index.add([repo])
    return repo.sha


def get(client: HubClient, sha: str, cache: Path, **options: Any) -> str:
    return fetch(client, REPO, PATH, commit_sha=sha, cache_dir=cache, **options).sha256


def refuse(hub: HubServer, match: str, status: int, times: int = 1, skip: int = 0, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return hub.faults.add(Fault("status", match, times, skip, status=status, headers=named))


# --- trouble that passes


@pytest.mark.parametrize("status", [425, 429, 500, 520, 599])
@pytest.mark.parametrize("where", ["^HEAD", "^GET /blobs", "^GET /api/models"])
def test_every_passing_status_is_sat_out(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path, status: int, where: str
) -> None:
    fault = refuse(hub, where, status)
    hub.index.add([make_lora(1)])
    assert crawl(client, [LORA], tmp_path / "crawl").complete
    assert get(client, sha, tmp_path) == SHA256
    assert fault.hits == 1


@given(status=st.integers(400, 999))
def test_what_is_retried(status: int) -> None:
    assert is_retried(status) == (status >= 500 or status in (408, 425, 429))


@pytest.mark.parametrize("status", [500, 520, 599])
def test_a_5xx_that_lasts_is_for_another_day(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path, status: int
) -> None:
    refuse(hub, "", status, times=99)
    with pytest.raises(TransientError):
        get(client, sha, tmp_path)


def test_retry_after_as_a_date_is_waited_for(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    hub.index.add([make_lora(1)])
    soon = email.utils.formatdate(time.time() + 86_400, usegmt=True)
    refuse(hub, "api/models", 503, Retry_After=soon)
    report = crawl(client, [LORA], tmp_path)
    assert not report.complete and "patience" in str(report.queries[0].error)


@given(seconds=st.integers(0, 10**6), skew=st.integers(-(10**6), 10**6))
def test_a_date_is_read_against_the_servers_own_clock(seconds: int, skew: int) -> None:
    there = time.time() + skew
    headers = {"Date": _date(there), "Retry-After": _date(there + seconds)}
    assert retry_after_s(headers) == pytest.approx(seconds, abs=1)
    assert retry_after_s({"Retry-After": str(seconds)}) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_is_a_wait_or_nothing(text: str) -> None:
    found = retry_after_s({"Retry-After": text})
    assert found is None or 0 <= found < float("inf")


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "-5", "Wed, 99 Foo 2026 00:00:00 GMT"])
def test_a_senseless_retry_after_asks_for_nothing(text: str) -> None:
    assert not retry_after_s({"Retry-After": text})


def test_a_past_date_asks_for_nothing() -> None:
    assert retry_after_s({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0


def _date(moment: float) -> str:
    return email.utils.format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)


# --- downloads


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_an_expired_address_of_the_cdn_is_asked_for_anew(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path, status: int
) -> None:
    hub.faults.cut("GET /blobs", after_bytes=100_000)
    refuse(hub, "GET /blobs", status)
    assert get(client, sha, tmp_path) == SHA256
    seen = [(item.method, item.status) for item in hub.requests]
    assert seen == [("HEAD", 302), ("GET", 200), ("GET", status), ("HEAD", 302), ("GET", 206)]


def test_an_expired_address_of_a_mirrors_own_is_asked_for_anew(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    refuse(hub, "^HEAD", 200, times=2, ETag=f'"{SHA256}"')  # no redirect: it serves the bytes itself
    fault = refuse(hub, "^GET .*resolve", 403)
    hub.faults.answer("^GET .*resolve", body=WEIGHTS)
    assert get(client, sha, tmp_path) == SHA256
    assert fault.hits == 1


@pytest.mark.parametrize("status", [400, 404, 410])
def test_another_refusal_of_a_mirrors_own_address_is_its_answer(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path, status: int
) -> None:
    refuse(hub, "^HEAD", 200, times=9, ETag=f'"{SHA256}"')
    refuse(hub, "^GET .*resolve", status)
    with pytest.raises(ItemError):
        get(client, sha, tmp_path)
    assert (len(hub.seen("HEAD")), len(hub.seen("GET .*resolve"))) == (1, 1)


def test_a_cdn_that_refuses_every_fresh_address_fails_that_file(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    refuse(hub, "GET /blobs", 403, times=99)
    with pytest.raises(ItemError, match="403") as caught:
        get(client, sha, tmp_path)
    assert (caught.value.outcome, caught.value.reason) == ("failed", "download_failed")
    assert len(hub.seen("HEAD")) == QUICK.max_retries + 1


def test_a_416_starts_over(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    hub.faults.cut("GET /blobs", after_bytes=100_000)
    refuse(hub, "GET /blobs", 416)
    assert get(client, sha, tmp_path) == SHA256
    assert [item.status for item in hub.seen("GET /blobs")] == [200, 416, 200]


def test_cuts_and_416_in_turn_come_to_an_end(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    for _ in range(20):
        hub.faults.cut("GET /blobs", after_bytes=100_000)
        refuse(hub, "GET /blobs", 416)
    with pytest.raises((ItemError, TransientError)):
        get(client, sha, tmp_path)
    assert len(hub.seen("GET /blobs")) <= 8


def test_a_whole_part_of_unknown_size_is_no_dead_end(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    config = b'{"r": 4}' * 100
    repo = synthetic_repo("bob/config", {"adapter_config.json": config})
    hub.index.add([repo])
    refuse(hub, "GET .*resolve", 416)
    git = hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / f"{git}.part").write_bytes(config)
    got = fetch(client, "bob/config", "adapter_config.json", commit_sha=repo.sha, cache_dir=tmp_path)
    assert got.local_path.read_bytes() == config


@pytest.mark.parametrize("status", [405, 501])
def test_a_proxy_without_head_is_asked_with_get(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path, status: int
) -> None:
    client = replace(client, retry=Retry(0, 0.01, 0.01))
    refuse(hub, "^HEAD", status, times=99)
    assert get(client, sha, tmp_path) == SHA256


REFUSED_HEADS = [
    (401, {}, False, ("gone", "repo_gone")),
    (401, {}, "manual", ("skipped", "gated")),
    (401, {"X_Error_Code": "GatedRepo"}, False, ("skipped", "gated")),
    (401, {"X_Error_Code": "RepoNotFound"}, False, ("gone", "repo_gone")),
    (403, {"X_Error_Code": "GatedRepo"}, False, ("skipped", "gated")),
    (403, {}, False, ("failed", "download_failed")),
    (404, {"X_Error_Code": "EntryNotFound"}, False, ("gone", "file_gone")),
    (451, {}, False, ("gone", "repo_disabled")),
]


@pytest.mark.parametrize(("status", "headers", "gated", "ending"), REFUSED_HEADS)
def test_what_a_refused_head_means(
    hub: HubServer,
    client: HubClient,
    sha: str,
    tmp_path: Path,
    status: int,
    headers: dict[str, str],
    gated: Any,
    ending: tuple[str, str],
) -> None:
    hub.index.change(REPO, gated=gated)
    refuse(hub, "^HEAD", status, times=99, **headers)
    with pytest.raises(ItemError) as caught:
        get(client, sha, tmp_path)
    assert (caught.value.outcome, caught.value.reason) == ending


def test_the_page_says_what_was_tried() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
    rows = [
        (
            f"{status} {headers.get('X_Error_Code', 'without a word')}{', and its page says gated' if gated else ''}",
            f"`{outcome}`, `{reason}`",
        )
        for status, headers, gated, (outcome, reason) in REFUSED_HEADS
    ]
    check_table(page, "refused files", ("the Hub refuses a file with", "outcome"), rows)


@pytest.mark.parametrize(
    "words",
    ["Invalid credentials in Authorization header", "Invalid username or password.", "User Access Token is expired"],
)
def test_a_token_that_ran_out_is_not_every_files_fault(hub: HubServer, sha: str, tmp_path: Path, words: str) -> None:
    for token in ("hf_old", None):
        refuse(hub, "^HEAD", 401, X_Error_Message=words)
        with pytest.raises(PrerequisiteMissing if token else ItemError, match="new read token" if token else "private"):
            get(connect(hub.endpoint, token=token, retry=QUICK), sha, tmp_path)


def test_a_proxy_that_wants_a_password_is_no_files_fault(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    refuse(hub, "^HEAD", 407, times=99)
    with pytest.raises(TransientError, match="HTTPS_PROXY"):
        get(client, sha, tmp_path)


def test_a_mirror_without_etags_is_served_by_the_hash_that_is_known(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    for number, options in enumerate(({"expected_sha256": SHA256}, {})):
        hub.faults.answer("^HEAD", body=b"")  # 200, and no header that says anything
        hub.faults.answer("GET .*resolve", body=WEIGHTS)
        assert get(client, sha, tmp_path / str(number), **options) == SHA256
    hub.faults.answer("^HEAD", body=b"")
    hub.faults.answer("paths-info", body=b"[]")
    with pytest.raises(ItemError, match=r"names no content hash.*hub\.endpoint"):
        get(client, sha, tmp_path / "none")


# --- listings


@pytest.fixture
def linkless(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub whose proxy drops the Link header. Ten repos, four to a page."""
    hub.index.add(make_lora(number) for number in range(10))
    answer = hub.api.answer

    def dropped(request: Any) -> Any:
        reply = answer(request)
        reply.headers.pop("Link", None)
        return reply

    monkeypatch.setattr(hub.api, "answer", dropped)
    yield hub


@pytest.mark.parametrize("page_size", [2, 3, 4, 5, 1000])
def test_a_listing_without_links_is_never_complete(
    linkless: HubServer, client: HubClient, tmp_path: Path, page_size: int
) -> None:
    report = crawl(client, [LORA, Query(("text-to-image",))], tmp_path, CrawlOptions(page_size=page_size))
    assert [query.complete for query in report.queries] == [False, False]
    assert "Link header" in str(report.queries[0].error)
    assert report.repos == min(page_size, 4)  # what was shown is kept
    again = crawl(client, [LORA, Query(("text-to-image",))], tmp_path, CrawlOptions(page_size=page_size))
    assert (again.complete, again.entries) == (False, report.entries)
    assert crawl(client, [LORA], tmp_path, CrawlOptions(page_size=page_size, limit=min(page_size, 4))).complete


def test_a_relative_link_leads_on(hub: HubServer, client: HubClient, tmp_path: Path, monkeypatch: Any) -> None:
    hub.index.add(make_lora(number) for number in range(10))
    monkeypatch.setattr(hub.api, "endpoint", "")  # as a proxy rewrites it
    report = crawl(client, [LORA], tmp_path, CrawlOptions(page_size=4))
    assert report.complete and report.repos == 10


def test_a_server_that_shows_everything_at_once_needs_no_links(
    linkless: HubServer, client: HubClient, tmp_path: Path
) -> None:
    everything = client.get(f"{client.endpoint}/api/models", [("filter", "lora"), ("full", "true")]).content
    linkless.faults.answer("api/models", body=everything, times=9)
    assert crawl(client, [LORA], tmp_path).complete


@pytest.mark.parametrize("count", range(1, 13))
def test_a_full_last_page_is_the_end_where_links_work(
    hub: HubServer, client: HubClient, tmp_path: Path, count: int
) -> None:
    hub.index.add(make_lora(number) for number in range(count))
    report = crawl(client, [LORA], tmp_path, CrawlOptions(page_size=4))
    assert report.complete and report.repos == count


def test_a_page_that_repeats_without_a_link_is_not_the_end(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    hub.index.add(make_lora(number) for number in range(10))
    first = client.get(f"{client.endpoint}/api/models", [("filter", "lora"), ("limit", "4"), ("full", "true")]).content
    for times in (1, 99):
        hub.faults.clear()
        hub.faults.answer("cursor", body=first, times=times)
        report = crawl(client, [LORA], tmp_path / str(times), CrawlOptions(page_size=4))
        assert (report.complete, report.repos) == ((True, 10) if times == 1 else (False, 4))


def test_an_empty_page_after_a_link_is_asked_for_again(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    hub.index.add(make_lora(number) for number in range(10))
    hub.faults.answer("cursor", body=b"[]")
    report = crawl(client, [LORA], tmp_path, CrawlOptions(page_size=4))
    assert report.complete and report.repos == 10


@pytest.mark.parametrize("token", [None, TOKEN])
def test_one_403_on_a_listing_is_sat_out(hub: HubServer, tmp_path: Path, token: str | None) -> None:
    hub.api._tokens = {TOKEN: Identity("me")}
    hub.index.add(make_lora(number) for number in range(10))
    refuse(hub, "api/models", 403)
    refuse(hub, "cursor", 403)
    assert crawl(connect(hub.endpoint, token=token, retry=QUICK), [LORA], tmp_path).complete


def test_a_403_that_lasts_costs_a_stranger_one_query(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    hub.index.add(make_lora(number) for number in range(10))
    refuse(hub, "filter=lora.*cursor", 403, times=99)
    report = crawl(client, [LORA, Query(("text-to-image",))], tmp_path)
    assert [query.complete for query in report.queries] == [False, True]
    assert "403" in str(report.queries[0].error) and "token" not in str(report.queries[0].error)


def test_what_a_refused_identity_can_do(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    refuse(hub, "api/models", 401)
    with pytest.raises(PrerequisiteMissing, match="HF_TOKEN"):
        crawl(client, [LORA], tmp_path)
    refuse(hub, "api/models", 403, times=99)
    hub.api._tokens = {TOKEN: Identity("me")}
    with pytest.raises(UserError, match="unset HF_TOKEN"):
        crawl(connect(hub.endpoint, token=TOKEN, retry=QUICK), [LORA], tmp_path)


# --- the token


@pytest.fixture
def elsewhere() -> Iterator[HubServer]:
    """Another server: same host, other port."""
    with serve(HubIndex()) as server:
        yield server


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("ask", ["list", "post", "head", "body"])
def test_no_redirect_carries_the_token_away(
    hub: HubServer, elsewhere: HubServer, sha: str, tmp_path: Path, status: int, ask: str
) -> None:
    hub.api._tokens = {TOKEN: Identity("me")}
    client = connect(hub.endpoint, token=TOKEN, retry=QUICK)
    refuse(hub, "", status, Location=f"{elsewhere.endpoint}/somewhere/else")
    with suppress(Exception):  # whatever it makes of the other server's answer
        if ask == "list":
            client.get(f"{client.endpoint}/api/models")
        elif ask == "post":
            ask_facts(client, REPO, sha, [PATH])
        elif ask == "head":
            get(client, sha, tmp_path)
        else:
            with client.stream(f"{client.endpoint}/{REPO}/resolve/{sha}/{PATH}"):
                pass
    assert hub.requests[0].authorized
    assert elsewhere.requests and not any(item.authorized for item in elsewhere.requests)


def test_a_way_back_does_not_bring_the_token_back(hub: HubServer, elsewhere: HubServer) -> None:
    hub.api._tokens = {TOKEN: Identity("me")}
    client = connect(hub.endpoint, token=TOKEN, retry=QUICK)
    refuse(hub, "whoami", 307, Location=f"{elsewhere.endpoint}/away")
    refuse(elsewhere, "away", 307, Location=f"{hub.endpoint}/api/whoami-v2")
    with pytest.raises(Exception, match="401"):
        client.get(f"{client.endpoint}/api/whoami-v2")
    assert [item.authorized for item in hub.requests] == [True, False]


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("http://hub.example/x", True),
        ("http://HUB.example:80/x", True),
        ("https://hub.example/x", False),
        ("http://hub.example:8080/x", False),
        ("http://cdn.hub.example/x", False),
        ("http://hub.example.evil/x", False),
        ("http://evil@other/x", False),
    ],
)
def test_where_the_token_may_go(target: str, kept: bool) -> None:
    session = new_session(httpx2.Timeout(1), "http://hub.example")
    request = session.build_request("GET", target, headers={"Authorization": "Bearer hf_me"})
    for hook in session.event_hooks["request"]:
        hook(request)
    assert ("Authorization" in request.headers) == kept


@pytest.mark.parametrize("offline", [True, False])
@pytest.mark.parametrize(
    ("target", "near"),
    [
        ("http://127.0.0.1:8/x", True),
        ("http://localhost/x", True),
        ("http://[::1]/x", True),
        ("http://h.example/", False),
    ],
)
def test_offline_nothing_but_this_machine_is_reached(
    monkeypatch: pytest.MonkeyPatch, target: str, near: bool, offline: bool
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    session = new_session(httpx2.Timeout(1), "http://h.example")
    request = session.build_request("GET", target)
    with nullcontext() if near or not offline else pytest.raises(OfflineModeIsEnabled, match="not reaching"):
        for hook in session.event_hooks["request"]:
            hook(request)
