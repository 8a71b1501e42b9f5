"""The working commands: what they say without working, and how they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor.cli.main import app, run
from auditor.errors import EXIT_PREREQUISITE, ItemError
from auditor.pipeline.explain_target import explain_target
from auditor.planning.manifest import read_manifest
from auditor.planning.recipes_in_force import settings_key
from auditor.records.result import ANY_RECIPE
from auditor.results.failures import failure_record
from auditor.results.result_file import Result, write_result
from auditor.results.workspace import Workspace
from auditor.settings import resolve


@pytest.mark.parametrize("command", ["plan", "audit", "merge"])
def test_a_stage_without_its_predecessor_says_which_command_comes_first(tmp_path: Path, command: str) -> None:
    from auditor.errors import UserError

    result = CliRunner().invoke(app, ["--profile", "pocket", "--work-dir", str(tmp_path), command])
    assert isinstance(result.exception, UserError)
    assert "run: auditor" in str(result.exception)


def test_dry_crawl_stores_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--profile", "pocket", "--work-dir", str(tmp_path), "crawl", "--dry-run"])
    assert result.exit_code == 0
    assert "requests" in result.stderr
    assert not (tmp_path / "crawl").exists()


def _planned(tmp_path: Path, *overrides: str) -> list[str]:
    """Options of a work folder that a crawl and a plan of the pocket Hub have filled."""
    options = ["--profile", "pocket", "--work-dir", str(tmp_path), *overrides]
    crawled = CliRunner().invoke(app, [*options, "crawl"])
    planned = CliRunner().invoke(app, [*options, "plan"])
    assert "next: auditor plan" in crawled.stderr
    assert "next: auditor prefetch" in planned.stderr
    return options


def test_stages_say_what_comes_next_and_costs_come_as_json(tmp_path: Path) -> None:
    options = _planned(tmp_path, "--set", "hub.odd_repos=false", "--set", "recipe.dose_scales=[]")
    dry = CliRunner().invoke(app, [*options, "audit", "--dry-run", "--json"])
    cost = json.loads(dry.stdout)
    assert 0 < cost["pictures_low"] <= cost["pictures_high"] and 0 < cost["gpu_seconds_low"] <= cost["gpu_seconds_high"]
    whole = CliRunner().invoke(app, [*options, "nightly", "--dry-run", "--json"])
    assert json.loads(whole.stdout)["crawl"]["estimated_requests"] > 0


def test_status_and_retry_name_a_command_that_this_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = _planned(tmp_path, "--set", "hub.odd_repos=false")
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    item = read_manifest(Workspace(tmp_path).manifest).items[0]
    error = ItemError("failed", "poison", "Given up.")
    for command, with_slurm in (("auditor audit", False), ("auditor submit --resume", True)):
        if with_slurm:
            (programs / "sbatch").touch(mode=0o755)
        write_result(Workspace(tmp_path).results, Result(failure_record(item, item.name_sha256, ANY_RECIPE, error), {}))
        assert f"next: {command}" in CliRunner().invoke(app, [*options, "status"]).stderr
        assert f"next: {command}" in CliRunner().invoke(app, [*options, "retry", "--reason", "poison"]).stderr
    assert list((tmp_path / "results-retried").glob("*/*"))


def test_explain_takes_files_as_large_as_an_audit_does(tmp_path: Path) -> None:
    """No safetensors file, so that the audit ends where its size was let pass or not."""
    large = tmp_path / "model.safetensors"
    large.write_bytes(b"no model" * 64)
    limits = [f"hub.max_file_bytes={large.stat().st_size - 1}", f"hub.max_model_bytes={large.stat().st_size}"]
    for full_models, reason in (("false", "too_large"), ("true", "corrupt_file")):
        settings = resolve(
            profile="pocket", work_dir=tmp_path / "work", overrides=[*limits, f"hub.full_models={full_models}"]
        ).settings
        with pytest.raises(ItemError) as ended:
            explain_target(settings, str(large), None, lambda what, done, total: None)
        assert ended.value.reason == reason


@pytest.mark.parametrize("place", ["recipes/current-pocket.json", "catalog.duckdb"])
def test_a_folder_in_a_files_place_is_named_with_what_to_do(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = _planned(tmp_path, "--set", "hub.odd_repos=false")
    settings = resolve(profile="pocket", work_dir=tmp_path, overrides=["hub.odd_repos=false"]).settings
    in_force = Workspace(tmp_path).recipes / "current-pocket.settings"
    in_force.parent.mkdir(parents=True, exist_ok=True)
    in_force.write_text(settings_key(settings), encoding="utf-8")
    (tmp_path / place).mkdir(parents=True)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run([*options, "merge"])
    assert ended.value.code == EXIT_PREREQUISITE
    said = "".join(capsys.readouterr().err.split())
    assert "".join(f"{tmp_path / place}: Is a directory; move the folder away".split()) in said
