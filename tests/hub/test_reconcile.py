"""Counts reconcile after every kind of trouble: the whole chain but for the audits, with the server misbehaving.

The same commands are run until they have nothing more to complain about, as a nightly job would; then every repo
that was ever listed is accounted for once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from auditor.hub.client import HubClient, Retry, connect
from auditor.hub.listing_file import iter_listing, read_quarantine
from auditor.hub.union import listing_path, quarantine_path
from auditor.pipeline import stages
from auditor.planning.manifest import read_manifest
from auditor.planning.prefetch import PrefetchReport
from auditor.planning.slices import Slice
from auditor.pocket.hub_server import HubIndex, HubServer, serve, synthetic_repo
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve

REPOS = 10
STANDARD = "pytorch_lora_weights.safetensors"
RETRY = Retry(max_retries=3, base_wait_s=0.01, max_wait_s=0.02, max_announced_s=5.0)
PAGE_2 = "api/models\\?.*cursor"
MODIFIED = "2026-09-01T00:00:00.000Z"


def names() -> set[str]:
    return {f"artist/style-{number:02d}" for number in range(REPOS)}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    index = HubIndex(
        synthetic_repo(
            f"artist/style-{number:02d}",
            {STANDARD: b"weights %d" % number * 3000, "README.md": b"# hello"},
            card={"base_model": "pocket/base"},
            tags=("lora", "text-to-image"),
            createdAt=f"2025-02-01T00:{59 - number:02d}:00.000Z",
            lastModified=f"2025-03-01T00:{number:02d}:00.000Z",
        )
        for number in range(REPOS)
    )
    with serve(index, page_size=4) as server:
        yield server


@dataclass
class Run:
    """One work folder and what the chain has said so far."""

    hub: HubServer
    settings: Settings
    client: HubClient
    crawls: int = 0
    prefetches: list[PrefetchReport] = field(default_factory=list)

    def crawl(self, on_page: Callable[[str], None] | None = None) -> None:
        """Until every query has reached its end."""
        for _ in range(4):
            self.crawls += 1
            self.client = connect(self.hub.endpoint, retry=RETRY, read_timeout_s=0.3, answer_s=0.8)
            if stages.crawl(self.settings, self.client, on_page=on_page).complete:
                return
        raise AssertionError("the crawl never ends")

    def prefetch(self) -> None:
        """Until nothing is put off any more."""
        for _ in range(4):
            self.prefetches.append(stages.prefetch(self.settings, self.client, Slice()))
            if not self.prefetches[-1].put_off:
                return
        raise AssertionError("the prefetch never ends")

    def finish(self, on_page: Callable[[str], None] | None = None) -> None:
        """Crawl, plan and prefetch."""
        self.crawl(on_page)
        stages.plan(self.settings, self.client)
        self.prefetch()

    def check(self) -> dict[str, int]:
        """Everything listed is accounted for once; return the outcomes."""
        workspace = Workspace(self.settings.work.dir)
        listed = [repo.repo_id for repo in iter_listing(listing_path(workspace.crawl))]
        assert len(listed) == len(set(listed))
        entries = read_quarantine(quarantine_path(workspace.crawl))
        unread = {entry.repo_id or f"{entry.query} {entry.page} {entry.position}" for entry in entries}
        manifest = read_manifest(workspace.manifest)
        units = [(unit.repo_id, unit.path) for unit in (*manifest.items, *manifest.settled)]
        assert len(units) == len(set(units))
        assert len({repo for repo, _ in units}) == len(set(listed) | unread)
        merged = stages.merge(self.settings)
        assert merged.reconciles and merged.listed_twice == 0
        assert merged.listed == len(units) == sum(merged.outcomes.values()) + merged.pending
        return {name: count for name, count in (*merged.outcomes.items(), ("pending", merged.pending)) if count}


@pytest.fixture
def run(hub: HubServer, tmp_path: Path) -> Run:
    queries = 'hub.queries=[["lora"], ["text-to-image"]]'
    settings = resolve(config=None, profile="pocket", work_dir=tmp_path, overrides=(queries,)).settings
    change = {"serve_folder": None, "odd_repos": False, "endpoint": hub.endpoint}
    settings = settings.model_copy(update={"hub": settings.hub.model_copy(update=change)})
    client = connect(hub.endpoint, retry=RETRY, read_timeout_s=0.3, answer_s=0.8)
    return Run(hub, settings, client)


@pytest.mark.parametrize(
    "trouble",
    [
        lambda f: f.too_many_requests("api/models"),
        lambda f: f.too_many_requests("api/models", reset=0),
        lambda f: f.too_many_requests("api/models", retry_after=0),
        lambda f: f.too_many_requests(PAGE_2),
        lambda f: f.too_many_requests(PAGE_2, reset=0, times=2),
        lambda f: f.too_many_requests(PAGE_2, reset=86_400),
        lambda f: f.server_error("api/models", status=500),
        lambda f: f.server_error("api/models", status=503, times=2),
        lambda f: f.server_error(PAGE_2, status=504, times=9),
        lambda f: f.stall("api/models", seconds=0.5),
        lambda f: f.stall(PAGE_2, seconds=0.5, after_bytes=200, times=2),
        lambda f: f.cut("api/models", after_bytes=300),
        lambda f: f.cut(PAGE_2, after_bytes=0, times=9),
        lambda f: f.wrong_length("api/models", by=50),
        lambda f: f.drip(PAGE_2, by=40, seconds=0.05, times=2),
        lambda f: f.answer("api/models", body=b"<html>gateway</html>"),
        lambda f: f.answer(PAGE_2, body=b'{"error": "busy"}', times=5),
        lambda f: f.server_error(PAGE_2, status=400),
        lambda f: f.server_error("paths-info", status=502, times=9),
        lambda f: f.stall("paths-info", seconds=0.5),
        lambda f: f.too_many_requests("HEAD"),
        lambda f: f.server_error("HEAD", status=503, times=20),
        lambda f: f.cut("GET /blobs", after_bytes=10_000, times=5),
        lambda f: f.cut("GET /blobs", after_bytes=0, times=20),
        lambda f: f.stall("GET /blobs", seconds=0.5, after_bytes=10_000, times=3),
        lambda f: f.wrong_length("GET /blobs", by=-100, times=2),
        lambda f: f.corrupt("GET /blobs"),
        lambda f: f.endless("GET /blobs"),
        lambda f: f.server_error("GET /blobs", status=500, times=3),
    ],
)
def test_trouble_that_passes_costs_nothing(run: Run, trouble: Callable[..., object]) -> None:
    fault = trouble(run.hub.faults)
    run.finish()
    assert fault.hits > 0  # type: ignore[attr-defined]
    assert run.check() == {"pending": REPOS}
    assert run.prefetches[-1].put_off == 0
    files = Workspace(run.settings.work.dir).files
    assert len(list((files / "blobs").glob("*/*"))) == REPOS


def test_an_endless_page_is_given_up_and_asked_for_again_in_smaller_ones(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import auditor.hub.client

    monkeypatch.setattr(auditor.hub.client, "MAX_ANSWER_BYTES", 500_000)
    run.hub.faults.endless(PAGE_2, times=2)
    run.finish()
    assert run.check() == {"pending": REPOS} and run.crawls == 1


@pytest.mark.parametrize(
    ("change", "outcomes"),
    [
        (lambda index: index.remove("artist/style-03"), {"gone": 1}),
        (lambda index: index.change("artist/style-03", private=True), {"gone": 1}),
        (lambda index: index.change("artist/style-03", disabled=True), {"gone": 1}),
        (lambda index: index.change("artist/style-03", gated="manual"), {"skipped": 1}),
        (lambda index: index.rename("artist/style-03", "artist/elsewhere"), {}),
        (lambda index: index.commit("artist/style-03", {STANDARD: b"newer"}, modified=MODIFIED), {}),
        (lambda index: index.commit("artist/style-03", {STANDARD: None}, modified=MODIFIED), {}),
    ],
)
@pytest.mark.parametrize("when", ["plan", "prefetch"])
def test_a_repo_that_changes_in_the_middle(
    run: Run, when: str, change: Callable[[HubIndex], object], outcomes: dict[str, int]
) -> None:
    run.crawl()
    if when == "plan":
        change(run.hub.index)
    stages.plan(run.settings, run.client)
    if when == "prefetch":
        change(run.hub.index)
    run.prefetch()
    pending = REPOS - sum(outcomes.values())
    # What the plan asks about a gated repo is answered; only its files are refused.
    assert run.check() == {**outcomes, "pending": pending}

    run.finish()  # the night after: the listing itself has changed
    after = run.check()
    assert sum(after.values()) >= REPOS
    listed = {repo.repo_id for repo in iter_listing(listing_path(Workspace(run.settings.work.dir).crawl))}
    assert listed >= names()


def test_a_listing_that_shifts_between_pages(run: Run) -> None:
    seen: list[str] = []

    def shift(note: str) -> None:
        seen.append(note)
        if len(seen) == 1:
            run.hub.index.commit("artist/style-09", {"new.txt": b"x"}, modified=MODIFIED)
            new = synthetic_repo(
                "artist/new",
                {STANDARD: b"n" * 99},
                tags=("lora", "text-to-image"),
                createdAt="2025-02-01T00:58:30.000Z",
                lastModified=MODIFIED,
            )
            run.hub.index.add([new])

    run.finish(shift)
    listed = {repo.repo_id: repo for repo in iter_listing(listing_path(Workspace(run.settings.work.dir).crawl))}
    assert set(listed) >= names()
    assert listed["artist/style-09"].commit_sha == run.hub.index.repos["artist/style-09"].sha
    assert sum(run.check().values()) == len(listed)


def test_entries_that_nobody_can_read(run: Run) -> None:
    run.hub.index.change("artist/style-02", entry_drop=("sha",))
    run.hub.index.change("artist/style-04", entry_drop=("id",))
    run.hub.index.change("artist/style-06", entry_patch={"tags": ["lora", *(f"t{n}" for n in range(10_000))]})
    run.finish()
    assert run.check() == {"quarantined": 2, "pending": REPOS - 2}  # each once, however many queries met it


@pytest.mark.parametrize("name", ["listing.parquet", "quarantine.parquet"])
def test_a_damaged_listing_is_made_anew_by_the_next_crawl(run: Run, name: str) -> None:
    run.hub.index.change("artist/style-02", entry_drop=("sha",))
    run.finish()
    before = run.check()
    path = Workspace(run.settings.work.dir).crawl / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    run.hub.requests.clear()
    run.finish()  # an incremental crawl was due, but what it would carry over is gone
    assert len(run.hub.seen("api/models\\?")) == 6
    assert run.check() == before


def test_names_that_differ_in_case_only_and_hostile_ones(run: Run) -> None:
    around = run.settings.work.dir.parent  # where `..` would lead; other tests keep files there
    there_before = set(around.glob("**/x.safetensors"))
    files: dict[str, bytes | int] = {f"many/{number:03d}.safetensors": 1000 for number in range(200)}
    hostile: dict[str, bytes | int] = {
        "../../x.safetensors": b"x",
        "a\nb.safetensors": b"x",
        "nul\0.safetensors": b"x",
        "CON.safetensors": b"x" * 50,
    }
    run.hub.index.add(
        [
            synthetic_repo("Artist/Style-01", {STANDARD: b"weights 1" * 3000}, tags=("lora",)),
            synthetic_repo("artist/many", files, tags=("lora",)),
            synthetic_repo("artist/hostile", hostile, tags=("lora",)),
            synthetic_repo("artist/huge", {"big.safetensors": 9_000_000_000}, tags=("lora",)),
        ]
    )
    run.crawl()
    stages.plan(run.settings, run.client)
    manifest = read_manifest(Workspace(run.settings.work.dir).manifest)
    assert len([item for item in manifest.items if item.repo_id == "artist/many"]) == 200
    run.hub.index.remove("artist/many")
    run.prefetch()
    outcomes = run.check()
    assert outcomes == {"skipped": 1, "quarantined": 3, "gone": 200, "pending": REPOS + 2}
    assert set(around.glob("**/x.safetensors")) == there_before
