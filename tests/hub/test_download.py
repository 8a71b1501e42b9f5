"""Pinned downloads: exact bytes or a named outcome, under every kind of trouble."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

import auditor.hub.transfer
from auditor.errors import ItemError, Refused, TransientError
from auditor.hub.client import HubClient, Retry, connect
from auditor.hub.download import FetchedFile, fetch
from auditor.hub.download_cache import FileCache
from auditor.hub.facts import FileFacts, ask_facts
from auditor.pocket.hub_server import HubServer, synthetic_repo

REPO, PATH = "ann/sepia", "sub folder/sépia #1.safetensors"
WEIGHTS = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
CONFIG = b'{"r": 4, "lora_alpha": 8}' * 100


@pytest.fixture
def sha(hub: HubServer) -> str:
    repo = synthetic_repo(REPO, {PATH: WEIGHTS, "adapter_config.json": CONFIG, "empty.safetensors": b""})
    hub.index.add([repo])
    return repo.sha


def get(client: HubClient, sha: str, cache: Path, path: str = PATH, **options: object) -> FetchedFile:
    return fetch(client, REPO, path, commit_sha=sha, cache_dir=cache, **options)  # type: ignore[arg-type]


def test_fetch_is_exact_and_asks_once(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    got = get(client, sha, tmp_path)
    assert (got.sha256, got.size_bytes, got.from_cache) == (SHA256, len(WEIGHTS), False)
    assert got.local_path.read_bytes() == WEIGHTS
    assert [(item.side, item.method) for item in hub.requests] == [("hub", "HEAD"), ("cdn", "GET")]
    again = get(client, sha, tmp_path)
    assert again.from_cache and again.local_path == got.local_path
    assert len(hub.requests) == 2


def test_no_uploaders_name_becomes_a_path(client: HubClient, sha: str, tmp_path: Path) -> None:
    get(client, sha, tmp_path)
    names = {part for path in tmp_path.rglob("*") for part in path.relative_to(tmp_path).parts}
    assert not any("pia" in name or "ann" in name for name in names)


def test_leftovers_are_swept_once_and_not_with_every_download(
    client: HubClient, sha: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (parts := tmp_path / "parts").mkdir()
    for name in ("old.lock", "old.part", "fresh.lock"):
        (parts / name).touch()
        if name.startswith("old"):
            os.utime(parts / name, (1, 1))
    looked: list[Path] = []
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: looked.append(folder) or iterdir(folder))
    for path in (PATH, "adapter_config.json", "empty.safetensors"):
        get(client, sha, tmp_path, path)
    assert looked == [parts]
    left = {path.name for path in parts.iterdir()}
    assert "fresh.lock" in left and not any(name.startswith("old") for name in left)


def test_small_text_is_checked_by_its_git_hash(client: HubClient, sha: str, tmp_path: Path) -> None:
    got = get(client, sha, tmp_path, "adapter_config.json")
    assert got.local_path.read_bytes() == CONFIG
    assert got.sha256 == hashlib.sha256(CONFIG).hexdigest()


def test_an_empty_file_is_a_file(client: HubClient, sha: str, tmp_path: Path) -> None:
    assert get(client, sha, tmp_path, "empty.safetensors").size_bytes == 0


def test_the_same_bytes_in_another_repo_are_not_downloaded_again(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    get(client, sha, tmp_path)
    copy = synthetic_repo("bob/copy", {"x.safetensors": WEIGHTS})
    hub.index.add([copy])
    got = fetch(client, "bob/copy", "x.safetensors", commit_sha=copy.sha, cache_dir=tmp_path)
    assert got.sha256 == SHA256
    assert len(hub.seen("GET /blobs")) == 1
    known = fetch(
        client, "eve/unseen", "y.safetensors", commit_sha="0" * 40, cache_dir=tmp_path, expected_sha256=SHA256
    )
    assert known.from_cache


def test_the_pinned_commit_is_what_comes(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    hub.index.commit(REPO, {PATH: b"something newer"}, modified="2025-01-01T00:00:00.000Z")
    assert get(client, sha, tmp_path).sha256 == SHA256
    with pytest.raises(ValueError, match="40 hex"):
        get(client, "main", tmp_path)


@pytest.mark.parametrize(
    ("meta", "outcome", "reason"),
    [
        ({"gated": "manual"}, "skipped", "gated"),
        ({"disabled": True}, "gone", "repo_disabled"),
        ({"private": True}, "gone", "repo_gone"),
    ],
)
def test_refused_repos(
    hub: HubServer,
    client: HubClient,
    sha: str,
    tmp_path: Path,
    meta: dict[str, object],
    outcome: str,
    reason: str,
) -> None:
    hub.index.change(REPO, **meta)
    with pytest.raises(ItemError) as caught:
        get(client, sha, tmp_path)
    assert (caught.value.outcome, caught.value.reason) == (outcome, reason)
    assert len(hub.requests) == 1  # no retry storm


def test_vanished_things(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    for path, commit, reason in (("absent.safetensors", sha, "file_gone"), (PATH, "0" * 40, "file_gone")):
        with pytest.raises(ItemError) as caught:
            get(client, commit, tmp_path, path)
        assert (caught.value.outcome, caught.value.reason) == ("gone", reason)
    hub.index.remove(REPO)
    with pytest.raises(ItemError) as caught:
        get(client, sha, tmp_path)
    assert caught.value.reason == "repo_gone"


def test_too_large_is_not_downloaded(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        get(client, sha, tmp_path, max_bytes=len(WEIGHTS) - 1)
    assert caught.value.reason == "too_large"
    assert not hub.seen("GET /blobs")
    assert get(client, sha, tmp_path, max_bytes=len(WEIGHTS)).size_bytes == len(WEIGHTS)


def test_a_file_of_unknown_size_is_cut_at_the_limit(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    with pytest.raises(ItemError, match="runs past the 100 bytes") as caught:  # a HEAD tells no size of small files
        get(client, sha, tmp_path, "adapter_config.json", max_bytes=100)
    assert (caught.value.outcome, caught.value.reason) == ("skipped", "too_large")
    assert not list((tmp_path / "parts").glob("*.part"))


def test_a_cut_download_resumes_where_it_stopped(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    hub.faults.cut("GET /blobs", after_bytes=100_000)
    hub.faults.stall("GET /blobs", seconds=1.0, after_bytes=50_000)
    assert get(client, sha, tmp_path).sha256 == SHA256
    assert [item.status for item in hub.seen("GET /blobs")] == [200, 206, 206]


def test_cuts_are_sat_out_as_often_as_they_come_while_each_attempt_brings_bytes(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    hub.faults.cut("GET /blobs", after_bytes=30_000, times=7)
    assert client.retry.max_retries < 7
    assert get(client, sha, tmp_path).sha256 == SHA256
    assert [item.status for item in hub.seen("GET /blobs")] == [200, *[206] * 7]


def test_a_server_that_knows_no_ranges_sends_all_again(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    hub.faults.cut("GET /blobs", after_bytes=100_000)
    hub.faults.answer("GET /blobs", body=WEIGHTS)
    assert get(client, sha, tmp_path).local_path.read_bytes() == WEIGHTS
    assert len(hub.seen("GET /blobs")) == 2


def test_a_leftover_that_is_longer_than_the_file_is_started_over_at_once(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / f"{SHA256}.part").write_bytes(WEIGHTS + b"more")
    assert get(client, sha, tmp_path).local_path.read_bytes() == WEIGHTS
    assert [item.status for item in hub.seen("GET /blobs")] == [200]


def test_a_body_that_ends_early_every_time_fails_that_file(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    hub.faults.answer("GET /blobs", body=WEIGHTS[:1000], times=99)
    with pytest.raises(ItemError, match=r"ends at byte 1,000 of 256,000 every time") as caught:
        get(client, sha, tmp_path)
    assert (caught.value.outcome, caught.value.reason) == ("failed", "download_failed")
    assert len(hub.seen("GET /blobs")) == 2 + client.retry.max_retries, "the first brought something"


def test_an_interrupted_download_is_taken_up_by_the_next_attempt(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    hub.faults.cut("GET /blobs", after_bytes=100_000)
    hub.faults.cut("GET /blobs", after_bytes=0, times=3)
    with pytest.raises(TransientError):
        get(client, sha, tmp_path)
    part = next((tmp_path / "parts").glob("*.part"))
    assert part.stat().st_size == 100_000
    assert get(client, sha, tmp_path).sha256 == SHA256
    assert hub.requests[-1].status == 206
    assert not list((tmp_path / "parts").glob("*.part"))


def test_a_garbled_part_is_noticed(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / f"{SHA256}.part").write_bytes(b"rubbish")
    assert get(client, sha, tmp_path).local_path.read_bytes() == WEIGHTS
    assert len(hub.seen("GET /blobs")) == 2


def test_one_flipped_byte_is_downloaded_again_and_two_are_refused(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    hub.faults.corrupt("GET /blobs")
    assert get(client, sha, tmp_path / "a").sha256 == SHA256
    hub.faults.corrupt("GET /blobs", times=2)
    with pytest.raises(Refused) as caught:
        get(client, sha, tmp_path / "b")
    assert caught.value.reason == "hash_mismatch"
    assert not list((tmp_path / "b" / "blobs").rglob("*"))


def test_another_hash_than_planned_is_refused(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        get(client, sha, tmp_path, expected_sha256="0" * 64)
    assert caught.value.reason == "hash_mismatch"


def test_a_damaged_cache_heals(hub: HubServer, client: HubClient, sha: str, tmp_path: Path) -> None:
    blob = get(client, sha, tmp_path).local_path
    blob.write_bytes(WEIGHTS[:-1] + b"!")
    got = get(client, sha, tmp_path)
    assert not got.from_cache and got.local_path.read_bytes() == WEIGHTS


@pytest.mark.parametrize("kind", ["503", "429", "stall"])
def test_lasting_trouble_is_transient(hub: HubServer, client: HubClient, sha: str, tmp_path: Path, kind: str) -> None:
    if kind == "stall":
        client = connect(hub.endpoint, retry=Retry(1, 0.01, 0.01), read_timeout_s=0.1)
        hub.faults.stall("HEAD", seconds=0.3, times=9)
    else:
        hub.faults.server_error("HEAD", status=int(kind), times=9)
    with pytest.raises(TransientError):
        get(client, sha, tmp_path)


def test_a_server_that_is_not_there_is_transient(tmp_path: Path) -> None:
    client = connect("http://127.0.0.1:9", retry=Retry(0, 0.01, 0.01))
    with pytest.raises(TransientError):
        get(client, "0" * 40, tmp_path)


def test_offline_what_was_fetched_is_there_and_the_rest_is_put_off(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    get(client, sha, tmp_path)
    before = len(hub.requests)
    got = fetch(None, REPO, PATH, commit_sha=sha, cache_dir=tmp_path)
    assert got.from_cache and got.local_path.read_bytes() == WEIGHTS
    with pytest.raises(TransientError, match="auditor prefetch"):
        fetch(None, REPO, "adapter_config.json", commit_sha=sha, cache_dir=tmp_path)
    assert len(hub.requests) == before


def test_a_download_that_drips_is_given_up_and_resumed(
    hub: HubServer, sha: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor.hub.transfer, "_SLOWEST_BYTES_PER_S", 1_000_000)
    client = connect(hub.endpoint, answer_s=0.3, retry=Retry(2, 0.01, 0.02))
    hub.faults.drip("GET /blobs", by=2_000, seconds=0.02)
    with pytest.raises(TransientError, match="after its time"):
        get(client, sha, tmp_path)
    assert next((tmp_path / "parts").glob("*.part")).stat().st_size > 0
    assert get(client, sha, tmp_path).sha256 == SHA256
    assert hub.requests[-1].status == 206


def test_an_endless_body_is_cut_at_the_announced_size(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    hub.faults.endless("GET /blobs")
    assert get(client, sha, tmp_path).sha256 == SHA256  # too long: not what was announced, so once more
    hub.faults.endless("GET /blobs", times=2)
    with pytest.raises(Refused):
        get(client, sha, tmp_path / "b")
    assert sum(p.stat().st_size for p in (tmp_path / "b").rglob("*") if p.is_file()) < 2 * len(WEIGHTS)


def test_a_server_that_is_away_is_not_asked_by_every_item_again(tmp_path: Path) -> None:
    client = connect("http://127.0.0.1:9", retry=Retry(1, 0.01, 0.01))
    for _ in range(3):
        with pytest.raises(TransientError):
            get(client, "0" * 40, tmp_path)
    assert client.requests == 3 and client._away_until > 0
    started = time.monotonic()
    with pytest.raises(TransientError):
        get(client, "0" * 40, tmp_path)
    assert time.monotonic() - started < 0.2


def test_facts_are_asked_for_in_one_request_and_kept(
    hub: HubServer, client: HubClient, sha: str, tmp_path: Path
) -> None:
    found = ask_facts(client, REPO, sha, [PATH, "adapter_config.json", "absent"])
    assert [(item.path, item.size_bytes, item.sha256) for item in found] == [
        (PATH, len(WEIGHTS), SHA256),
        ("adapter_config.json", len(CONFIG), None),
    ]
    assert len(hub.requests) == 1
    facts = FileFacts(tmp_path)
    facts.learn(REPO, sha, found)
    facts.save()
    facts.save()
    (only,) = tmp_path.iterdir()
    with only.open("a") as stream:
        stream.write('["torn')
    again = FileFacts(tmp_path)
    assert again.get(REPO, sha, PATH) == found[0]
    assert again.get(REPO, "0" * 40, PATH) is None
    hub.index.remove(REPO)
    with pytest.raises(ItemError):
        ask_facts(client, REPO, "1" * 40, [PATH])


def test_the_token_does_not_reach_the_cdn(hub: HubServer, sha: str, tmp_path: Path) -> None:
    from auditor.pocket.hub_server import Identity

    hub.api._tokens = {"hf_me": Identity("me")}
    get(connect(hub.endpoint, token="hf_me"), sha, tmp_path)
    assert [(item.side, item.authorized) for item in hub.requests] == [("hub", True), ("cdn", False)]


def test_a_part_that_another_process_fills_is_left_to_it(client: HubClient, sha: str, tmp_path: Path) -> None:
    with FileCache(tmp_path).part(SHA256) as theirs:
        theirs.write_bytes(WEIGHTS[:100])
        assert get(client, sha, tmp_path).local_path.read_bytes() == WEIGHTS
        assert theirs.read_bytes() == WEIGHTS[:100]
        assert [path for path in (tmp_path / "parts").glob("*.part") if path != theirs] == []


def test_what_is_kept_is_no_larger_than_what_is_asked_for(client: HubClient, sha: str, tmp_path: Path) -> None:
    get(client, sha, tmp_path)
    with pytest.raises(ItemError) as caught:
        get(client, sha, tmp_path, max_bytes=len(WEIGHTS) - 1)
    assert caught.value.reason == "too_large"
