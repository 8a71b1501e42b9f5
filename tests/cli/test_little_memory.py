"""A machine or a job with too little memory: said in words, with the exit code of something that is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIMITED = """
import resource, sys
limit = int(sys.argv[1]) << 20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
from auditor.cli.main import run
run(["--profile", "pocket", "--work-dir", sys.argv[2], "explain", sys.argv[3]])
"""
RAISING = """
import builtins, sys
from auditor.cli import main
def app(**options):
    raise getattr(builtins, sys.argv[1])(sys.argv[2])
main.app = app
main.run([])
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_too_little_memory_is_no_bug(tmp_path: Path) -> None:
    # Where exactly memory ends depends on the machine, and native code that meets the end may only die of it. So
    # several limits: at none a traceback, at most of them the sentence.
    adapter = tmp_path / "lora.safetensors"
    adapter.write_bytes(b"not opened: the libraries come first")
    runs = [run(LIMITED, str(megabytes), str(tmp_path / "work"), str(adapter)) for megabytes in (450, 550, 650)]
    assert not [ended.stderr for ended in runs if "Traceback" in ended.stderr]
    said = [ended for ended in runs if ended.returncode == 3 and "not enough memory" in ended.stderr]
    assert len(said) >= 2, [(ended.returncode, ended.stderr[-500:]) for ended in runs]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("MemoryError", ""),
        ("MemoryError", "Unable to allocate 3.00 GiB"),
        ("ImportError", "libtorch_cpu.so: failed to map segment from shared object"),
        ("RuntimeError", "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        ("RuntimeError", "std::bad_alloc"),
        ("SystemError", "error return without exception set"),
        ("SystemError", "<method-wrapper '__call__'> returned NULL without setting an exception"),
    ],
)
def test_each_way_of_saying_it_is_understood(kind: str, words: str) -> None:
    ended = run(RAISING, kind, words)
    assert ended.returncode == 3, ended.stderr
    assert "not enough memory" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("kind", ["ImportError", "RuntimeError", "SystemError"])
def test_the_same_errors_with_other_words_stay_bugs(kind: str) -> None:
    ended = run(RAISING, kind, "something else")
    assert ended.returncode == 1
    assert "something else" in ended.stderr
