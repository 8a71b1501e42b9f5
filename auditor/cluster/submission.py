"""Submitting a run, so that doing it twice, or not knowing whether it worked, never doubles work.

Nothing here remembers what was submitted. What is still to do follows from the results on disk; what is under way
follows from the tags in the queue; an array's tag is the hash of its items; and jobs of one name never run at the same
time (`singleton`), which covers a submission that arrives after we looked.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from auditor.cluster.completion import Completion, read_completion
from auditor.cluster.item_seconds import item_seconds, task_seconds, timed_seconds
from auditor.cluster.jobs import Job, single_job, sliced_arrays, whole_array
from auditor.cluster.runs import Run
from auditor.cluster.slurm import Limits, QueuedJob, Slurm, SubmissionUnsure, SubmitLimitReached
from auditor.cluster.tags import UNKNOWN, Tag
from auditor.errors import TransientError
from auditor.planning.slices import Slices, cut, item_keys, slices_id, write_slices
from auditor.records.result import ItemKey, WorkItem
from auditor.results.workspace import Workspace
from auditor.settings import Settings

_TRIES = 3
_PAUSE_S = 5.0
_JOBS_BESIDE_ARRAYS = 4
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Chain:
    """What a plan comes to.

    Attributes:
        jobs: To submit, in order.
        slices: Of the audit arrays.
        held: Items that queued tasks hold already.
        left_out: Slices that do not fit under the site's limits now; the next submission takes them.
        items_left_out: Items in these.
    """

    jobs: tuple[Job, ...]
    slices: Slices
    held: int = 0
    left_out: int = 0
    items_left_out: int = 0

    @property
    def items(self) -> tuple[WorkItem, ...]:
        """All items of all slices."""
        return tuple(item for part in self.slices for item in part)


@dataclass(frozen=True)
class Submitted:
    """What was done about a run.

    Attributes:
        jobs: Tag and id of what the run has in the queue.
        new: Which of them were submitted just now.
        left_out: See `Chain`.
        note: Why nothing was submitted.
    """

    jobs: Mapping[Tag, str]
    new: tuple[Tag, ...] = ()
    left_out: int = 0
    note: str = ""


def start(settings: Settings, run: Run, slurm: Slurm) -> Submitted:
    """Submit the job that crawls, plans and then calls `go_on`; nothing if the run was started before.

    Raises:
        TransientError: The controller is away, or it is not known whether it took the job.
    """
    queued = _ids(run, slurm.queue())
    if queued:
        return Submitted(queued, note=f"run {run.name} is in the queue already")
    if run.has("chained"):
        state = "is finished" if run.has("merged") else "has left the queue"
        return Submitted({}, note=f"run {run.name} {state}; to submit what it lacks, if anything, add --resume")
    run.freeze(settings)
    job = single_job(settings, run, "crawl")
    return Submitted({job.tag: submit_once(slurm, job, {})}, (job.tag,))


def resume(settings: Settings, run: Run, slurm: Slurm) -> Submitted:
    """Submit what the plan still lacks, because somebody asked: requeues are counted from the start again.

    The settings are frozen anew, unless jobs of the run still go by the old ones.
    """
    run.freeze(settings, anew=not _ids(run, slurm.queue()))
    run.forget_requeues()
    run.unmark("left_out")
    return go_on(settings, run, slurm)


def go_on(settings: Settings, run: Run, slurm: Slurm) -> Submitted:
    """Submit what follows the plan: prefetch, audit arrays, proposals, merge and export. Safe to call again.

    Raises:
        UserError: There is no plan, or Slurm refuses a job.
        TransientError: The queue is full, or as in `start`.
    """
    queue = slurm.queue()
    chain = plan_chain(settings, run, queue, slurm.limits(), slurm.jobs_of_all())
    lacking = len(chain.items) + chain.held + chain.items_left_out
    before = run.number_of("left_out")
    if before is not None and lacking >= before:
        # After each merge comes what had no room: items that fail every time would go round for ever.
        note = f"{before} items lacked a result before and still do; see auditor status"
        return Submitted(_ids(run, queue), note=note)
    if chain.slices:
        write_slices(Workspace(settings.work.dir).slices, chain.slices)
    ids = _ids(run, queue)
    new: list[Tag] = []
    left_out, refusal = chain.left_out, ""
    for job in chain.jobs:
        if job.tag.stage == "audit":
            taken, refusal = (0, refusal) if refusal else _submit_array(slurm, job, ids)
            left_out += job.tasks - taken
            if not taken:
                continue
        else:
            ids[job.tag] = submit_once(slurm, job, ids)
        new.append(job.tag)
    run.mark("chained")
    run.unmark("left_out")
    if left_out:
        run.mark("left_out", str(lacking))
    note = "" if chain.jobs else f"run {run.name} lacks nothing that is not in the queue"
    if refusal and not any(tag.stage == "audit" for tag in ids):
        note = (
            f"no audit job was taken, though none is queued: {refusal}. Where that is a limit of size or time and not "
            "of number, look at cluster.time_limit, gpus_per_task, cpus_per_task and memory_gb"
        )
    return Submitted(ids, tuple(new), left_out, note)


def _submit_array(slurm: Slurm, job: Job, ids: dict[Tag, str]) -> tuple[int, str]:
    """Submit an array, or as much of it as the site's submit limit lets through by halves.

    Returns how many tasks, and why not all. Where the whole did not fit, half of what there is room for at least stays
    free: for the jobs after the array.
    """
    tasks, refusal = job.tasks, ""
    while tasks:
        try:
            ids[job.tag] = submit_once(slurm, job.shortened(tasks), ids)
        except SubmitLimitReached as error:
            log.warning("smaller array", tag=str(job.tag), tasks=tasks, error=str(error))
            tasks, refusal = tasks // 2, str(error)
        else:
            break
    return tasks, refusal


def plan_chain(settings: Settings, run: Run, queue: Sequence[QueuedJob], limits: Limits, jobs_of_all: int) -> Chain:
    """What `go_on` would submit now. Writes nothing.

    Args:
        settings: Of the run.
        run: To submit for.
        queue: Our jobs.
        limits: Of the site.
        jobs_of_all: Everybody's jobs, as they share MaxJobCount.

    Raises:
        UserError: There is no plan.
        TransientError: The queue has no room at all.
    """
    completion = read_completion(settings)
    held = held_items(settings, run, queue)
    timed = timed_seconds(completion)
    slices = cut(
        [i for i in completion.remaining if i.key not in held],
        settings.cluster.items_per_task,
        seconds=lambda item: item_seconds(settings, item, timed).most,
        limit_s=lambda base_name: task_seconds(settings, base_name),
    )
    # A tenth stays free for others.
    beside = settings.cluster.prefetch_tasks + _JOBS_BESIDE_ARRAYS
    room = (limits.max_job_count - jobs_of_all) * 9 // 10 - beside
    if slices and room < 1:
        raise TransientError(f"the cluster's queue is full ({jobs_of_all} of {limits.max_job_count} jobs); try later")
    if settings.cluster.submit_limit is not None:
        proposals = settings.cluster.array_limit if settings.serving.when == "deferred" else 0
        room = min(room, settings.cluster.submit_limit - len(queue) - beside - proposals)
    slices, left_out = slices[: max(room, 0)], slices[max(room, 0) :]
    ours = _ids(run, queue)
    unnamed = _needs_proposals(settings, completion, slices)
    jobs = _work_jobs(settings, run, completion, slices, limits, ours, unnamed=unnamed)
    waits = tuple(tag for tag in (*ours, *(j.tag for j in jobs)) if tag.stage in ("audit", "propose"))
    merge_waits = any(tag.stage == "merge" for tag in ours)
    if jobs or not (merge_waits or run.has("merged")):
        # A merge that waits already knows nothing of the new arrays, so they get their own.
        part = next((tag.part for tag in reversed(waits)), "-") if merge_waits else "-"
        merge = single_job(settings, run, "merge", part=part, after=waits)
        jobs += [merge, single_job(settings, run, "export", part=part, after=(merge.tag,))]
    return Chain(tuple(jobs), slices, len(held), len(left_out), sum(map(len, left_out)))


def held_items(settings: Settings, run: Run, queue: Iterable[QueuedJob]) -> set[ItemKey]:
    """Items that tasks in the queue will audit, whichever run of this work folder they belong to."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for job in queue:
        if job.tag.work == run.key and job.tag.stage == "audit":
            stored, _, first = job.tag.part.partition(".")
            numbers[stored].add(int(first) + (job.task or 0))  # without a number it is a plain job of one slice
    folder = Workspace(settings.work.dir).slices
    return {key for stored, wanted in numbers.items() for key in item_keys(folder, stored, wanted)}


