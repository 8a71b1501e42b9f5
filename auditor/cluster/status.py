"""How far a run is, from the files and one look at the queue."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from auditor.cluster.completion import DAMAGED, Completion, Stored, read_completion
from auditor.cluster.runs import Run
from auditor.cluster.slurm import QueuedJob
from auditor.cluster.submission import held_items
from auditor.cluster.tags import STAGES
from auditor.records.result import WorkItem
from auditor.settings import Settings

_WINDOW_S = 3600.0
_RUNNING = ("RUNNING", "COMPLETING")


@dataclass(frozen=True)
class Status:
    """A run at one moment.

    Attributes:
        run: Its name; None when nothing was submitted from this work folder.
        wanted: Planned items.
        done: Items with a lasting result.
        outcomes: Of the done items.
        failed: Reason → items, for outcome `failed`, passing and damaged ones included.
        held: Items that tasks in the queue will audit.
        unsubmitted: Items that are neither done nor held.
        queue: Stage → state → jobs and tasks; None when the queue could not be read.
        per_hour: Items published in the last hour; None when there were none.
        hours_left: At that speed; None when it is not known.
    """

    run: str | None
    wanted: int
    done: int
    outcomes: Mapping[str, int]
    failed: Mapping[str, int]
    held: int
    unsubmitted: int
    queue: Mapping[str, Mapping[str, int]] | None
    per_hour: float | None
    hours_left: float | None

    @property
    def running(self) -> int:
        """Audit tasks at work."""
        return sum(n for state, n in (self.queue or {}).get("audit", {}).items() if state in _RUNNING)


def take_status(settings: Settings, run: Run | None, queue: Iterable[QueuedJob] | None) -> Status:
    """Look at a work folder.

    Args:
        settings: Give the work folder.
        run: The run to name; the counts are of the work folder's plan, whichever run does it.
        queue: Our jobs; None without a cluster.

    Raises:
        UserError: There is no plan.
    """
    completion = read_completion(settings)
    jobs = list(queue) if queue is not None else None
    held = held_items(settings, run, jobs) if run is not None and jobs is not None else set()
    remaining = [item.key for item in completion.remaining]
    per_hour = _speed(completion)
    return Status(
        run=run.name if run is not None else None,
        wanted=len(completion.wanted),
        done=len(completion.done),
        outcomes=dict(sorted(Counter(s.outcome for s in completion.done.values()).items())),
        failed=_failed(completion),
        held=sum(key in held for key in remaining),
        unsubmitted=sum(key not in held for key in remaining),
        queue=_by_stage(run, jobs) if run is not None and jobs is not None else None,
        per_hour=per_hour,
        hours_left=round(len(remaining) / per_hour, 2) if per_hour else None,
    )


def _failed(completion: Completion) -> dict[str, int]:
    results: list[Stored] = [*completion.done.values(), *completion.passing.values()]
    reasons = Counter(s.reason or s.outcome for s in results if s.outcome in ("failed", DAMAGED))
    return dict(reasons.most_common())


def _by_stage(run: Run, jobs: Iterable[QueuedJob]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for job in jobs:
        if job.tag.work == run.key:
            counts.setdefault(job.tag.stage, Counter())[job.state] += 1
    return {stage: dict(counts[stage]) for stage in STAGES if stage in counts}


def _speed(completion: Completion, now_ns: int | None = None) -> float | None:
    """Distinct results of the last hour of work, per hour. Ends at the last result: an idle night is not slow work."""
    times = sorted(set(_finish_times(completion.done)))
    if len(times) < 2:
        return None
    end = times[-1]
    if (now_ns if now_ns is not None else time.time_ns()) - end > _WINDOW_S * 1e9:
        return None
    recent = [t for t in times if end - t <= _WINDOW_S * 1e9]
    span_s = (recent[-1] - recent[0]) / 1e9
    return round((len(recent) - 1) / span_s * 3600, 1) if span_s > 0 else None


def _finish_times(done: Mapping[WorkItem, Stored]) -> Iterable[int]:
    return (stored.finished_ns for stored in done.values())
