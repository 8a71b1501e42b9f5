"""The working commands: what they say without working, and how they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from auditor.cli.main import app


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
