"""The program among closed, full and broken streams, and told to stop while it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = f"{sys.executable} -c 'from auditor.cli.start import start; start()'"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("arguments", ["--version", "config --json", "search vibrant"])
def test_closed_streams_are_no_bug(tmp_path: Path, closed: str, arguments: str) -> None:
    done = shell(f"{PROGRAM} --profile pocket --work-dir w {arguments} {closed}", tmp_path)
    assert done.returncode == (3 if "search" in arguments else 0), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_for_the_output_is_said(tmp_path: Path) -> None:
    done = shell(f"{PROGRAM} --profile pocket config --json > /dev/full", tmp_path)
    assert done.returncode == 3 and "No space left" in done.stderr and "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_bug(tmp_path: Path) -> None:
    done = shell(f"({PROGRAM} --profile pocket config --json; echo $? >code) | head -c 1 >/dev/null", tmp_path)
    assert "Traceback" not in done.stderr and int((tmp_path / "code").read_text()) in (0, 1, 141)


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_while_starting_is_no_traceback(tmp_path: Path, after_s: float) -> None:
    # Told once the program listens; what comes before is the interpreter's own start, of some milliseconds.
    code = (
        "import os, signal; listen = signal.signal; from auditor.cli.start import start\n"
        "signal.signal = lambda *how: (listen(*how), os.write(1, b'x'))[0]\n"
        "start(['--profile', 'pocket', 'config'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    process.stdout.read(1)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert b"Traceback" not in said
    # At its very end the interpreter gives the signal back to the system; a shell calls that 130 too.
    assert process.returncode in (0, 130, -signal.SIGINT)


@pytest.mark.parametrize("command", ["nightly", "crawl"])
def test_a_dry_run_writes_nothing(tmp_path: Path, command: str) -> None:
    done = shell(f"{PROGRAM} --profile pocket --work-dir w {command} --dry-run", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "w").exists() or not [path for path in (tmp_path / "w").rglob("*") if path.is_file()]
