"""The table of docs/reliability.md: every fault that is tried, what must happen, what was seen."""

from __future__ import annotations

import os
import re
from pathlib import Path

FAULTS = {
    "worker killed (-9) at every named stage": "the next run ends like an undisturbed one",
    "worker killed (-9) in its job": "the job puts itself back; results equal",
    "item that kills its process": "given up as `poison` after three attempts; the others are done",
    "copies of a task at the same time": "one result each, nothing counted as poison",
    "node lost: slurmd killed (-9), its worker lives on": "zombie and requeued copy both end well; one result each",
    "slurmctld killed (-9) right after the tasks started": "results equal, whatever ids the tasks come back under",
    "slurmctld down while submitting": "exit 75 and nothing doubled; the next call submits once",
    "submission repeated": "one chain of jobs",
    "one task cancelled": "stays cancelled, is reported, is done when asked",
    "whole array cancelled": "the catalog is built from what is there; the rest is done when asked",
    "preempted by another partition": "the item in hand is published; the task comes back",
    "warned before the time limit": "the item in hand is published; the task puts itself back",
    "killed at the time limit": "reported, and done when asked",
    "tasks that end with 75 for ever": "stop at `cluster.requeue_limit`, with another exit code",
    "new plan while an array is queued": "running tasks keep their items, queued items are not submitted again",
    "full disk for downloads": "exit 3 with a message; goes on once there is room",
    "full disk for results": "exit 3 with a message, no half result; goes on once there is room",
    "full disk for the catalog": "exit 3 with a message, the old catalog still answers; goes on once there is room",
    "full disk for exports or logs": "exit 3 with the path, no half export; work goes on without its log",
    "disk that turns read-only": "exit 3 with the path, for each folder; goes on once it can be written",
    "disk that vanishes from an audit": "exit 0, 3 or 75; done again once it is back, equal to an undisturbed run",
    "disk that vanishes from another stage": "exit 0, 3 or 75; the next call makes what is missing",
    "two merges at once": "one builds, the other ends with 75",
    "merge killed (-9) at 25 random moments": "the catalog is always whole; the next merge equals an undisturbed one",
    "result file truncated, emptied, bit-flipped, foreign": "set aside with the reason, audited again, equal",
    "clock stepped back by a day": "results equal",
    "VLM server stopped (SIGSTOP) for a whole audit": "pictures are kept; the next audit names them, drawing nothing",
    "VLM server killed (-9) while an audit runs": "its engine goes too; the task starts it again; results equal",
}
"""Fault → what must happen. The tests must see every one of them."""

_ROW = re.compile(r"^\| (?P<fault>[^|]+?) \| (?P<expected>[^|]+?) \| (?P<seen>[^|]+?) \|$", re.MULTILINE)
_BEGIN, _END = "<!-- table: written by `make reliability` -->", "<!-- end of table -->"


class FaultTable:
    """Collects what the tests see and compares it with the page; RELIABILITY_TABLE=write writes it instead."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.seen: dict[str, str] = {}

    def add(self, fault: str, seen: str) -> None:
        """Note what was seen."""
        assert fault in FAULTS, fault
        assert fault not in self.seen, fault
        assert "|" not in seen and "\n" not in seen
        self.seen[fault] = seen
        if os.environ.get("RELIABILITY_TABLE") != "write":
            told = self.rows().get(fault)
            assert told == seen, f"docs/reliability.md says {told!r}, seen was {seen!r}; run: make reliability"

    def rows(self) -> dict[str, str]:
        """Fault → seen, as the page has it."""
        return {row["fault"]: row["seen"] for row in _ROW.finditer(self.page.read_text()) if row["fault"] in FAULTS}

    def close(self) -> None:
        """Write what was seen into the page, if that was asked for; rows of tests that did not run stay."""
        if os.environ.get("RELIABILITY_TABLE") != "write":
            return
        rows = {**self.rows(), **self.seen}
        lines = ["| fault | what must happen | seen |", "|---|---|---|"]
        lines += [f"| {fault} | {expected} | {rows[fault]} |" for fault, expected in FAULTS.items() if fault in rows]
        text = self.page.read_text()
        head, _, rest = text.partition(_BEGIN)
        self.page.write_text(f"{head}{_BEGIN}\n" + "\n".join(lines) + f"\n{_END}{rest.partition(_END)[2]}")
