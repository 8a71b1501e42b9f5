"""What cron jobs and containers leave out: no HOME, no locale but C, few open files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.audit.conftest import small_hub

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from auditor.cli.main import run
run(sys.argv[1:])
"""
BARE = {"PATH": os.defpath, "LANG": "C", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def auditor(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, "--profile", "pocket", *arguments]
    return subprocess.run(command, env=BARE, capture_output=True, encoding="utf-8", timeout=120, check=False)


def test_stages_need_neither_home_nor_locale_nor_many_files(tmp_path: Path) -> None:
    hub = small_hub(tmp_path / "hub", ("mkr/moss-lora", "grab-bag/zeros", "grab-bag/readme-only"))
    options = ("--work-dir", str(tmp_path / "work"), "--set", "hub.odd_repos=false", "--set", f"hub.serve_folder={hub}")
    for stage in ("crawl", "plan", "prefetch", "merge"):
        run = auditor(*options, stage)
        assert run.returncode == 0, (stage, run.stderr[-1000:])
    asked = auditor(*options, "search", "wässrig")
    assert asked.returncode in (0, 2) and "wässrig" in asked.stderr and "Traceback" not in asked.stderr
