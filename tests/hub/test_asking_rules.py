"""When and how fast a Hub is asked, and what its answer, or none, makes of what was known before."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import RateLimitInfo  # type: ignore[attr-defined]  # lazy re-export

from auditor.errors import TransientError
from auditor.hub import facts as file_facts
from auditor.hub import vanished
from auditor.hub.client import HubClient, connect
from auditor.hub.crawler import CrawlOptions, crawl
from auditor.hub.download import fetch
from auditor.hub.download_cache import CachedContent, FileCache
from auditor.hub.facts import FileFacts, KnownFile, ask_facts
from auditor.hub.history import FinishedCrawl, History, read_history, remember
from auditor.hub.pace import WINDOW_S, Pace, least_seconds, quota
from auditor.hub.queries import Query
from auditor.hub.session import new_session
from auditor.hub.vanished import confirm
from auditor.pocket.hub_server import HubServer, synthetic_repo
from auditor.records.listing import ListedRepo
from tests.hub.conftest import QUICK
from tests.hub.test_misbehaving import refuse

DAY = timedelta(days=1)


def finished(newest: str | None, *, key: str = "k", ago: timedelta = timedelta()) -> FinishedCrawl:
    return FinishedCrawl(key, (datetime.now(UTC) - ago).isoformat(), newest, (1,), 10, 1.0)


# --- where an incremental crawl begins


def test_it_begins_at_the_newest_change_that_either_crawl_saw() -> None:
    both = History({"full": finished("2024-01-01T00:00:00Z"), "incremental": finished("2024-03-01T00:00:00Z")})
    assert both.since("k", overlap=DAY, full_every=DAY) == "2024-02-29T00:00:00Z"
    newer = History({"full": finished("2024-03-01T00:00:00Z"), "incremental": finished("2024-01-01T00:00:00Z")})
    assert newer.since("k", overlap=DAY, full_every=DAY) == "2024-02-29T00:00:00Z"


def test_it_heeds_no_crawl_of_other_questions() -> None:
    other = History({"full": finished("2024-01-02T00:00:00Z"), "incremental": finished("2024-03-01", key="other")})
    assert other.since("k", overlap=DAY, full_every=DAY) == "2024-01-01T00:00:00Z"


def test_a_full_one_is_due_after_its_time_or_when_no_change_was_ever_seen() -> None:
    seen = "2024-01-01T00:00:00Z"
    assert History({"full": finished(seen, ago=2 * DAY)}).since("k", overlap=DAY, full_every=DAY) is None
    assert History({"full": finished(seen, ago=DAY / 2)}).since("k", overlap=DAY, full_every=DAY) is not None
    assert History({"full": finished(None)}).since("k", overlap=DAY, full_every=DAY) is None
    assert History({"incremental": finished(seen)}).since("k", overlap=DAY, full_every=DAY) is None


def test_a_crawl_of_one_mode_leaves_what_is_known_of_the_other(tmp_path: Path) -> None:
    full, part = finished("2024-01-01T00:00:00Z"), finished("2024-02-01T00:00:00Z")
    remember(tmp_path, "full", full)
    remember(tmp_path, "incremental", part)
    assert read_history(tmp_path) == History({"full": full, "incremental": part})


@pytest.mark.parametrize("text", ["", "[]", '{"full": 3}', '{"full": {"pages": [1]}}', '{"full": {"key": "k"}}'])
def test_an_unreadable_history_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.json").write_text(text)
    assert read_history(tmp_path) == History()


# --- how fast


def limits(limit: int | None, window_s: int | None) -> RateLimitInfo:
    return RateLimitInfo(resource_type="api", remaining=3, reset_in_seconds=1, limit=limit, window_seconds=window_s)


def test_the_servers_own_quota_goes_before_the_documented_one() -> None:
    assert quota("api", anonymous=True, seen=limits(20, 60)) == (20, 60)
    for told in (None, limits(None, 60), limits(20, None)):
        assert quota("api", anonymous=True, seen=told) == (500, WINDOW_S)
    assert quota("api", anonymous=False, seen=None) == (1_000, WINDOW_S)
    assert quota("cdn", anonymous=True, seen=None) == (0, WINDOW_S)


@pytest.mark.parametrize(
    ("requests", "remaining", "seconds"),
    [(10, None, 0), (11, None, 60), (20, None, 60), (21, None, 120), (3, 3, 0), (4, 3, 60), (13, 3, 60), (14, 3, 120),
     (10, 99, 0), (11, 99, 60)],
)  # fmt: skip
def test_what_is_left_of_a_window_is_used_first_and_whole_windows_are_waited_for(
    requests: int, remaining: int | None, seconds: float
) -> None:
    assert least_seconds(requests, 10, 60, remaining) == seconds
    assert least_seconds(requests, 0, 60, remaining) == 0, "nothing is counted there"


def test_a_shorter_wait_never_cuts_a_longer_one_and_holds_its_own_kind_alone() -> None:
    pace = Pace(max_wait_s=0.0)
    pace.hold("api", 100.0)
    pace.hold("api", 1.0)
    with pytest.raises(Exception, match=r"asks for 10[01] s"):
        pace.wait("api")
    began = time.monotonic()
    pace.wait("resolvers")
    assert time.monotonic() - began < 1.0


def test_one_second_more_is_waited_since_servers_round() -> None:
    pace = Pace(max_wait_s=0.0)
    pace.hold("api", 0.0)
    with pytest.raises(Exception, match="asks for 1 s"):
        pace.wait("api")


@pytest.mark.parametrize("where", ["^GET /api/models", "^GET /blobs"])
def test_a_request_is_put_again_as_often_as_it_says_and_no_more(
    ten_loras: HubServer, client: HubClient, tmp_path: Path, where: str
) -> None:
    sha = ten_loras.index.repos["artist/style-01"].sha

    def ask() -> None:
        if "api" in where:
            client.get(f"{ten_loras.endpoint}/api/models/artist/style-01")
        else:
            path = "pytorch_lora_weights.safetensors"
            fetch(client, "artist/style-01", path, commit_sha=sha, cache_dir=tmp_path)

    refuse(ten_loras, where, 503, times=QUICK.max_retries + 1)
    with pytest.raises((HfHubHTTPError, TransientError)):
        ask()
    ten_loras.faults.clear()
    refuse(ten_loras, where, 503, times=QUICK.max_retries)
    ask()


# --- as whom, and where to


def test_the_library_sends_nothing_of_its_own() -> None:
    for name in ("TELEMETRY", "XET", "IMPLICIT_TOKEN"):
        setattr(constants, f"HF_HUB_DISABLE_{name}", False)
    made = connect("http://127.0.0.1:9/", retry=QUICK)
    assert constants.HF_HUB_DISABLE_TELEMETRY and constants.HF_HUB_DISABLE_XET
    assert constants.HF_HUB_DISABLE_IMPLICIT_TOKEN
    assert (made.endpoint, made.token, made.anonymous) == ("http://127.0.0.1:9", False, True)
    assert connect("http://127.0.0.1:9", token="").anonymous


def test_offline_only_this_machine_is_reached(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "is_offline_mode", lambda: True)
    with new_session(httpx2.Timeout(5.0), hub.endpoint) as session:
        assert session.get(f"{hub.endpoint}/api/models").status_code == 200
        with pytest.raises(OfflineModeIsEnabled, match=r"hub\.invalid"):
            session.get("http://hub.invalid/api/models")


# --- what is known of files


def test_what_the_scanners_said_stays_when_a_download_has_nothing_to_say(tmp_path: Path) -> None:
    facts = FileFacts(tmp_path)
    facts.learn("a/b", "0" * 40, [KnownFile("x", 3, None, "unsafe")])
    facts.learn("a/b", "0" * 40, [KnownFile("x", 3, "1" * 64)])
    facts.save()
    for known in (facts, FileFacts(tmp_path)):
        assert known.get("a/b", "0" * 40, "x") == KnownFile("x", 3, "1" * 64, "unsafe")
    facts.learn("a/b", "0" * 40, [KnownFile("x", 3, "1" * 64, "safe")])
    assert facts.get("a/b", "0" * 40, "x") == KnownFile("x", 3, "1" * 64, "safe")


def test_what_was_known_is_not_written_again(tmp_path: Path) -> None:
    facts = FileFacts(tmp_path)
    for _ in range(2):
        facts.learn("a/b", "0" * 40, [KnownFile("x", 3)])
        facts.save()
    assert len(list(tmp_path.iterdir())) == 1


def test_many_files_are_asked_for_in_as_few_requests_as_the_hub_allows(
    hub: HubServer, client: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_facts, "_PATHS_PER_REQUEST", 2)
    repo = synthetic_repo("ann/many", {f"{n}.safetensors": b"x" * (n + 1) for n in range(5)})
    hub.index.add([repo])
    paths = [f"{n}.safetensors" for n in (4, 3, 2, 1, 0, 4)]
    found = ask_facts(client, "ann/many", repo.sha, paths)
    assert [item.size_bytes for item in found] == [5, 4, 3, 2, 1], "in the order asked, each once"
    assert len(hub.requests) == 3


# --- repos that a listing no longer shows


def missing(repo_id: str, **fields: object) -> ListedRepo:
    return ListedRepo(repo_id, "1" * 40, found_by=("lora",), **fields)  # type: ignore[arg-type]


def test_what_is_known_to_be_gone_costs_no_question_and_the_rest_waits_for_the_next_crawl(
    ten_loras: HubServer, client: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vanished, "MAX_CONFIRMATIONS", 2)
    asked = [missing("artist/long-gone", gone=True), *(missing(f"artist/style-0{n}") for n in range(3))]
    verdicts = list(confirm(client, asked, frozenset()))
    assert [verdict.fate for verdict in verdicts] == ["known", "present", "present", "unknown"]
    assert verdicts[-1].rows == (asked[-1],) and len(ten_loras.requests) == 2


def test_a_repo_that_is_gated_now_is_still_there(ten_loras: HubServer, client: HubClient) -> None:
    refuse(ten_loras, "models/artist/style-03", 403, X_Error_Code="GatedRepo")
    (verdict,) = confirm(client, [missing("artist/style-03")], frozenset())
    assert (verdict.fate, verdict.rows) == ("present", (missing("artist/style-03"),))


def test_a_new_name_that_is_listed_already_is_not_listed_twice(ten_loras: HubServer, client: HubClient) -> None:
    ten_loras.index.rename("artist/style-04", "artist/other")
    asked = missing("artist/style-04")
    (alone,) = confirm(client, [asked], frozenset())
    (listed,) = confirm(client, [asked], frozenset({"artist/other"}))
    assert [row.repo_id for row in alone.rows] == ["artist/style-04", "artist/other"]
    assert [row.repo_id for row in listed.rows] == ["artist/style-04"] and listed.rows[0].renamed_to == "artist/other"


def test_a_bare_401_says_that_a_repo_is_gone_to_strangers_only(ten_loras: HubServer, client: HubClient) -> None:
    refuse(ten_loras, "models/artist/style-05", 401, times=2)
    (stranger,) = confirm(client, [missing("artist/style-05")], frozenset())
    (known,) = confirm(
        connect(ten_loras.endpoint, token="hf_x", retry=QUICK), [missing("artist/style-05")], frozenset()
    )
    assert (stranger.fate, known.fate) == ("gone", "unknown")


def test_what_is_no_file_with_a_size_is_left_out_of_an_answer_and_hides_nothing_behind_it(
    hub: HubServer, client: HubClient
) -> None:
    answer = [
        {"type": "directory", "path": "folder", "size": 0},
        "text",
        {"type": "file", "path": "no-size"},
        {"type": "file", "path": 7, "size": 3},
        {"type": "file", "path": "negative", "size": -1},
        {
            "type": "file",
            "path": "good",
            "size": 0,
            "lfs": {"oid": "no hash"},
            "securityFileStatus": {"status": "safe"},
        },
    ]
    hub.faults.answer("paths-info", body=json.dumps(answer).encode())
    paths = ["folder", "no-size", "negative", "good"]
    assert ask_facts(client, "ann/odd", "0" * 40, paths) == (KnownFile("good", 0, None, "safe"),)


def test_files_lie_where_earlier_versions_left_them(tmp_path: Path) -> None:
    cache = FileCache(tmp_path)
    part = tmp_path / "part"
    part.write_bytes(b"bytes")
    sha256 = hashlib.sha256(b"bytes").hexdigest()
    assert cache.store(part, sha256) == tmp_path / "blobs" / sha256[:2] / sha256
    cache.remember("a/b", "0" * 40, "x", sha256)
    key = hashlib.sha256(json.dumps(["a/b", "0" * 40, "x"]).encode()).hexdigest()
    assert (tmp_path / "refs" / key[:2] / f"{key}.json").is_file()
    assert cache.find("a/b", "0" * 40, "x") == CachedContent(sha256, 5)
    cache.remove(sha256)
    assert cache.find("a/b", "0" * 40, "x") is None and cache.lookup("a/b", "0" * 40, "x") == sha256


def test_a_crawl_asks_for_as_many_entries_at_once_as_the_hub_gives_and_no_more_than_are_wanted(
    ten_loras: HubServer, client: HubClient, tmp_path: Path
) -> None:
    crawl(client, [Query(("lora",))], tmp_path / "all")
    assert "limit=1000&" in ten_loras.seen("api/models")[0].target
    ten_loras.requests.clear()
    crawl(client, [Query(("lora",))], tmp_path / "some", CrawlOptions(limit=3))
    assert "limit=3&" in ten_loras.seen("api/models")[0].target


def test_an_estimate_is_of_the_pages_that_are_sure_to_come_by_what_the_first_ones_cost(
    ten_loras: HubServer, client: HubClient, tmp_path: Path
) -> None:
    queries = [Query(("lora",)), Query(("lora", "text-to-image")), Query(("nothing",))]
    before = crawl(client, queries, tmp_path, CrawlOptions(dry_run=True))
    assert (before.requests, before.estimated_requests, before.estimate_known) == (3, 5, False)
    assert before.estimated_bytes == round(before.received / 3 * 5) > 0 and not list(tmp_path.iterdir())
    made = crawl(client, queries, tmp_path)
    after = crawl(client, queries, tmp_path, CrawlOptions(dry_run=True))
    assert (after.requests, after.estimated_requests, after.estimate_known) == (0, 3 + 3 + 1, True)
    assert after.estimated_bytes is not None and 0 < after.estimated_bytes <= made.received
