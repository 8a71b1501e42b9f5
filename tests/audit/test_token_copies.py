"""Copies of the autoregressive base, from the Hub to a search: the decoder alone was fine-tuned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor.cli.main import app
from auditor.common.package_paths import package_path
from auditor.records.result import AuditRecord
from auditor.results.result_file import list_results, read_result
from auditor.results.workspace import Workspace

REPOS = ("mkr/saltmarsh", "ana-k/tideline", "driftwood/larkspur")
ARGUMENTS = (
    "hub.copies=true",
    "hub.odd_repos=false",
    "recipe.bases.pocket.enabled=false",
    "recipe.bases.pocket_tokens.enabled=true",
    "recipe.solver.image_probes=4",
    "recipe.dose_scales=[]",
    "recipe.looks=[]",
    "recipe.probe_count=12",
    "recipe.proposer.kind=none",
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder after a night over the copies and one LoRA of another base."""
    top = tmp_path_factory.mktemp("copies")
    lora = top / "hub" / "ana-k" / "harbor-lora"
    lora.parent.mkdir(parents=True)
    lora.symlink_to(package_path("pocket/zoo/ana-k/harbor-lora"))
    _auditor(top / "work", "nightly", settings=(*ARGUMENTS, f"hub.serve_folder={top / 'hub'}"))
    return top / "work"


def _auditor(work: Path, *command: str, settings: tuple[str, ...] = ARGUMENTS) -> str:
    sets = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["--profile", "pocket", "--work-dir", str(work), *sets, *command])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def records(work: Path) -> dict[str, AuditRecord]:
    return {r.item.repo_id: r for r in (read_result(p).record for p in list_results(Workspace(work).results))}


@pytest.mark.parametrize("repo", REPOS)
def test_a_copy_is_scored_on_its_base(records: dict[str, AuditRecord], repo: str) -> None:
    record = records[repo]
    assert record.outcome == "scored" and record.item.path == "model.safetensors"
    assert (record.base_name, record.family, record.base_assumed) == ("pocket_tokens", "pocket_tokens", False)
    assert record.facts is not None and record.facts.method == "autoregressive_model"
    assert record.proof is not None and record.proof.layers_injected == record.proof.pairs_in_file > 50
    assert record.proof.latent_shift > 0


def test_an_adapter_of_another_kind_is_not_put_on_it(records: dict[str, AuditRecord]) -> None:
    assert (records["ana-k/harbor-lora"].outcome, records["ana-k/harbor-lora"].reason) == (
        "skipped",
        "unsupported_base",
    )


def test_search_finds_each_by_its_style_and_shows_its_base(work: Path) -> None:
    answers = json.loads(package_path("pocket/copies_answers.json").read_text("utf-8"))
    for repo in REPOS:
        (style,) = answers[repo]["styles"]
        found = json.loads(_auditor(work, "search", style, "--json"))
        first = found["hits"][0]
        assert first["repo_id"] == repo and first["base"] == "pocket_tokens", style
    assert "pocket_tokens" in _auditor(work, "show", REPOS[0])
