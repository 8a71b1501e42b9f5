"""The names jobs are known by: every job carries its work folder, run and stage in its Slurm comment."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Literal, NamedTuple, get_args

Stage = Literal["crawl", "prefetch", "audit", "propose", "merge", "export"]
"""Stages of a run on a cluster, in order."""

STAGES: tuple[Stage, ...] = get_args(Stage)
ARRAY_STAGES: tuple[Stage, ...] = ("prefetch", "audit", "propose")
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNKNOWN = "?"
"""Run of a job that is known by its name alone."""
_PREFIX = "auditor"
_STAGE = f"(?P<stage>{'|'.join(STAGES)})"
_TAG = re.compile(rf"(?<![\w:]){_PREFIX}:(?P<work>\w+):(?P<run>[\w.-]+):{_STAGE}:(?P<part>[\w.-]+)(?![\w:])", re.ASCII)
_NAME = re.compile(rf"{_PREFIX}-{_STAGE}-(?P<work>\w+)(?:-(?P<part>[\w.-]+))?", re.ASCII)


class Tag(NamedTuple):
    """What one submission is. Equal tags mean equal work, so a tag that is queued is never submitted again."""

    work: str
    """Hash of the work folder's path: two folders may have runs of the same name."""
    run: str
    stage: Stage
    part: str = "-"
    """Which slices, for arrays: `<slices id>.<first number>`."""

    def __str__(self) -> str:
        """As it stands in the job's comment."""
        return ":".join((_PREFIX, *self))

    @property
    def job_name(self) -> str:
        """Name of the job: jobs that must not run at the same time share it, all merges for example."""
        own = f"-{self.part}" if self.stage in ARRAY_STAGES else ""
        return f"auditor-{self.stage}-{self.work}{own}"

    @property
    def slices_id(self) -> str | None:
        """The stored slices an array works on."""
        return self.part.partition(".")[0] if self.stage in ARRAY_STAGES else None

    def matches(self, other: Tag) -> bool:
        """Whether both may be the same submission; a tag that was read from a job's name does not know its run."""
        if UNKNOWN not in (self.run, other.run):
            return self == other
        known_part = self.stage in ARRAY_STAGES
        return (self.work, self.stage) == (other.work, other.stage) and (not known_part or self.part == other.part)


def parse_tag(comment: str, job_name: str = "") -> Tag | None:
    """The tag of a job, or None when the job is not ours.

    Args:
        comment: Of the job. A site may add words around ours, or put its own in their place.
        job_name: Says the same but for the run, which is `UNKNOWN` then.
    """
    found = _TAG.search(comment)
    if found is not None:
        return Tag(found["work"], found["run"], found["stage"], found["part"])  # type: ignore[arg-type]  # as the pattern says
    named = _NAME.fullmatch(job_name)
    if named is None:
        return None
    return Tag(named["work"], UNKNOWN, named["stage"], named["part"] or "-")  # type: ignore[arg-type]  # the same


def work_key(work: Path) -> str:
    """Short name of a work folder."""
    return hashlib.sha256(str(work.absolute()).encode()).hexdigest()[:8]
