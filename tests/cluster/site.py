"""One work folder on one Slurm, and what an operator or a fault does to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.cluster.tags import work_key
from auditor.results.result_file import list_results
from auditor.results.workspace import Workspace
from tests.audit.conftest import World
from tests.cluster.conftest import Undisturbed, leftovers, snapshot
from tests.cluster.rig import Rig

RUN = "night"


@dataclass(frozen=True)
class Site:
    """Commands and observations. Waits are generous: the machine may be busy with other things."""

    rig: Rig
    world: World

    def auditor(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run the program against this cluster; returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "auditor.cli.main", *self.world.arguments, *arguments],
            env={**self.rig.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}, not {code}: {done.stderr}"
        return done.stdout + done.stderr

    def resume(self) -> None:
        """Submit what the plan lacks."""
        self.auditor("submit", "--resume", "--run", RUN)

    def resume_audits_only(self) -> None:
        """The same, without the jobs around the array: they cost time and are tried elsewhere."""
        self.resume()
        for stage in ("prefetch", "propose", "merge", "export"):
            for job in self.jobs(stage):
                self.rig.run("scancel", job)

    def status(self) -> dict[str, Any]:
        """What `auditor status` says."""
        return dict(json.loads(self.auditor("status", "--run", RUN, "--json")))

    def jobs(self, stage: str = "") -> dict[str, str]:
        """Our jobs and array tasks in the queue (of one stage), with their states."""
        lines = self.rig.run("squeue", "--noheader", "--array", "--format=%i %T %k").splitlines()
        mine = f"auditor:{work_key(self.world.work)}:"
        rows = [line.split() for line in lines]
        return {job: state for job, state, tag in rows if tag.startswith(mine) and stage in ("", tag.split(":")[3])}

    def drain(self, seconds: float = 400) -> None:
        """Wait until nothing of ours is in the queue."""
        self.rig.wait_for(f"end of {self.world.work}", lambda: not self.jobs(), seconds)

    def wait_for_results(self, count: int = 1) -> None:
        """Wait until so many results are published."""
        self.rig.wait_for("results", lambda: self.results() >= count, 300)

    def results(self) -> int:
        """How many results are published."""
        return len(list(list_results(Workspace(self.world.work).results)))

    def workers(self) -> list[int]:
        """Process ids of the audits at work here."""
        config, found = str(self.world.work / "runs" / RUN).encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    script = (entry / "cmdline").read_bytes().split(b"\0")[1:2]
                    if script == [b"jobs/audit.py"] and config in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def stop_worker(self, *, results: int = 1) -> int:
        """Halt a worker (SIGSTOP) in the middle of its work, once so many results are published."""
        self.wait_for_results(results)
        self.rig.wait_for("worker", lambda: bool(self.workers()), 300)
        pid = self.workers()[0]
        os.kill(pid, signal.SIGSTOP)
        return pid

    def requeues(self) -> int:
        """How often tasks have put themselves back."""
        return sum(path.stat().st_size for path in (self.world.work / "runs" / RUN / "requeues").glob("audit.*"))

    def printed(self) -> str:
        """Everything the audit jobs have printed."""
        return "".join(path.read_text() for path in (self.world.work / "runs" / RUN / "slurm").glob("audit-*"))

    def must_equal(self, undisturbed: Undisturbed) -> None:
        """The end state is that of an undisturbed run."""
        assert snapshot(self.world) == undisturbed.results
        assert not leftovers(self.world)


def has_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a halted process was sent a signal that it has not heard yet."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def alive(pid: int) -> bool:
    """Whether a process runs (or is halted)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
