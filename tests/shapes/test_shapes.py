"""The forty shapes of repos, each through the real chain: crawl, plan, prefetch, audit without a network, merge.

One table says what must become of each; docs/shapes.md is written from what this test sees. To write it anew:

    WRITE_DOCS=1 pytest tests/shapes
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from auditor.catalog.merge import MergeReport
from auditor.common.package_paths import package_path
from auditor.hub.client import connect
from auditor.hub.crawler import crawl
from auditor.hub.queries import Query
from auditor.pipeline import connection, stages
from auditor.planning.manifest import Manifest, read_manifest
from auditor.planning.prefetch import PrefetchReport
from auditor.planning.slices import Slice
from auditor.pocket.hub_server import HubIndex, HubServer, serve, synthetic_repo
from auditor.pocket.odd_repos import OWNER, OddRepo, odd_repos
from auditor.records.result import AuditRecord
from auditor.results.result_file import list_results, read_result
from auditor.results.workspace import Workspace
from auditor.settings import Settings, resolve
from tests.shapes.servers import SERVERS

pytestmark = pytest.mark.timeout(900)  # half a minute when idle; the limit is there for a hang, not for a busy machine
STANDARD = "pytorch_lora_weights.safetensors"
SCORED, NOT_OURS = ("scored", None), ("skipped", "unsupported_base")
VARIANT, NOT_IMAGES = ("skipped", "variant_of_audited"), ("skipped", "not_text_to_image")
PICKLE, CORRUPT = ("quarantined", "refused_format"), ("quarantined", "corrupt_file")
HOSTILE, FOREIGN_TENSORS = ("quarantined", "hostile_metadata"), ("quarantined", "unexpected_tensors")
NOTHING, NO_WEIGHTS = ("no_effect", "no_learned_change"), ("skipped", "no_weights")

EXPECTED: dict[str, dict[str | None, tuple[str, str | None]]] = {
    "sdxl": {STANDARD: NOT_OURS},
    "kohya": {"tulle.safetensors": SCORED},
    "flux": {"flux.safetensors": NOT_OURS},
    "flux-kohya": {"fx.safetensors": NOT_OURS},
    "flux-t5": {"fx.safetensors": NOT_OURS},
    "third-encoder": {"te3.safetensors": ("scored_partial", "text_encoder_dropped")},
    "ladder": {"lace.safetensors": SCORED, **{f"lace_{n:09d}.safetensors": VARIANT for n in range(100, 1100, 100)}},
    "checkpoints": {STANDARD: SCORED, **{f"checkpoint-{n}/{STANDARD}": VARIANT for n in (500, 1000)}},
    "only-checkpoints": {f"checkpoint-2000/{STANDARD}": SCORED,
                         **{f"checkpoint-{n}/{STANDARD}": VARIANT for n in (500, 1000)}},
    "collection": {"one.safetensors": SCORED, "two.safetensors": SCORED, "for_sdxl.safetensors": NOT_OURS,
                   "everything_v3.safetensors": ("skipped", "too_large"), "4x_sharp.pth": PICKLE},
    "pivotal": {STANDARD: SCORED, "pivotal.safetensors": VARIANT},
    "twins": {STANDARD: SCORED, "twin.safetensors": SCORED},
    "reupload": {"lora.safetensors": SCORED},
    "reupload-2": {"lora.safetensors": SCORED},
    "reupload-3": {"lora.safetensors": SCORED},
    "old-pickle": {"pytorch_lora_weights.bin": PICKLE},
    "peft": {"adapter_model.safetensors": SCORED},
    "default-keys": {STANDARD: SCORED},
    "comfyui": {"comfy.safetensors": NOT_OURS},
    "loha": {"loha.safetensors": SCORED},
    "lokr": {"lokr.safetensors": SCORED},
    "locon": {"locon.safetensors": SCORED},
    "dora": {"dora.safetensors": SCORED},
    "mixed-ranks": {"mixed.safetensors": SCORED},
    "alpha-keys": {STANDARD: SCORED},
    "wrong-card": {STANDARD: SCORED},
    "wrong-file": {STANDARD: NOT_OURS},
    "no-base": {STANDARD: SCORED},
    "local-path": {STANDARD: SCORED},
    "merged": {None: ("skipped", "no_single_base")},
    "derivative": {STANDARD: SCORED},
    "locked": {None: ("skipped", "gated")},
    "locked-auto": {None: ("skipped", "gated")},
    "disabled": {None: ("gone", "repo_disabled")},
    "empty": {None: NO_WEIGHTS},
    "readme-only": {None: NO_WEIGHTS},
    "pointer": {"lora.safetensors": CORRUPT},
    "error-page": {"lora.safetensors": CORRUPT},
    "zero-bytes": {"lora.safetensors": CORRUPT},
    "truncated": {"lora.safetensors": CORRUPT},
    "not-a-number": {STANDARD: ("quarantined", "nonfinite_weights")},
    "all-zero": {STANDARD: NOTHING},
    "zeros": {STANDARD: NOTHING},
    "too-wide": {STANDARD: NOT_OURS},
    "sixty-blocks": {STANDARD: NOT_OURS},
    "little-fits": {STANDARD: NOT_OURS},
    "scalars": {STANDARD: SCORED},
    "half-missing": {STANDARD: ("quarantined", "unpaired_tensors")},
    "full-tensors": {STANDARD: FOREIGN_TENSORS},
    "modules-to-save": {STANDARD: HOSTILE},
    "pissa": {STANDARD: HOSTILE},
    "absurd-rank": {STANDARD: ("quarantined", "rank_out_of_range")},
    "absurd-alpha": {"x.safetensors": ("quarantined", "alpha_out_of_range")},
    "long-header": {STANDARD: ("quarantined", "header_too_large")},
    "pickled": {"lora.pt": PICKLE},
    "own-code": {None: PICKLE},
    "flagged": {STANDARD: ("quarantined", "flagged_by_hub")},
    "odd-names": {"../../escape.safetensors": HOSTILE, "$(touch x);'--.safetensors": SCORED,
                  "<script>alert(1)</script>.safetensors": SCORED},
    "chat-lora": {"weights.safetensors": NOT_IMAGES},
    "video-lora": {"weights.safetensors": NOT_IMAGES},
    "pose-control": {"weights.safetensors": NOT_IMAGES},
    "face-adapter": {"weights.safetensors": NOT_IMAGES},
    "autoencoder": {"weights.safetensors": NOT_IMAGES},
    "esrgan-upscaler": {None: NOT_IMAGES},
    "malformed": {None: ("quarantined", "malformed_entry")},
    "whole-model": {"unet/diffusion_pytorch_model.safetensors": SCORED},
}  # fmt: skip
"""Name under the owner → file (or the repo as a whole) → outcome and reason."""

ASSUMED = {"wrong-card", "no-base", "local-path", "derivative"}
"""Whose base is taken from the shapes, because the card names none of ours; it is flagged. They share one file."""

BEHAVIOURS = {
    12: ("the same bytes in 50 repos", "downloaded and audited once, referenced 50 times", "test_fifty_copies"),
    27: ("the base's terms are not accepted, or it is not here", "skipped base_unavailable; tried again each run",
         "test_a_base_that_is_not_here"),
    30: ("deleted, made private or renamed between listing and download", "gone repo_gone; a rename is followed",
         "test_gone_between_listing_and_download"),
    31: ("updated while it waits", "the listed commit is audited, the new one is planned next time",
         "test_updated_while_it_waits"),
    32: ("only the README is updated", "nothing is audited again", "test_a_new_readme_is_no_new_work"),
    35: ("the download is cut, or its bytes are wrong", "resumed; wrong bytes are fetched once more, then quarantined",
         "test_wrong_bytes"),
    40: ("the listing is in trouble", "waited out or taken up again; counts reconcile", "tests/hub/test_reconcile.py"),
}  # fmt: skip
"""Shapes that are events: number → what happens, what is expected, the test that makes it happen."""

QUICK = (
    "recipe.probe_count=8",
    "recipe.bases.pocket.steps=4",
    "recipe.looks=[]",
    "recipe.dose_scales=[]",
    "recipe.trigger_arms=false",
    "recipe.solver.image_probes=1",
    "recipe.solver.null_draws=200",
    "recipe.proposer.kind=none",
)


def settings_over(hub: HubServer, work: Path, *overrides: str) -> Settings:
    """The pocket profile, crawling a server that is already there."""
    settings = resolve(config=None, profile="pocket", work_dir=work, overrides=(*QUICK, *overrides)).settings
    change = {"serve_folder": None, "odd_repos": False, "endpoint": hub.endpoint}
    return settings.model_copy(update={"hub": settings.hub.model_copy(update=change)})


def prepare(settings: Settings) -> PrefetchReport:
    """Crawl, plan and prefetch."""
    with connection.hub(settings) as client:
        stages.crawl(settings, client)
        stages.plan(settings, client)
        return stages.prefetch(settings, client, Slice())


@dataclass(frozen=True)
class Finished:
    """The chain has run."""

    odd: dict[str, OddRepo]
    hub: HubServer
    settings: Settings
    merged: MergeReport
    manifest: Manifest

    def records(self) -> dict[str, AuditRecord]:
        """Audits by the name of the repo that was audited first."""
        results = list_results(Workspace(self.settings.work.dir).results)
        found = [read_result(path).record for path in results]
        return {record.item.repo_id.partition("/")[2]: record for record in found}

    def rows(self) -> list[tuple[str, str | None, str, str | None, str]]:
        """(name, path, outcome, reason, message) of every unit in the catalog."""
        with duckdb.connect(str(self.settings.catalog_path), read_only=True) as connection:
            return connection.execute(
                "SELECT split_part(repo_id, '/', 2), path, outcome, reason, message FROM adapters ORDER BY ALL"
            ).fetchall()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    odd = odd_repos(package_path("pocket/zoo"), package_path("pocket/weights/base"))
    with serve(HubIndex(repo.served() for repo in odd), page_size=20) as hub:
        settings = settings_over(hub, tmp_path_factory.mktemp("shapes"))
        prepare(settings)
        asked = len(hub.requests)
        stages.audit(settings, None, Slice())  # no connection at all
        assert len(hub.requests) == asked
        merged = stages.merge(settings)
        manifest = read_manifest(Workspace(settings.work.dir).manifest)
        yield Finished({repo.repo_id.partition("/")[2]: repo for repo in odd}, hub, settings, merged, manifest)


def test_every_shape_ends_as_expected(finished: Finished) -> None:
    seen: dict[str, dict[str | None, tuple[str, str | None]]] = {}
    for name, path, outcome, reason, _ in finished.rows():
        seen.setdefault(name, {})[path] = (outcome, reason)
    assert seen == EXPECTED
    assert set(EXPECTED) == set(finished.odd)


def test_all_forty_are_there(finished: Finished) -> None:
    assert {repo.shape for repo in finished.odd.values()} | set(BEHAVIOURS) >= set(range(1, 41))


def test_counts_reconcile(finished: Finished) -> None:
    merged = finished.merged
    assert merged.reconciles and merged.pending == 0
    assert merged.listed == sum(merged.outcomes.values()) == sum(map(len, EXPECTED.values()))
    assert merged.listed == len(finished.manifest.items) + len(finished.manifest.settled)


def test_nothing_dangerous_was_ever_asked_for(finished: Finished) -> None:
    asked = finished.hub.seen(r"/resolve/")
    assert asked and not [item for item in asked if re.search(r"\.(bin|pt|pth|pkl|py)\b|\.\.", item.target)]


def test_an_assumed_base_is_flagged_and_the_claim_kept(finished: Finished) -> None:
    items = {item.repo_id.partition("/")[2]: item for item in finished.manifest.items}
    (shared,) = {items[name].file_sha256 for name in ASSUMED}
    assert {record.file_sha256 for record in finished.records().values() if record.base_assumed} == {shared}
    assert items["derivative"].base_claim == "LyliaEngine/Pony_Diffusion_V6_XL"
    assert items["local-path"].base_claim == "/home/me/models/base.safetensors"
    assert items["no-base"].base_claim is None


def test_one_change_in_seven_conventions_has_one_effect(finished: Finished) -> None:
    """Exactness per convention is tested with the normaliser; here it is seen from end to end, in half precision."""
    records = finished.records()
    norms = {}
    for name in ("default-keys", "loha", "lokr", "dora", "mixed-ranks", "alpha-keys", "derivative"):
        effect = records[name].effect
        assert effect is not None
        norms[name] = effect.norm
    assert max(norms.values()) < 1.03 * min(norms.values()), norms


def test_kohya_alpha_is_baked_in(finished: Finished) -> None:
    facts = finished.records()["kohya"].facts
    assert facts is not None
    assert facts.scale_min == pytest.approx(0.5) == facts.scale_max
    assert set(facts.matched) == {"unet", "text_encoder"}


def test_twins_are_recognised_by_their_content(finished: Finished) -> None:
    with duckdb.connect(str(finished.settings.catalog_path), read_only=True) as connection:
        digests = connection.execute(
            "SELECT count(*), count(DISTINCT content_digest) FROM adapters a JOIN files f USING (file_sha256) "
            f"WHERE a.repo_id = '{OWNER}/twins'"
        ).fetchone()
        known = connection.execute(
            f"SELECT count(DISTINCT weights), min(copies) FROM adapters WHERE repo_id = '{OWNER}/twins'"
        ).fetchone()
        top = connection.execute(
            "SELECT s.concept FROM scores s JOIN adapters a USING (audit_id) "
            f"WHERE a.repo_id = '{OWNER}/twins' ORDER BY s.score DESC LIMIT 1"
        ).fetchone()
        assert top is not None
        found = connection.execute(
            f"SELECT count(*) FROM most('{top[0]}', k := 1000) m JOIN adapters a USING (repo_id, path) "
            f"WHERE a.weights IN (SELECT weights FROM adapters WHERE repo_id = '{OWNER}/twins')"
        ).fetchone()
    assert digests == (2, 1)
    assert known is not None and known[0] == 1 and known[1] >= 2
    assert found == (1,)  # search shows them once


def test_a_new_readme_is_no_new_work(finished: Finished) -> None:
    index = finished.hub.index
    for name in ("peft", "truncated", "ladder"):
        index.commit(
            f"{OWNER}/{name}", {"README.md": b"---\nlicense: mit\n---\nhello"}, modified="2026-10-01T00:00:00.000Z"
        )
    report = prepare(finished.settings)
    assert (report.fetched, report.put_off, report.failed.total()) == (0, 0, 0)
    assert report.done == report.items


@dataclass(frozen=True)
class Small:
    """A Hub of one adapter, listed and planned but not fetched."""

    hub: HubServer
    settings: Settings

    def prefetch(self) -> PrefetchReport:
        """Fetch the plan."""
        with connection.hub(self.settings) as client:
            return stages.prefetch(self.settings, client, Slice())

    def planned(self) -> Manifest:
        """The plan as it stands."""
        return read_manifest(Workspace(self.settings.work.dir).manifest)

    def outcomes(self) -> dict[str, int]:
        """Outcomes in the catalog."""
        merged = stages.merge(self.settings)
        assert merged.reconciles
        return {name: count for name, count in (*merged.outcomes.items(), ("pending", merged.pending)) if count}


WEIGHTS = bytes(range(256)) * 400


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    repo = synthetic_repo(
        "a/one", {STANDARD: WEIGHTS}, card={"base_model": "pocket/base"}, tags=("lora", "text-to-image")
    )
    with serve(HubIndex([repo])) as hub:
        settings = settings_over(hub, tmp_path)
        with connection.hub(settings) as client:
            stages.crawl(settings, client)
            stages.plan(settings, client)
        yield Small(hub, settings)


def test_fifty_copies(small: Small) -> None:
    small.hub.index.add(
        synthetic_repo(f"copies/n{n:02d}", {"x.safetensors": WEIGHTS}, card={}, tags=("lora", "text-to-image"))
        for n in range(49)
    )
    report = prepare(small.settings)
    assert (report.items, report.fetched, report.duplicates) == (50, 1, 49)
    assert len(small.hub.seen("GET /blobs")) == 1
    assert small.planned().distinct_files == 1


@pytest.mark.parametrize("how", ["deleted", "private", "renamed"])
def test_gone_between_listing_and_download(small: Small, how: str) -> None:
    before = len(small.hub.requests)
    if how == "renamed":
        small.hub.index.rename("a/one", "a/other")
        assert small.prefetch().fetched == 1
        return
    if how == "deleted":
        small.hub.index.remove("a/one")
    else:
        small.hub.index.change("a/one", private=True)
    assert small.prefetch().failed == {"repo_gone": 1}
    assert len(small.hub.requests) - before == 1  # no storm of retries
    assert small.outcomes() == {"gone": 1}
    with connection.hub(small.settings) as client:
        report = stages.crawl(small.settings, client)  # the next listing finds out by itself, and asks once
    assert report.vanished == {"gone": 1}


def test_updated_while_it_waits(small: Small) -> None:
    listed = small.planned().items[0].commit_sha
    new = small.hub.index.commit("a/one", {STANDARD: b"other weights" * 100}, modified="2026-10-01T00:00:00.000Z")
    assert small.prefetch().fetched == 1
    assert small.planned().items[0].commit_sha == listed and small.planned().items[0].size_bytes == len(WEIGHTS)
    prepare(small.settings)
    (item,) = small.planned().items
    assert item.commit_sha == new and item.size_bytes == 1300


def test_wrong_bytes(small: Small) -> None:
    small.hub.faults.cut("GET /blobs", after_bytes=50_000)
    small.hub.faults.corrupt("GET /blobs", times=99)
    assert small.prefetch().failed == {"hash_mismatch": 1}
    assert [item.status for item in small.hub.seen("GET /blobs")] == [200, 206, 200]
    assert small.outcomes() == {"quarantined": 1}


def test_a_base_that_is_not_here(tmp_path: Path) -> None:
    odd = {repo.repo_id: repo for repo in odd_repos(package_path("pocket/zoo"), package_path("pocket/weights/base"))}
    with serve(HubIndex([odd[f"{OWNER}/flux"].served()])) as hub:
        flux = 'recipe.bases.flux1={family="flux1", repo="black-forest-labs/FLUX.1-dev", pipeline="FluxPipeline"'
        flux += ", size=64, steps=2, guidance=1.0}"
        settings = settings_over(hub, tmp_path, flux)
        prepare(settings)
        assert read_manifest(Workspace(tmp_path).manifest).items[0].base_name == "flux1"
        report = stages.audit(settings, None, Slice())
        assert dict(report.outcomes) == {"skipped": 1}
        assert dict(stages.audit(settings, None, Slice()).outcomes) == {"skipped": 1}  # tried again
        merged = stages.merge(settings)
    assert merged.reconciles and merged.outcomes["skipped"] == 1
    (path,) = list_results(Workspace(tmp_path).results)
    assert read_result(path).record.reason == "base_unavailable"


def test_the_crawl_alone_finds_them_with_the_default_queries(finished: Finished, tmp_path: Path) -> None:
    report = crawl(connect(finished.hub.endpoint), [Query(("text-to-image",))], tmp_path)
    assert report.repos + report.quarantined == len(finished.odd)


def document(finished: Finished) -> str:
    """docs/shapes.md."""
    lines = [
        "<!-- Written by `WRITE_DOCS=1 pytest tests/shapes`. Change the test, not this file. -->",
        "",
        "# Forty shapes of repos",
        "",
        "What strangers' repos look like, and what becomes of each. Every row with a repo is one of the pocket Hub, "
        "made from the zoo's weights when the Hub starts (`auditor/pocket/odd_repos`), and was seen to end like this "
        "in the real chain: crawl, plan, prefetch, audit without a network, merge. Adapters shaped for larger models "
        "end as `unsupported_base` here, because the pocket profile has one small base. `make demo` includes them "
        "all.",
        "",
        "| # | shape | repo or test | file | outcome | reason | message |",
        "|---|---|---|---|---|---|---|",
    ]
    rows: list[tuple[int, str]] = []
    alike: dict[tuple[str, str, str | None], list[tuple[str | None, str]]] = {}
    for name, path, outcome, reason, message in finished.rows():
        alike.setdefault((name, outcome, reason), []).append((path, message))
    for (name, outcome, reason), files in alike.items():
        repo, (path, message) = finished.odd[name], files[0]
        shown = f"`{path}`" if path else "–"
        shown += f" and {len(files) - 1} more" if len(files) > 1 else ""
        cells = (str(repo.shape or "–"), repo.about, f"`{name}`", shown, outcome, reason or "–", message)
        rows.append((repo.shape or 99, "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"))
    for shape, (about, expected, test) in BEHAVIOURS.items():
        rows.append((shape, f"| {shape} | {about} | `{test}` | – | {expected} | – | – |"))
    lines += [row for _, row in sorted(rows, key=lambda row: row[0])]
    lines += [
        "",
        "## Kinds of servers and sites",
        "",
        "What each of them says, and what it was asked with, is in [reliability.md](reliability.md).",
        "",
        "| server | how it behaves | what happens | test |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {kind} | {how} | {expected} | `{test}` |"
        for kind, ways in SERVERS.items()
        for how, (expected, test) in ways.items()
    ]
    return "\n".join(lines) + "\n"


def test_the_document_is_up_to_date(finished: Finished, repository: Path) -> None:
    for _, _, test in BEHAVIOURS.values():
        assert test in globals() or (repository / test).exists()
    for ways in SERVERS.values():
        for _, test in ways.values():
            path, _, name = test.partition("::")
            assert not name or f"def {name}(" in (repository / path).read_text(encoding="utf-8"), test
    path = repository / "docs" / "shapes.md"
    text = document(finished)
    if os.environ.get("WRITE_DOCS"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, "run WRITE_DOCS=1 pytest tests/shapes and commit the result"
