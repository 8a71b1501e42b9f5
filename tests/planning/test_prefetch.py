"""Prefetching over a Hub in memory: what comes, what is recorded as not to be had, and what waits."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditor.errors import PrerequisiteMissing
from auditor.hub.client import HubClient, Retry, connect
from auditor.hub.crawler import crawl
from auditor.hub.download import fetch
from auditor.hub.download_cache import FileCache
from auditor.hub.facts import FileFacts
from auditor.hub.listing_file import iter_listing
from auditor.hub.queries import Query
from auditor.hub.union import listing_path
from auditor.pipeline import stages
from auditor.planning.cache_budget import CacheBudget
from auditor.planning.manifest import Manifest, PlanOptions, plan, read_manifest, write_manifest
from auditor.planning.prefetch import Prefetch, PrefetchLimits, PrefetchReport
from auditor.planning.slices import Slice
from auditor.pocket.hub_server import HubIndex, HubServer, Identity, serve, synthetic_repo
from auditor.records.listing import SettledItem
from auditor.records.result import ANY_RECIPE, WorkItem
from auditor.results.result_file import list_results, read_result, result_path
from auditor.results.workspace import Workspace
from auditor.settings import resolve

QUICK = Retry(max_retries=1, base_wait_s=0.01, max_wait_s=0.02)
REPOS = 12


def content(number: int) -> bytes:
    return b"weights of %d" % number * 1000


@pytest.fixture
def hub() -> Iterator[HubServer]:
    index = HubIndex(
        synthetic_repo(
            f"a/r{n:02d}", {"adapter_model.safetensors": content(n), "adapter_config.json": b"{}"}, tags=("lora",)
        )
        for n in range(REPOS)
    )
    index.add([synthetic_repo("b/copy", {"x.safetensors": content(0)}, tags=("lora",))])
    tokens = {"hf_ok": Identity("me", frozenset({"a/r03"})), "hf_no": Identity("you")}
    with serve(index, tokens=tokens) as server:
        yield server


def client_of(hub: HubServer, token: str | None = None) -> HubClient:
    return connect(hub.endpoint, retry=QUICK, read_timeout_s=30, token=token)


def planned(client: HubClient, workspace: Workspace, *, max_requests: int = 0) -> Manifest:
    crawl(client, [Query(("lora",))], workspace.crawl)
    listing = iter_listing(listing_path(workspace.crawl))
    options = PlanOptions(max_requests=max_requests, try_gated=not client.anonymous)
    return plan(listing, {}, options, facts=FileFacts(workspace.facts), client=client)


def run(client: HubClient, workspace: Workspace, manifest: Manifest, **limits: int) -> tuple[Prefetch, PrefetchReport]:
    work = Prefetch(client, workspace, PrefetchLimits(**({"workers": 3, "max_file_bytes": 50_000} | limits)), ())
    report = work.run(manifest.items)
    total = report.done + report.duplicates + report.fetched + report.present + report.put_off + report.no_room
    assert report.items == len(manifest.items) == total + report.failed.total()
    return work, report


def audit_offline(folder: Path, item: WorkItem) -> tuple[int, int]:
    """How many of one item a task without a network calls done, and put off."""
    from auditor.audit.task import Task  # heavy

    settings = resolve(profile="pocket", work_dir=folder, environment={}).settings
    report = Task(settings, None).run([item])
    return report.already_done, report.transient


def test_everything_comes_once_and_is_there_without_a_network(hub: HubServer, tmp_path: Path) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    manifest = planned(client, workspace)
    assert (manifest.asked, manifest.unknown_sizes, manifest.estimated_bytes) == (0, REPOS + 1, None)
    work, report = run(client, workspace, manifest)
    assert report.fetched == REPOS + 1
    assert len(hub.seen("GET /blobs")) in (REPOS, REPOS + 1)  # a copy that comes at the same moment is not waited for
    informed = manifest.with_facts(work.facts)
    assert informed.distinct_files == REPOS and informed.unknown_sizes == 0
    write_manifest(workspace.manifest, informed)
    assert read_manifest(workspace.manifest) == informed
    for item in informed.items:
        got = fetch(None, item.repo_id, item.path, commit_sha=item.commit_sha, cache_dir=workspace.files)
        assert got.sha256 == item.file_sha256
        for companion in item.companions:
            fetch(None, item.repo_id, companion, commit_sha=item.commit_sha, cache_dir=workspace.files)
    before = len(hub.requests)
    _, again = run(client, workspace, informed)
    assert (again.present, again.duplicates, again.received_bytes) == (REPOS, 1, 0)
    assert len(hub.requests) == before
    assert plan(iter_listing(listing_path(workspace.crawl)), {}, facts=FileFacts(workspace.facts)) == informed


def test_the_plan_asks_about_so_many_repos_and_never_twice(hub: HubServer, tmp_path: Path) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    first = planned(client, workspace, max_requests=5)
    assert (first.asked, first.unknown_sizes) == (5, REPOS + 1 - 5)
    sizes = [len(content(number)) for number in range(REPOS)]
    assert first.estimated_bytes is not None
    assert min(sizes) <= first.estimated_bytes / first.distinct_files <= max(sizes)
    second = planned(client, workspace, max_requests=100)
    assert (second.asked, second.unknown_sizes) == (REPOS + 1 - 5, 0)
    assert planned(client, workspace, max_requests=100).asked == 0
    assert len(hub.seen("paths-info")) == REPOS + 1


def test_a_plan_without_answers_is_a_plan(hub: HubServer, tmp_path: Path) -> None:
    hub.faults.server_error("paths-info", times=99)
    manifest = planned(client_of(hub), Workspace(tmp_path), max_requests=100)
    assert (len(manifest.items), manifest.asked, manifest.unknown_sizes) == (REPOS + 1, 1, REPOS + 1)


def test_what_cannot_be_had_is_recorded_and_trouble_is_not(hub: HubServer, tmp_path: Path) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    manifest = planned(client, workspace)
    hub.index.remove("a/r01")
    hub.index.change("a/r02", disabled=True)
    hub.index.change("a/r03", gated="manual")
    hub.index.add(
        [
            synthetic_repo(
                "a/r04", {"adapter_model.safetensors": b"x" * 60_000}, tags=("lora",), sha=hub.index.repos["a/r04"].sha
            )
        ]
    )
    hub.index.rename("a/r05", "a/other")
    hub.index.commit("a/r06", {"adapter_model.safetensors": b"newer"}, modified="2025-01-01T00:00:00.000Z")
    hub.faults.server_error("HEAD /a/r07", times=99)
    hub.faults.cut("HEAD /a/r08")
    _, report = run(client, workspace, manifest)
    assert report.failed == {"repo_gone": 1, "repo_disabled": 1, "gated": 1, "too_large": 1}
    assert (report.put_off, report.fetched) == (1, REPOS + 1 - 5)
    records = [read_result(path).record for path in list_results(workspace.results)]
    assert {(r.item.repo_id, r.outcome, r.reason) for r in records} == {
        ("a/r01", "gone", "repo_gone"),
        ("a/r02", "gone", "repo_disabled"),
        ("a/r03", "skipped", "gated"),
        ("a/r04", "skipped", "too_large"),
    }
    pinned = next(item for item in manifest.items if item.repo_id == "a/r06")
    got = fetch(None, "a/r06", pinned.path, commit_sha=pinned.commit_sha, cache_dir=workspace.files)
    assert got.sha256 == hashlib.sha256(content(6)).hexdigest()
    hub.faults.clear()
    _, again = run(client, workspace, manifest)
    assert (again.done, again.put_off, again.fetched) == (4, 0, 1)


def test_a_copy_is_fetched_for_itself_when_its_twin_is_gone(hub: HubServer, tmp_path: Path) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    manifest = planned(client, workspace, max_requests=100)
    hub.index.remove("a/r00")
    _, report = run(client, workspace, manifest)
    assert report.failed == {"repo_gone": 1} and (report.fetched, report.duplicates) == (REPOS, 0)


def test_a_gated_file_is_asked_for_again_with_another_token(hub: HubServer, tmp_path: Path) -> None:
    hub.index.change("a/r03", gated="auto")
    workspace = Workspace(tmp_path)
    manifest = planned(client_of(hub, "hf_no"), workspace)
    gated = next(item for item in manifest.items if item.repo_id == "a/r03")
    place = result_path(workspace.results, gated.name_sha256, ANY_RECIPE)
    assert run(client_of(hub, "hf_no"), workspace, manifest)[1].failed == {"gated": 1}
    assert place.exists()
    assert run(client_of(hub, "hf_ok"), workspace, manifest)[1].fetched == 1
    assert not place.exists()


def test_a_file_that_failed_to_download_is_tried_again_by_every_run(hub: HubServer, tmp_path: Path) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    manifest = planned(client, workspace)
    item = next(item for item in manifest.items if item.repo_id == "a/r01")
    place = result_path(workspace.results, item.name_sha256, ANY_RECIPE)
    hub.faults.server_error("HEAD /a/r01", status=400, times=99)
    assert run(client, workspace, manifest)[1].failed == {"download_failed": 1}
    assert run(client, workspace, manifest)[1].failed == {"download_failed": 1}
    assert audit_offline(tmp_path, item) == (1, 0)  # coming again mends nothing without a network
    assert read_result(place).record.reason == "download_failed"
    place.write_bytes(b"damaged")
    assert run(client, workspace, manifest)[1].failed == {"download_failed": 1}
    hub.faults.clear()
    assert run(client, workspace, manifest)[1].fetched == 1
    assert not place.exists()


def test_a_file_that_nobody_asked_for_yet_is_put_off_without_a_network(hub: HubServer, tmp_path: Path) -> None:
    item = planned(client_of(hub), Workspace(tmp_path)).items[0]
    assert audit_offline(tmp_path, item) == (0, 1)


def test_a_plan_made_during_a_prefetch_stays_the_plan(hub: HubServer, tmp_path: Path) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    first = planned(client, workspace)
    write_manifest(workspace.manifest, first)
    fresh = first.items[0].model_copy(update={"repo_id": "next/night"})
    later = Manifest((*first.items[1:], fresh), (*first.settled, SettledItem("x/y", "0" * 40, None, "gone", None, "-")))
    settings = resolve(profile="pocket", work_dir=tmp_path, environment={}).settings
    stages.prefetch(settings, client, Slice(), on_item=lambda item: write_manifest(workspace.manifest, later))
    stored = read_manifest(workspace.manifest)
    assert [item.repo_id for item in stored.items] == [item.repo_id for item in later.items]
    assert stored.settled == later.settled
    assert {item.repo_id for item in stored.items if item.file_sha256 is None} == {"next/night"}


def test_a_full_cache_lets_the_rest_wait_and_done_work_makes_room(hub: HubServer, tmp_path: Path) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    manifest = planned(client, workspace, max_requests=100)
    limit = 5 * 14_000
    _, report = run(client, workspace, manifest, cache_bytes=limit)
    assert report.no_room > 0 and report.fetched >= 4
    used = sum(p.stat().st_size for p in (workspace.files / "blobs").rglob("*") if p.is_file())
    assert used <= limit
    _, blocked = run(client, workspace, manifest, cache_bytes=limit)
    assert blocked.fetched == 0
    for item in manifest.items:  # as if audits had finished what is there
        if (workspace.files / "blobs" / str(item.file_sha256)[:2] / str(item.file_sha256)).exists():
            path = result_path(workspace.results, str(item.file_sha256), ANY_RECIPE)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"a result")
    _, after = run(client, workspace, manifest, cache_bytes=limit)
    assert after.fetched > 0 and after.done > 0


def test_a_download_that_fails_gives_its_room_back(hub: HubServer, tmp_path: Path) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    manifest = planned(client, workspace, max_requests=100)
    for number in range(5):
        hub.index.remove(f"a/r{number:02d}")
    hub.faults.server_error("HEAD /a/r05", times=99)
    _, report = run(client, workspace, manifest, cache_bytes=4 * 14_000, workers=1)
    assert (report.failed, report.put_off) == ({"repo_gone": 5}, 1)
    assert report.fetched == 4 and report.no_room > 0


def test_a_full_cache_is_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = 0
    plain = FileCache.contents

    def count(self: FileCache) -> Any:
        nonlocal scans
        scans += 1
        return plain(self)

    monkeypatch.setattr(FileCache, "contents", count)
    for number in range(6):
        path = tmp_path / "blobs" / "ab" / f"ab{number:062d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    room = CacheBudget(tmp_path, 650)
    room.protect(f"ab{number:062d}" for number in (0, 1, 2))
    assert room.reserve(50) and room.reserve(250), "three of six may go"
    assert [room.reserve(100) for _ in range(50)] == [False] * 50
    assert scans == 2, "once to measure, once to see what may go"
    assert len(list((tmp_path / "blobs").rglob("ab0*"))) == 3
    room.release(250)
    assert room.reserve(100)


def test_a_stop_ends_after_the_files_in_hand(hub: HubServer, tmp_path: Path) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    manifest = planned(client, workspace)
    work = Prefetch(client, workspace, PrefetchLimits(1, 50_000), ())
    seen = threading.Event()

    def stop(*_: object) -> None:
        seen.set()
        work.stop = True

    report = work.run(manifest.items, stop)
    assert report.stopped and seen.is_set() and 1 <= report.fetched < REPOS
    assert run(client, workspace, manifest)[1].put_off == 0


def test_a_full_disk_is_the_machines_fault_and_no_items(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, workspace = client_of(hub), Workspace(tmp_path)
    manifest = planned(client, workspace)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", full)
        with pytest.raises(PrerequisiteMissing, match="full"):
            run(client, workspace, manifest)
    assert not list(list_results(workspace.results))
    assert run(client, workspace, manifest)[1].fetched > 0