def submit_once(slurm: Slurm, job: Job, ids: Mapping[Tag, str], *, pause: Callable[[float], None] = time.sleep) -> str:
    """Submit a job; when Slurm's answer is missing, look for its tag before trying again.

    Raises:
        TransientError: Still unsure after some tries. Calling again later is safe.
    """
    for attempt in range(_TRIES):
        try:
            return slurm.submit(job.command(ids))
        except SubmissionUnsure as error:
            log.warning("submission unsure", tag=str(job.tag), error=str(error), attempt=attempt + 1)
        pause(_PAUSE_S)
        for known in slurm.queue():
            if known.tag.matches(job.tag):
                return known.job_id
    raise TransientError(f"Slurm does not say whether it took {job.tag}; run the same command again, it looks first")


def _ids(run: Run, queue: Iterable[QueuedJob]) -> dict[Tag, str]:
    """What is queued for a run. A job whose comment the site rewrote may be of any run, and counts as of this one."""
    return {
        job.tag._replace(run=run.name): job.job_id
        for job in queue
        if job.tag.work == run.key and job.tag.run in (run.name, UNKNOWN)
    }


def _needs_proposals(settings: Settings, completion: Completion, slices: Slices) -> bool:
    """Whether results wait, or will wait, for concepts from the separate stage."""
    waiting = any(stored.pending for stored in completion.done.values())
    return waiting or (bool(slices) and settings.serving.when == "deferred")


def _work_jobs(
    settings: Settings,
    run: Run,
    completion: Completion,
    slices: Slices,
    limits: Limits,
    ours: Mapping[Tag, str],
    *,
    unnamed: bool,
) -> list[Job]:
    """Prefetch, audit arrays and proposals; each waits for the end of the one before, however that ends."""
    jobs: list[Job] = []
    if slices:
        # Named by the plan: the second half of a plan waits for the downloads that the first half has under way.
        tasks = settings.cluster.prefetch_tasks
        fetch = whole_array(settings, run, "prefetch", completion.plan_id, tasks, limits, after=())
        jobs += [] if fetch.tag in ours else [fetch]
        jobs += sliced_arrays(settings, run, slices_id(slices), len(slices), limits, after=(fetch.tag,))
    if unnamed and (slices or not any(tag.stage == "propose" for tag in ours)):
        audits = tuple(tag for tag in (*ours, *(job.tag for job in jobs)) if tag.stage == "audit")
        part = next((tag.slices_id for tag in reversed(audits)), None) or "left"
        tasks = min(max(1, len(slices)), settings.cluster.array_limit)
        jobs.append(whole_array(settings, run, "propose", part, tasks, limits, after=audits))
    return jobs
