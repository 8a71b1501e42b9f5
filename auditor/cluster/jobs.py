"""Jobs as sbatch lines. The batch files in slurm/ are static; everything that varies is an option or an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from auditor.cluster.runs import Run
from auditor.cluster.slurm import Limits
from auditor.cluster.tags import ARRAY_STAGES, Stage, Tag
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

    def command(self, ids: Mapping[Tag, str]) -> list[str]:
        """The sbatch line.

        Args:
            ids: Job ids by tag. Jobs in `after` that are missing there have left the queue: nothing to wait for.
        """
        waits = [ids[tag] for tag in self.after if tag in ids]
        afterany = [":".join(("afterany", *waits))] if waits else []
        return [
            "sbatch", "--parsable", f"--job-name={self.tag.job_name}", f"--comment={self.tag}",
            f"--dependency={','.join((*afterany, 'singleton'))}", "--kill-on-invalid-dep=yes",
            *self.options, str(self.script), *self.arguments,
        ]  # fmt: skip


def single_job(settings: Settings, run: Run, stage: Stage, *, part: str = "-", after: tuple[Tag, ...] = ()) -> Job:
    """A stage that is one job."""
    tag = Tag(run.key, run.name, stage, part)
    return Job(tag, _options(settings.cluster, run, stage), *_script(settings, run, tag), after)


def whole_array(
    settings: Settings, run: Run, stage: Stage, slices_id: str, tasks: int, *, after: tuple[Tag, ...]
) -> Job:
    """A stage whose tasks share all there is to do by number, task i of n."""
    tag = Tag(run.key, run.name, stage, f"{slices_id}.0")
    options = (f"--array=0-{tasks - 1}%{settings.cluster.array_limit}", *_options(settings.cluster, run, stage))
    script, arguments = _script(settings, run, tag)
    return Job(tag, options, script, (*arguments, str(tasks)), after, tasks)


def sliced_arrays(
    settings: Settings, run: Run, slices_id: str, count: int, limits: Limits, *, after: tuple[Tag, ...]
) -> list[Job]:
    """The audit of stored slices, in as few arrays as the site allows; together they keep to the limit of tasks."""
    size = min(limits.max_array_size, count)
    starts = range(0, count, size)
    at_once = max(1, settings.cluster.array_limit // len(starts))
    jobs = []
    for first in starts:
        tasks = min(size, count - first)
        tag = Tag(run.key, run.name, "audit", f"{slices_id}.{first}")
        options = (f"--array=0-{tasks - 1}%{at_once}", *_options(settings.cluster, run, "audit"))
        script, arguments = _script(settings, run, tag)
        jobs.append(Job(tag, options, script, (*arguments, slices_id, str(first)), after, tasks))
    return jobs


def _script(settings: Settings, run: Run, tag: Tag) -> tuple[Path, tuple[str, ...]]:
    script = settings.cluster.scripts.absolute() / f"{tag.stage}.sbatch"
    if not script.is_file():
        raise PrerequisiteMissing(f"there is no {script}; set cluster.scripts to the folder of the .sbatch files")
    return script, (str(run.folder), f"{tag.stage}.{tag.part}")


def _options(cluster: ClusterSettings, run: Run, stage: Stage) -> tuple[str, ...]:
    """Options of a stage; what is not set stays as the batch file or cluster.env say."""
    gpu = stage in GPU_STAGES
    array = "%A_%a" if stage in ARRAY_STAGES else "%j"
    partition = cluster.partition if gpu else cluster.cpu_partition or cluster.partition
    options = [f"--chdir={cluster.scripts.absolute().parent}", f"--output={run.output}/{stage}-{array}.out"]
    options += [f"--partition={partition}"] if partition else []
    options += [f"--account={cluster.account}"] if cluster.account else []
    if gpu:
        options += [f"--constraint={cluster.constraint}"] if cluster.constraint else []
        gres = cluster.gres or (f"gpu:{cluster.gpus_per_task}" if cluster.gpus_per_task else None)
        options += [f"--gres={gres}"] if gres else []
        options += [f"--cpus-per-task={cluster.cpus_per_task}", f"--mem={cluster.memory_gb}G"]
        options += [f"--time={cluster.time_limit}", f"--signal=B:USR2@{cluster.warning_s}"]
    return tuple(options)
