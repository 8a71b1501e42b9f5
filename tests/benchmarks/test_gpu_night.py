"""The GPU benchmark runs whole on small models, wherever it is tried before a GPU is at hand."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What the script loads is loaded once, in the process that its runs are forked from.
import auditor.generation.pipeline_loading  # noqa: F401
from tests.cluster.forks import in_child

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_night.py"


def script(*arguments: str) -> Callable[[], object]:
    def run() -> None:
        sys.argv, sys.path[0:0] = [str(SCRIPT), *arguments], [str(SCRIPT.parent)]
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return run


def figures(output: Path, *arguments: str) -> list[dict[str, Any]]:
    """The rows that a run prints."""
    code = in_child(script("--smoke", *arguments), output=output)
    said = output.read_text("utf-8")
    assert code == 0, said[-1000:]
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def test_a_smoke_run_measures_every_part(tmp_path: Path) -> None:
    table = tmp_path / "figures.md"
    rows = figures(tmp_path / "said", "--table", str(table), "--bases", "sdxl", "flux1_dev")
    assert not [row for row in rows if "failed" in row or "skipped" in row]
    measured = {(row["base"], row["what"].split(",")[0].split(":")[0]) for row in rows}
    parts = {"built", "inject", "merge", "naive"}
    assert {(base, part) for base in ("sdxl", "flux1_dev") for part in parts} <= measured
    assert {"encoder", "qwen2-vl-7b"} <= {row["base"] for row in rows}
    assert all(line in table.read_text("utf-8") for line in ("| sdxl | inject, lokr file |", "| flux1_dev | built |"))


def test_a_spent_budget_is_said_and_not_overrun(tmp_path: Path) -> None:
    rows = figures(tmp_path / "said", "--budget-seconds", "0")
    assert len(rows) == 5
    assert all("skipped" in row for row in rows)
