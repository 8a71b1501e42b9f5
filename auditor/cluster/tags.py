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
_PREFIX = "auditor"


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


def parse_tag(comment: str) -> Tag | None:
    """The tag in a job's comment, or None when the job is not ours."""
    prefix, *fields = comment.strip().split(":")
    if prefix != _PREFIX or len(fields) != len(Tag._fields) or fields[2] not in STAGES:
        return None
    work, run, stage, part = fields
    return Tag(work, run, stage, part)  # type: ignore[arg-type]  # checked above


def work_key(work: Path) -> str:
    """Short name of a work folder."""
    return hashlib.sha256(str(work.absolute()).encode()).hexdigest()[:8]
