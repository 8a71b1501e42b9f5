"""Attempts are counted by death, not by company: live copies of a task never make an item look poisonous."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from auditor.audit import task
from auditor.audit.attempts import MAX_ATTEMPTS, Attempts, _started
from auditor.common.crash_points import CRASH_POINTS, arm, crash_point
from auditor.records.result import WorkItem

ITEM = WorkItem(repo_id="a/b", commit_sha="0" * 40, path="x.safetensors", file_sha256=None, base_name=None)
BEGIN = """
import sys, time
from pathlib import Path
from auditor.audit.attempts import Attempts
from auditor.records.result import WorkItem
attempts = Attempts(Path(sys.argv[1]))
print(attempts.begin(WorkItem.model_validate_json(sys.argv[2])), flush=True)
if sys.argv[3] == "stopping":
    attempts.stopping()
print("begun", flush=True)
time.sleep(60)
"""


def copy_of_the_task(folder: Path, how: str = "working") -> tuple[subprocess.Popen[str], int]:
    """A process that has begun an attempt and is in the middle of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN, str(folder), ITEM.model_dump_json(), how], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    number = int(process.stdout.readline())
    assert process.stdout.readline() == "begun\n"
    return process, number


def test_killed_processes_count_and_live_ones_do_not(tmp_path: Path) -> None:
    copies = [copy_of_the_task(tmp_path) for _ in range(MAX_ATTEMPTS + 1)]
    assert [number for _, number in copies] == [1] * len(copies)
    for process, _ in copies[:-1]:
        process.kill()
        process.wait()
    assert Attempts(tmp_path).begin(ITEM) == MAX_ATTEMPTS + 1
    copies[-1][0].kill()
    copies[-1][0].wait()


def test_a_settled_item_leaves_nothing_whoever_settles_it(tmp_path: Path) -> None:
    process, _ = copy_of_the_task(tmp_path, "stopping")
    ours = Attempts(tmp_path)
    ours.begin(ITEM)
    ours.settle(ITEM)
    process.kill()
    process.wait()
    assert not list(tmp_path.iterdir())


def test_an_attempt_that_was_put_off_never_was(tmp_path: Path) -> None:
    ours = Attempts(tmp_path)
    ours.begin(ITEM)
    ours.stopping()
    ours.end()
    assert not list(tmp_path.iterdir())


def test_announced_stops_weigh_a_third(tmp_path: Path) -> None:
    for expected in (1, 1, 1, 2):
        process, number = copy_of_the_task(tmp_path, "stopping")
        process.kill()
        process.wait()
        assert number == expected


def test_a_note_that_a_crash_cut_short_counts(tmp_path: Path) -> None:
    (tmp_path / f"{ITEM.name_sha256}.x").write_text('{"host"')
    assert Attempts(tmp_path).begin(ITEM) == 2


def test_a_clock_that_steps_back_changes_no_count(tmp_path: Path) -> None:
    process, _ = copy_of_the_task(tmp_path)
    process.kill()
    process.wait()
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() + 86_400, time.time() + 86_400))
    assert Attempts(tmp_path).begin(ITEM) == 2


def test_crash_points_are_a_closed_list(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no_such_point"):
        arm("no_such_point")
    arm(None)
    for point in CRASH_POINTS:
        crash_point(point)  # unarmed: nothing happens


def test_a_crash_point_kills_at_the_given_pass() -> None:
    code = "from auditor.common.crash_points import crash_point as p\n"
    code += "for i in range(3): print(i, flush=True); p('item_claimed')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AUDITOR_CRASH_AT": "item_claimed:2"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (-9, ["0", "1"])


def test_an_unreaped_process_is_dead(tmp_path: Path) -> None:
    """Its number still stands in /proc until its parent asks for it."""
    process, _ = copy_of_the_task(tmp_path)
    process.kill()
    stat = Path(f"/proc/{process.pid}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert Attempts(tmp_path).begin(ITEM) == 2
    process.wait()


def test_of_another_hosts_processes_nothing_is_known(tmp_path: Path) -> None:
    """A process of this host with the same number and start says nothing about one elsewhere."""
    process, _ = copy_of_the_task(tmp_path)
    (note,) = tmp_path.glob(f"{ITEM.name_sha256}.*")
    owner = json.loads(note.read_text())
    assert Attempts(tmp_path).begin(ITEM) == 1
    note.write_text(json.dumps(owner | {"host": "another-host"}))
    other = Attempts(tmp_path / "fresh")
    shutil.copytree(tmp_path, tmp_path / "fresh", ignore=lambda _, names: [n for n in names if n != note.name])
    assert other.begin(ITEM) == 2
    process.kill()
    process.wait()


def test_three_attempts_are_what_the_docs_promise() -> None:
    assert MAX_ATTEMPTS == 3
    assert "after three it is recorded as `poison`" in (task.__doc__ or "")


def test_a_number_that_another_process_has_now_is_no_sign_of_life(tmp_path: Path) -> None:
    note = {"host": socket.gethostname(), "pid": os.getpid(), "started": "1"}
    (tmp_path / f"{ITEM.name_sha256}.x").write_text(json.dumps(note))
    assert Attempts(tmp_path).begin(ITEM) == 2


def test_a_process_is_told_from_others_of_its_number_by_when_it_started() -> None:
    """In ticks since the machine was started, as the system counts them."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        started = _started(child.pid)
        up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        assert -1.0 < up - int(started) / os.sysconf("SC_CLK_TCK") < 30.0
    finally:
        child.kill()
        child.wait()
    with pytest.raises(ProcessLookupError):
        _started(child.pid)
