"""A machine or a job with too little memory: said in words, with the exit code of something that is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource, sys
limit = int(sys.argv[1]) << 20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
from auditor.cli.main import run
run(["--profile", "pocket", "--work-dir", sys.argv[2], "explain", sys.argv[3]])
"""


@pytest.mark.parametrize("megabytes", [400, 800])
def test_too_little_memory_is_no_bug(tmp_path: Path, megabytes: int) -> None:
    adapter = tmp_path / "lora.safetensors"
    adapter.write_bytes(b"not opened: the libraries come first")
    command = [sys.executable, "-c", PROGRAM, str(megabytes), str(tmp_path / "work"), str(adapter)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 3, run.stderr[-2000:]
    assert "not enough memory" in run.stderr and "Traceback" not in run.stderr
