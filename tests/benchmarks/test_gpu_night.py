"""The GPU benchmark runs whole on small models, wherever it is tried before a GPU is at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_night.py"


def test_a_smoke_run_measures_every_part(tmp_path: Path) -> None:
    table = tmp_path / "figures.md"
    command = [sys.executable, str(SCRIPT), "--smoke", "--table", str(table), "--bases", "sdxl", "flux1_dev"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert not [row for row in rows if "failed" in row or "skipped" in row]
    measured = {(row["base"], row["what"].split(",")[0].split(":")[0]) for row in rows}
    parts = {"built", "inject", "merge", "naive"}
    assert {(base, part) for base in ("sdxl", "flux1_dev") for part in parts} <= measured
    assert {"encoder", "qwen2-vl-7b"} <= {row["base"] for row in rows}
    assert all(line in table.read_text("utf-8") for line in ("| sdxl | inject, lokr file |", "| flux1_dev | built |"))


def test_a_spent_budget_is_said_and_not_overrun(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--smoke", "--budget-seconds", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(rows) == 5
    assert all("skipped" in row for row in rows)
