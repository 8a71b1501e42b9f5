"""The crawl under every kind of trouble: counts reconcile, and a killed one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import auditor.hub.client
from auditor.errors import UserError
from auditor.hub.client import HubClient, Retry, connect
from auditor.hub.crawler import CrawlOptions, crawl, crawl_key
from auditor.hub.history import read_history
from auditor.hub.listing_file import iter_listing, read_quarantine
from auditor.hub.queries import Query, default_queries
from auditor.hub.repo_units import units
from auditor.hub.union import listing_path, quarantine_path
from auditor.pocket.hub_server import HubIndex, HubServer, Identity, RateLimit, Repo, serve
from auditor.records.listing import CrawlReport, SettledItem

QUICK = Retry(max_retries=2, base_wait_s=0.01, max_wait_s=0.02)
LORA = Query(("lora",))
IMAGES = Query(("text-to-image",))


def reconcile(report: CrawlReport, state: Path) -> list[str]:
    assert report.entries == report.repos + report.duplicates + report.quarantined
    assert report.entries == sum(query.entries for query in report.queries)
    listed = [repo.repo_id for repo in iter_listing(listing_path(state))]
    assert len(listed) == len(set(listed))
    return listed


def test_union_is_deduplicated_and_remembers_who_found_what(
    ten_loras: HubServer, client: HubClient, tmp_path: Path, lora: Callable[..., Repo]
) -> None:
    ten_loras.index.add([lora(11, tags=("lora",)), lora(12, tags=("text-to-image",)), lora(13, tags=())])
    report = crawl(client, [LORA, IMAGES], tmp_path)
    listed = reconcile(report, tmp_path)
    assert sorted(listed) == [f"artist/style-{number:02d}" for number in [*range(10), 11, 12]]
    assert (report.entries, report.repos, report.duplicates, report.quarantined) == (22, 12, 10, 0)
    assert report.complete
    assert (report.requests, report.pages) == (6, 6)
    found_by = {repo.repo_id: repo.found_by for repo in iter_listing(listing_path(tmp_path))}
    assert found_by["artist/style-00"] == ("lora", "text-to-image")
    assert found_by["artist/style-12"] == ("text-to-image",)


def test_listing_holds_what_planning_needs(ten_loras: HubServer, client: HubClient, tmp_path: Path) -> None:
    crawl(client, [LORA], tmp_path)
    repo = next(iter(iter_listing(listing_path(tmp_path))))
    assert repo.commit_sha == ten_loras.index.repos[repo.repo_id].sha
    assert [item.path for item in repo.files] == ["pytorch_lora_weights.safetensors"]
    assert repo.base_models == ("pocket/base",)
    assert repo.last_modified == "2024-03-01T00:00:00Z"


@pytest.mark.parametrize(
    "broken",
    [
        {"entry_drop": ("id",)},
        {"entry_drop": ("sha",)},
        {"entry_patch": {"id": "../../etc"}},
        {"entry_patch": {"sha": "main"}},
        {"entry_patch": {"siblings": [{"name": "no rfilename"}]}},
        {"entry_patch": {"siblings": "text"}},
    ],
)
def test_a_malformed_entry_is_quarantined_and_the_walk_goes_on(
    ten_loras: HubServer, client: HubClient, tmp_path: Path, broken: dict[str, Any]
) -> None:
    ten_loras.index.change("artist/style-05", **broken)
    report = crawl(client, [LORA, IMAGES], tmp_path)
    listed = reconcile(report, tmp_path)
    assert "artist/style-05" not in listed and len(listed) == 9
    assert report.quarantined == 1 and report.complete  # although two queries met it
    entry = read_quarantine(quarantine_path(tmp_path))[0]
    assert (entry.query, entry.page, entry.position) == ("lora", 1, 1)


@pytest.mark.parametrize(
    "patch",
    [
        {"tags": "one"}, {"tags": [1, None, "lora"]}, {"tags": ["t"] * 10_000}, {"cardData": "text"},
        {"cardData": {"tags": 7, "self": 1, "base_model": {"x": [1]}, "license": ["mit", 3]}},
        {"safetensors": {"parameters": 1}}, {"lastModified": "yesterday"}, {"lastModified": 1e300},
        {"downloads": "many"}, {"likes": float("nan")}, {"gated": "sometimes"}, {"siblings": None},
        {"pipeline_tag": ["a"]}, {"evalResults": [{}]},
    ],
)  # fmt: skip
def test_odd_values_do_not_cost_the_entry(
    ten_loras: HubServer, client: HubClient, tmp_path: Path, patch: dict[str, Any]
) -> None:
    ten_loras.index.change("artist/style-05", entry_patch=patch)
    report = crawl(client, [LORA], tmp_path)
    assert len(reconcile(report, tmp_path)) == 10
    assert report.quarantined == 0


@pytest.mark.parametrize("skip", [0, 1])
def test_short_trouble_is_sat_out(ten_loras: HubServer, client: HubClient, tmp_path: Path, skip: int) -> None:
    faults = [
        ten_loras.faults.too_many_requests("api/models", skip=skip),
        ten_loras.faults.server_error("cursor", status=504),
        ten_loras.faults.cut("cursor", after_bytes=100, skip=1),
        ten_loras.faults.answer("cursor", body=b"<html>proxy</html>"),
        ten_loras.faults.wrong_length("api/models", by=10),
    ]
    client = replace(client, retry=Retry(max_retries=5, base_wait_s=0.01, max_wait_s=0.02))
    report = crawl(client, [LORA], tmp_path)
    assert report.complete, report.queries
    assert all(fault.hits == 1 for fault in faults)
    assert len(reconcile(report, tmp_path)) == 10


def test_a_429_that_names_its_reset_is_waited_for(ten_loras: HubServer, client: HubClient, tmp_path: Path) -> None:
    ten_loras.faults.too_many_requests("api/models", reset=0)  # the client adds one second
    report = crawl(client, [LORA], tmp_path)
    assert report.complete and report.seconds >= 1.0
    assert client.rate_limit is not None and client.rate_limit.limit == 500


def test_a_stalled_server_does_not_hang_the_crawl(ten_loras: HubServer, tmp_path: Path) -> None:
    client = connect(ten_loras.endpoint, retry=QUICK, read_timeout_s=0.2)
    ten_loras.faults.stall("api/models", seconds=1.0)
    started = time.monotonic()
    assert crawl(client, [LORA], tmp_path).complete
    assert time.monotonic() - started < 10


def test_lasting_trouble_leaves_one_query_incomplete_and_the_next_run_goes_on(
    ten_loras: HubServer, client: HubClient, tmp_path: Path
) -> None:
    ten_loras.faults.server_error("filter=lora.*cursor", status=504, times=3)
    first = crawl(client, [LORA, IMAGES], tmp_path)
    assert [query.complete for query in first.queries] == [False, True]
    assert first.queries[0].error is not None and "504" in first.queries[0].error
    assert first.queries[0].pages == 1
    assert len(reconcile(first, tmp_path)) == 10  # found by the other query

    second = crawl(client, [LORA, IMAGES], tmp_path)
    assert second.complete
    assert second.requests == 2  # only the pages that were missing
    assert len(reconcile(second, tmp_path)) == 10


def test_an_incomplete_crawl_does_not_replace_a_complete_listing(
    ten_loras: HubServer, client: HubClient, tmp_path: Path
) -> None:
    crawl(client, [LORA], tmp_path)
    ten_loras.faults.server_error("api/models", times=99)
    report = crawl(client, [LORA], tmp_path)
    assert not report.complete and report.repos == 0
    assert len(list(iter_listing(listing_path(tmp_path)))) == 10


def test_a_finished_crawl_starts_anew_and_asks_about_what_it_misses(
    ten_loras: HubServer, client: HubClient, tmp_path: Path
) -> None:
    crawl(client, [LORA], tmp_path)
    ten_loras.index.remove("artist/style-03")
    ten_loras.index.rename("artist/style-04", "artist/other")
    ten_loras.index.change("artist/style-05", tags=())
    ten_loras.index.change("artist/style-06", private=True)
    ten_loras.index.change("artist/style-07", tags=(), disabled=True)
    report = crawl(client, [LORA], tmp_path)
    assert report.requests == 2 + 5
    assert report.vanished == {"gone": 2, "renamed": 1, "present": 1, "disabled": 1}
    listed = {repo.repo_id: repo for repo in iter_listing(listing_path(tmp_path))}
    assert len(listed) == 11
    assert {name for name, repo in listed.items() if repo.gone} == {f"artist/style-0{n}" for n in (3, 4, 6)}
    assert listed["artist/style-04"].renamed_to == "artist/other"
    assert listed["artist/style-05"].found_by == ("lora",)
    assert listed["artist/style-07"].disabled
    settled = {name: units(repo)[0] for name, repo in listed.items()}
    assert isinstance(settled["artist/style-03"], SettledItem)
    assert settled["artist/style-03"].reason == "repo_gone" and "other" in settled["artist/style-04"].message

    ten_loras.index.change("artist/style-06", private=False)
    again = crawl(client, [LORA], tmp_path)
    assert again.vanished == {"known": 2, "present": 1, "disabled": 1}  # what is known to be gone is not asked again
    assert not {r.repo_id: r for r in iter_listing(listing_path(tmp_path))}["artist/style-06"].gone


def test_what_cannot_be_asked_about_is_not_declared_gone(
    ten_loras: HubServer, client: HubClient, tmp_path: Path
) -> None:
    crawl(client, [LORA], tmp_path)
    ten_loras.index.remove("artist/style-03")
    ten_loras.faults.server_error("models/artist", times=9)
    report = crawl(client, [LORA], tmp_path)
    assert report.complete and report.vanished == {"unknown": 1}
    assert not any(repo.gone for repo in iter_listing(listing_path(tmp_path)))


def test_other_questions_do_not_declare_anything_gone(ten_loras: HubServer, client: HubClient, tmp_path: Path) -> None:
    crawl(client, [LORA], tmp_path)
    report = crawl(client, [Query(search="style-01")], tmp_path)
    assert report.requests == 1 and not report.vanished
    assert [repo.repo_id for repo in iter_listing(listing_path(tmp_path))] == ["artist/style-01"]


def test_when_an_incremental_crawl_is_due(ten_loras: HubServer, client: HubClient, tmp_path: Path) -> None:
    key = crawl_key(client, [LORA])
    day = timedelta(days=1)
    assert read_history(tmp_path).since(key, overlap=day, full_every=day) is None
    crawl(client, [LORA], tmp_path)
    assert read_history(tmp_path).since(key, overlap=day, full_every=day) == "2024-02-29T00:09:00Z"
    assert read_history(tmp_path).since(key, overlap=day, full_every=timedelta(0)) is None
    assert read_history(tmp_path).since("another", overlap=day, full_every=day) is None
    assert crawl_key(connect(ten_loras.endpoint, token="hf_x"), [LORA]) != key


def test_an_expired_cursor_walks_the_query_again(ten_loras: HubServer, client: HubClient, tmp_path: Path) -> None:
    ten_loras.faults.server_error("cursor", times=3)
    assert not crawl(client, [LORA], tmp_path).complete
    ten_loras.faults.server_error("cursor", status=400)
    report = crawl(client, [LORA], tmp_path)
    assert report.complete and report.requests == 4
    assert len(reconcile(report, tmp_path)) == 10


def test_killed_in_the_middle_it_repeats_at_most_one_request(ten_loras: HubServer, tmp_path: Path) -> None:
    """A real process, killed with SIGKILL while it waits for the third page."""
    ten_loras.faults.stall("cursor", seconds=30, skip=1)
    script = textwrap.dedent(f"""
        from pathlib import Path
        from auditor.hub.client import connect
        from auditor.hub.crawler import crawl
        from auditor.hub.queries import Query
        crawl(connect({ten_loras.endpoint!r}), [Query(("lora",))], Path({str(tmp_path)!r}))
    """)
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": os.getcwd()})
    deadline = time.monotonic() + 60
    while len(ten_loras.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(ten_loras.requests) == 3 and not listing_path(tmp_path).exists()

    client = connect(ten_loras.endpoint, retry=QUICK)
    report = crawl(client, [LORA], tmp_path)
    assert report.complete and report.requests == 1
    assert len(reconcile(report, tmp_path)) == 10


def test_incremental_crawl_stops_early_and_carries_the_rest(
    ten_loras: HubServer, client: HubClient, tmp_path: Path
) -> None:
    crawl(client, [LORA], tmp_path)
    ten_loras.index.commit("artist/style-02", {"new.safetensors": b"n"}, modified="2024-04-01T00:00:00.000Z")
    report = crawl(client, [LORA], tmp_path, CrawlOptions(since="2024-03-15T00:00:00Z"))
    assert report.requests == 1 and report.complete
    listed = {repo.repo_id: repo for repo in iter_listing(listing_path(tmp_path))}
    assert len(listed) == 10 == report.repos + report.carried
    assert listed["artist/style-02"].commit_sha == ten_loras.index.repos["artist/style-02"].sha


def test_an_incremental_crawl_forgets_no_unreadable_entry(
    ten_loras: HubServer, client: HubClient, tmp_path: Path
) -> None:
    def unread() -> list[str | None]:
        return [entry.repo_id for entry in read_quarantine(quarantine_path(tmp_path))]

    ten_loras.index.change("artist/style-00", entry_patch={"siblings": "text"})
    ten_loras.index.change("artist/style-01", entry_patch={"id": 7})
    crawl(client, [LORA], tmp_path)
    assert sorted(unread(), key=str) == [None, "artist/style-00"]
    ten_loras.index.commit("artist/style-02", {"new.safetensors": b"n"}, modified="2024-04-01T00:00:00.000Z")
    ten_loras.index.change("artist/style-02", entry_patch={"siblings": "text"})
    for _ in range(2):
        assert crawl(client, [LORA], tmp_path, CrawlOptions(since="2024-03-15T00:00:00Z")).requests == 1
        assert sorted(unread(), key=str) == [None, "artist/style-00", "artist/style-02"]
    ten_loras.index.commit("artist/style-00", {"new.safetensors": b"n"}, modified="2024-04-02T00:00:00.000Z")
    ten_loras.index.change("artist/style-00", entry_patch={})
    crawl(client, [LORA], tmp_path, CrawlOptions(since="2024-03-15T00:00:00Z"))
    assert sorted(unread(), key=str) == [None, "artist/style-02"]
    crawl(client, [LORA], tmp_path)
    assert sorted(unread(), key=str) == [None, "artist/style-02"]


def test_dry_run_estimates_and_stores_nothing(ten_loras: HubServer, client: HubClient, tmp_path: Path) -> None:
    first = crawl(client, [LORA, Query(author="nobody")], tmp_path, CrawlOptions(dry_run=True))
    assert (first.requests, first.estimated_requests, first.estimate_known) == (2, 3, False)
    assert not list(tmp_path.iterdir())
    crawl(client, [LORA, Query(author="nobody")], tmp_path)
    again = crawl(client, [LORA, Query(author="nobody")], tmp_path, CrawlOptions(dry_run=True))
    assert (again.requests, again.estimated_requests, again.estimate_known) == (0, 4, True)
    assert again.estimated_bytes and again.estimated_seconds is not None


def test_an_empty_budget_is_waited_for_before_the_next_request(ten_loras: HubServer, tmp_path: Path) -> None:
    with serve(ten_loras.index, page_size=4, rate_limit=RateLimit(quota=2, window_s=1.0)) as hub:
        client = connect(hub.endpoint, retry=QUICK)
        report = crawl(client, [LORA], tmp_path)
        assert report.complete
        assert [item.status for item in hub.requests] == [200, 200, 200]  # no 429 was ever provoked
        assert client.rate_limit is not None and client.rate_limit.limit == 2


def test_an_absurd_announced_wait_ends_the_crawl_resumably(
    ten_loras: HubServer, client: HubClient, tmp_path: Path
) -> None:
    ten_loras.faults.too_many_requests("cursor", reset=86_400)
    report = crawl(client, [LORA], tmp_path)
    assert not report.complete and "patience" in str(report.queries[0].error)
    assert crawl(connect(ten_loras.endpoint, retry=QUICK), [LORA], tmp_path).requests == 2


@pytest.mark.parametrize("kind", ["drip", "endless"])
def test_answers_without_end_are_given_up(
    ten_loras: HubServer, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor.hub.client, "MAX_ANSWER_BYTES", 200_000)
    client = connect(ten_loras.endpoint, retry=QUICK, read_timeout_s=5, answer_s=0.3)
    if kind == "drip":
        ten_loras.faults.drip("cursor", by=10, seconds=0.05, times=3)
    else:
        ten_loras.faults.endless("cursor", times=99)
    assert not crawl(client, [LORA], tmp_path).complete
    ten_loras.faults.clear()
    assert crawl(client, [LORA], tmp_path).complete


def test_cards_too_long_for_a_page_cost_no_repo(
    tmp_path: Path, lora: Callable[..., Repo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor.hub.client, "MAX_ANSWER_BYTES", 100_000)
    sizes = {3: 60_000, 4: 60_000, 5: 300_000, 9: 90_000}
    repos = [lora(n) for n in range(12)]
    cards = {n: {"base_model": "pocket/base", "license": "mit", "note": "x" * size} for n, size in sizes.items()}
    repos = [replace(repo, card=cards[n]) if n in cards else repo for n, repo in enumerate(repos)]
    with serve(HubIndex(repos), page_size=8) as hub:
        report = crawl(connect(hub.endpoint, retry=QUICK), [LORA], tmp_path, CrawlOptions(page_size=8))
    assert report.complete and len(reconcile(report, tmp_path)) == 12
    listed = {repo.repo_id: repo for repo in iter_listing(listing_path(tmp_path))}
    licences = [listed[f"artist/style-{n:02d}"].license for n in sizes]
    assert licences == ["mit", "mit", None, "mit"]  # that of a card that nobody could read is not known


def test_limit(ten_loras: HubServer, client: HubClient, tmp_path: Path) -> None:
    report = crawl(client, [LORA], tmp_path, CrawlOptions(limit=3))
    assert report.complete and report.requests == 1 and len(reconcile(report, tmp_path)) == 3


def test_a_refused_token_is_the_users_to_fix(tmp_path: Path, ten_loras: HubServer) -> None:
    client = connect(ten_loras.endpoint, token="hf_wrong", retry=QUICK)
    with pytest.raises(UserError, match="token"):
        crawl(client, [LORA], tmp_path)


def test_a_next_link_to_another_server_is_not_followed(
    ten_loras: HubServer, client: HubClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ten_loras.api, "endpoint", "http://127.0.0.1:9")
    report = crawl(client, [LORA], tmp_path)
    assert not report.complete and "another server" in str(report.queries[0].error)


def test_the_token_reaches_the_hub_and_widens_what_is_listed(tmp_path: Path, lora: Callable[..., Repo]) -> None:
    index = HubIndex([lora(1), lora(2, private=True)])
    with serve(index, tokens={"hf_me": Identity("me", frozenset({"artist/style-02"}))}) as hub:
        anonymous = crawl(connect(hub.endpoint), [LORA], tmp_path / "a")
        signed_in = crawl(connect(hub.endpoint, token="hf_me"), [LORA], tmp_path / "b")
    assert (anonymous.repos, signed_in.repos) == (1, 2)


def test_default_queries_are_distinct_and_cover_aliases() -> None:
    names = [query.name for query in default_queries()]
    assert len(names) == len(set(names))
    assert "base_model:adapter:runwayml/stable-diffusion-v1-5" in names
    assert [query.name for query in default_queries(["a/b"])][-1] == "base_model:adapter:a/b"
    assert default_queries(copied=("A/b",))[-2].name == "base_model:finetune:A/b"
    sdxl = "stabilityai/stable-diffusion-xl-base-1.0"
    for copied in ((), (sdxl, sdxl)):
        names = [query.name for query in default_queries(full_models=True, copied=copied)]
        assert names.count(f"base_model:finetune:{sdxl}") == 1


def test_queries_as_settings_spell_them() -> None:
    assert Query.parse(["lora", "author=ann", "search=water=colour"]) == Query(("lora",), "ann", "water=colour")
    with pytest.raises(UserError, match="one author"):
        Query.parse(["author=a", "author=b"])
