"""What a run on Slurm may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from auditor.settings.section import LocalPath, Name, Section

SbatchOption = Annotated[str, Field(pattern=r"^--?[A-Za-z]", max_length=300)]


class StageOptions(Section):
    """Options of sbatch, word by word, after all others, such as `audit = ["--qos=long"]`."""

    crawl: tuple[SbatchOption, ...] = ()
    """Of the job that lists, plans and submits the rest."""

    prefetch: tuple[SbatchOption, ...] = ()
    """Of the downloads."""

    audit: tuple[SbatchOption, ...] = ()
    """Of the audits."""

    propose: tuple[SbatchOption, ...] = ()
    """Of the tasks that name concepts."""

    merge: tuple[SbatchOption, ...] = ()
    """Of the catalog."""

    export: tuple[SbatchOption, ...] = ()
    """Of the files for others."""


class ClusterSettings(Section):
    """What Slurm is asked for."""

    scripts: LocalPath = Path("slurm")
    """Folder of the .sbatch files. Jobs run in the folder above it, where jobs/ lies too."""

    partition: Name | None = None
    """Partition. Unset: the site's default."""

    cpu_partition: Name | None = None
    """Partition of the stages without a GPU. Unset: as `partition`."""

    account: Name | None = None
    """Account to charge. Unset: the user's default."""

    constraint: Name | None = None
    """Node feature, such as a GPU type. Scores compare best within one type."""

    gres: Name | None = None
    """What an audit task asks for, such as gpu:h100:1. Unset: gpu:`gpus_per_task`."""

    gpus_per_task: int = Field(default=1, ge=0)
    """GPUs per audit task; also what GPU-hours are reckoned by."""

    cpus_per_task: int = Field(default=8, ge=1)
    """CPU cores per array task."""

    memory_gb: int = Field(default=48, ge=0)
    """Main memory per task that audits or proposes, in GiB. 0: not asked for; the site or `options` decides."""

    cpu_memory_gb: int = Field(default=16, ge=0)
    """The same for the stages without a GPU."""

    options: StageOptions = StageOptions()
    """Further options of sbatch by stage."""

    submit_limit: int | None = Field(default=None, ge=8)
    """Jobs and array tasks that the site lets you have in the queue (MaxSubmitJobs of QOS or association). Unset: it is
    found out by being refused, and the arrays are made smaller."""

    time_limit: str = Field(default="04:00:00", pattern=r"^(\d+-)?\d{1,2}:\d{2}:\d{2}$")
    """Wall clock per array task, as [days-]hours:minutes:seconds."""

    array_limit: int = Field(default=16, ge=1)
    """Array tasks that run at the same time."""

    items_per_task: int = Field(default=100, ge=1)
    """Most adapters per array task; fewer where the estimate says that they would not be done within `time_limit`.
    Loading a base costs more than auditing one small adapter."""

    prefetch_tasks: int = Field(default=1, ge=1)
    """Array tasks that download; they share the Hub's rate limit."""

    sbatch_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds to wait for an answer of Slurm. sbatch itself would wait for ever when the queue is full."""

    requeue_limit: int = Field(default=5, ge=0)
    """Times a task may put itself back in the queue."""

    warning_s: int = Field(default=300, ge=1)
    """Seconds before the time limit at which a task is told to finish its item and requeue; Slurm may tell it up to a
    minute earlier."""
