"""The bootstrap benchmark runs in small, and its error column stays small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bootstrap.py"


def test_every_geometry_is_near_the_exact_solution() -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "--concepts",
        "60",
        "--dimension",
        "50",
        "--probes",
        "20",
        "--resamples",
        "40",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    errors = [float(line.split()[-1]) for line in done.stdout.splitlines()[1:]]
    assert len(errors) == 5
    assert max(errors) < 1e-3
