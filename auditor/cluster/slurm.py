"""Slurm's programs: submit, look at the queue, ask for the limits. All parsing is pure; nothing needs slurmdbd."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import structlog

from auditor.cluster.tags import Tag, parse_tag
from auditor.errors import PrerequisiteMissing, TransientError, UserError

log = structlog.get_logger(__name__)
_QUEUE_FORMAT = "%F|%K|%T|%r|%j|%k"
_UNREACHABLE = re.compile(
    r"unable to contact|timed out|connection refused|communication|zero bytes|temporarily unable|transport endpoint",
    re.IGNORECASE,
)


_TOO_MANY = re.compile(r"(?:QOS|Assoc)\w*(?:MaxSubmit|GrpSubmit)|job submit limit", re.IGNORECASE)


class SubmitLimitReached(TransientError):
    """The QOS or association lets us have no more jobs in the queue than there are, or not so many more."""


class SubmissionUnsure(TransientError):
    """Slurm did not say whether it took the job: look for its tag before it is submitted again."""


class Limits(NamedTuple):
    """What the site allows."""

    max_array_size: int
    """Array indexes run from 0 to one below this. 0: the site has no arrays."""
    max_job_count: int
    """Jobs that the controller keeps at most, every array task counted; sbatch hangs beyond it."""


class QueuedJob(NamedTuple):
    """One job or array task that has not ended."""

    job_id: str
    """Of the whole array."""
    task: int | None
    """Index within the array."""
    state: str
    reason: str
    tag: Tag


class Slurm:
    """The cluster that the programs in PATH belong to."""

    def __init__(self, timeout_s: float = 60.0) -> None:
        self._timeout_s = timeout_s

    def submit(self, command: Sequence[str]) -> str:
        """Run one sbatch line and return the job's id.

        Raises:
            SubmissionUnsure: The controller did not answer in time; it may have taken the job all the same.
            SubmitLimitReached: The site's limit of jobs in the queue.
            UserError: Slurm refuses; the message is its own.
        """
        try:
            done = self._run(command)
        except subprocess.TimeoutExpired as error:
            raise SubmissionUnsure(f"sbatch gave no answer in {self._timeout_s:.0f} s") from error
        if done.returncode == 0 and (job_id := parse_job_id(done.stdout)) is not None:
            return job_id
        said = done.stderr.strip() or done.stdout.strip()
        if done.returncode == 0 or _UNREACHABLE.search(said):
            raise SubmissionUnsure(f"sbatch: {said}")
        if _TOO_MANY.search(said):
            raise SubmitLimitReached(f"the site's limit of jobs in the queue is reached ({said})")
        raise UserError(f"sbatch refused the job: {said}; the line was: {' '.join(command)}")

    def queue(self) -> tuple[QueuedJob, ...]:
        """Our jobs that have not ended, array tasks one by one."""
        return tuple(parse_queue(self._ask("squeue", "--noheader", "--me", "--array", f"--format={_QUEUE_FORMAT}")))

    def jobs_of_all(self) -> int:
        """How many jobs the controller holds, as far as the site lets us see."""
        return len(self._ask("squeue", "--noheader", "--array", "--format=%i").splitlines())

    def limits(self) -> Limits:
        """What the site allows; Slurm's defaults where it does not let us look."""
        try:
            return parse_limits(self._ask("scontrol", "show", "config"))
        except (TransientError, PrerequisiteMissing) as error:
            if _UNREACHABLE.search(str(error)):
                raise
            log.warning("limits of the site are not to be seen", error=str(error))
            return parse_limits("")

    def _ask(self, *command: str) -> str:
        """Output of a command that changes nothing."""
        try:
            done = self._run(command)
        except subprocess.TimeoutExpired as error:
            raise TransientError(f"{command[0]} gave no answer in {self._timeout_s:.0f} s; try again later") from error
        if done.returncode != 0:
            raise TransientError(f"{command[0]}: {done.stderr.strip()}; is the controller up? Try again later")
        return done.stdout

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        # Inside a job, its own variables would be taken for options of the next one.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_") or k == "SLURM_CONF"}
        try:
            return subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self._timeout_s,
                check=False,
            )
        except FileNotFoundError as error:
            raise PrerequisiteMissing(
                f"{command[0]} is not installed here; run this on a node of the cluster, or use `auditor nightly`"
            ) from error


def parse_job_id(output: str) -> str | None:
    """Job id from `sbatch --parsable`: `17` or `17;cluster`, perhaps after other lines."""
    for line in reversed(output.split()):
        if (found := re.fullmatch(r"(\d+)(;.*)?", line)) is not None:
            return found[1]
    return None


def parse_queue(output: str) -> Iterable[QueuedJob]:
    """Jobs of ours from squeue's lines; those of other programs are left out."""
    for line in output.splitlines():
        job_id, *rest = line.strip().split("|", 5)
        if len(rest) != 5 or (tag := parse_tag(rest[4], rest[3])) is None:
            continue
        index, state, reason, *_ = rest
        yield QueuedJob(job_id, int(index) if index.isdecimal() else None, state, reason, tag)


def parse_limits(output: str) -> Limits:
    """Limits from `scontrol show config`; Slurm's defaults where it says nothing."""

    def number(name: str, default: int) -> int:
        found = re.search(rf"^{name}\s*=\s*(\d+)", output, re.MULTILINE)
        return int(found[1]) if found else default

    return Limits(number("MaxArraySize", 1001), number("MaxJobCount", 10_000))
