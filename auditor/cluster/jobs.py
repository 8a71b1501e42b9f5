"""Jobs as sbatch lines. The batch files in slurm/ are static; everything that varies is an option or an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from auditor.cluster.runs import Run
from auditor.cluster.slurm import Limits
from auditor.cluster.tags import Stage, Tag
from auditor.errors import PrerequisiteMissing
from auditor.settings import ClusterSettings, Settings

GPU_STAGES: tuple[Stage, ...] = ("audit", "propose")


@dataclass(frozen=True)
class Job:
    """One submission."""

    tag: Tag
    options: tuple[str, ...]
    script: Path
    arguments: tuple[str, ...]
    after: tuple[Tag, ...] = ()
    """Jobs whose end it waits for, however they end."""
    tasks: int = 1
    at_once: int | None = None
    """Tasks of an array that run at the same time; None for a plain job."""

    def command(self, ids: Mapping[Tag, str]) -> list[str]:
        """The sbatch line.

        Args:
            ids: Job ids by tag. Jobs in `after` that are missing there have left the queue: nothing to wait for.
        """
        waits = [ids[tag] for tag in self.after if tag in ids]
        afterany = [":".join(("afterany", *waits))] if waits else []
        return [
            "sbatch",
            "--parsable",
            f"--job-name={self.tag.job_name}",
            f"--comment={self.tag}",
            f"--dependency={','.join((*afterany, 'singleton'))}",
            "--kill-on-invalid-dep=yes",
            *self._array,
            *self.options,
            str(self.script),
            *self.arguments,
        ]

    @property
    def _array(self) -> tuple[str, ...]:
        return (f"--array=0-{self.tasks - 1}%{self.at_once}",) if self.at_once is not None else ()

    def shortened(self, tasks: int) -> Job:
        """The same array with its first tasks only."""
        return replace(self, tasks=tasks)


def single_job(settings: Settings, run: Run, stage: Stage, *, part: str = "-", after: tuple[Tag, ...] = ()) -> Job:
    """A stage that is one job."""
    tag = Tag(run.key, run.name, stage, part)
    return Job(tag, _options(settings.cluster, run, stage, array=False), *_script(settings, run, tag), after)


def whole_array(
    settings: Settings, run: Run, stage: Stage, name: str, tasks: int, limits: Limits, *, after: tuple[Tag, ...]
) -> Job:
    """A stage whose tasks share all there is to do by number, task i of n; fewer where the site ends."""
    tag = Tag(run.key, run.name, stage, f"{name}.0")
    tasks = min(tasks, max(1, limits.max_array_size))
    at_once = settings.cluster.array_limit if limits.max_array_size else None
    options = _options(settings.cluster, run, stage, array=at_once is not None)
    script, arguments = _script(settings, run, tag)
    return Job(tag, options, script, (*arguments, str(tasks)), after, tasks, at_once)


def sliced_arrays(
    settings: Settings, run: Run, slices_id: str, count: int, limits: Limits, *, after: tuple[Tag, ...]
) -> list[Job]:
    """The audit of stored slices, in as few arrays as the site allows; together they keep to the limit of tasks.

    Where a site has no arrays at all (MaxArraySize 0), each slice is a job of its own.
    """
    size = min(max(1, limits.max_array_size), count)
    starts = range(0, count, size)
    at_once = max(1, settings.cluster.array_limit // len(starts)) if limits.max_array_size else None
    jobs = []
    for first in starts:
        tag = Tag(run.key, run.name, "audit", f"{slices_id}.{first}")
        options = _options(settings.cluster, run, "audit", array=at_once is not None)
        script, arguments = _script(settings, run, tag)
        tasks = min(size, count - first)
        jobs.append(Job(tag, options, script, (*arguments, slices_id, str(first)), after, tasks, at_once))
    return jobs


def _script(settings: Settings, run: Run, tag: Tag) -> tuple[Path, tuple[str, ...]]:
    script = settings.cluster.scripts.absolute() / f"{tag.stage}.sbatch"
    if not script.is_file():
        raise PrerequisiteMissing(
            f"there is no {script}; `auditor cluster init .` writes the batch files here, "
            "or set cluster.scripts to their folder"
        )
    return script, (str(run.folder), f"{tag.stage}.{tag.part}")


def _options(cluster: ClusterSettings, run: Run, stage: Stage, *, array: bool) -> tuple[str, ...]:
    """Options of a stage; what is not set stays as the batch file or cluster.env say."""
    gpu = stage in GPU_STAGES
    number = "%A_%a" if array else "%j"
    partition = cluster.partition if gpu else cluster.cpu_partition or cluster.partition
    options = [f"--chdir={cluster.scripts.absolute().parent}", f"--output={run.output}/{stage}-{number}.out"]
    options += [f"--partition={partition}"] if partition else []
    options += [f"--account={cluster.account}"] if cluster.account else []
    if gpu:
        options += [f"--constraint={cluster.constraint}"] if cluster.constraint else []
        gres = cluster.gres or (f"gpu:{cluster.gpus_per_task}" if cluster.gpus_per_task else None)
        options += [f"--gres={gres}"] if gres else []
        options += [f"--cpus-per-task={cluster.cpus_per_task}"]
        options += [f"--time={cluster.time_limit}", f"--signal=B:USR2@{cluster.warning_s}"]
    memory = cluster.memory_gb if gpu else cluster.cpu_memory_gb
    options += [f"--mem={memory}G"] if memory else []
    return (*options, *getattr(cluster.options, stage))
