"""Models on this machine: the device they run on, and where the Hub's cache keeps them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from auditor.common.cpu_share import cpu_share
from auditor.errors import PrerequisiteMissing
from auditor.settings import BaseModelSettings

# Not text_encoders/ and not the top of a repo: those hold the same weights once more, for other programs.
_WEIGHT_FOLDERS = ("unet/", "transformer/", "vae/", "text_encoder[_/]")


@dataclass(frozen=True)
class HubFiles:
    """The files of a repo that are needed here: all, or those that match `include` and not `exclude`."""

    repo: str
    revision: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What to type to put them into the Hub's own cache."""
        patterns = [f'--include "{p}"' for p in self.include] + [f'--exclude "{p}"' for p in self.exclude]
        return " ".join(["hf download", self.repo, f"--revision {self.revision}", *patterns])


def base_files(base: BaseModelSettings) -> HubFiles:
    """What a base loads; of a pipeline's variants only the one that is set."""
    if base.kind != "diffusers":
        return two_tower_files(base.repo or "", base.revision)
    variant = f".{base.variant}" if base.variant is not None else ""
    weights = (f"{folder}*{variant}*.safetensors" for folder in _WEIGHT_FOLDERS)
    others = () if variant else ("*.fp16*", "*.non_ema*")
    return HubFiles(base.repo or "", base.revision, ("*.json", "tokenizer*", *weights), others)


def encoder_files(repo: str) -> HubFiles:
    """What open_clip loads, which looks on the branch `main`; not the same weights once more as a pickle."""
    return HubFiles(repo, "main", ("open_clip_*",), ("*.bin",))


def two_tower_files(repo: str, revision: str) -> HubFiles:
    """What a model in transformers' layout loads: configurations, tokenizer, and weights as safetensors."""
    return HubFiles(repo, revision, ("*.json", "*.txt", "*.model", "*.safetensors"))


def best_device() -> str:
    """`cuda` where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def device_name() -> str:
    """Name of the device that models run on, such as `NVIDIA H100 80GB HBM3`, or `cpu` and its number of cores."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {cpu_share()} cores"


def peak_memory(*, forget: bool = False) -> int:
    """Most bytes in use so far: of the device, or of this process where it computes itself.

    Args:
        forget: Count from now on; a process cannot.
    """
    import resource

    import torch

    if not torch.cuda.is_available():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = int(torch.cuda.max_memory_reserved())
    if forget:
        torch.cuda.reset_peak_memory_stats()
    return peak


def use_own_cpus() -> int:
    """Let torch use this process' share of the cores, unless `OMP_NUM_THREADS` says how many.

    Torch counts the machine's cores; several tasks on a node would then take each other's.

    Returns:
        Threads in use.
    """
    import torch

    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(cpu_share())
    return torch.get_num_threads()


def from_hub_cache(wanted: HubFiles) -> Path:
    """Folder of a repo in the Hub's own cache; jobs with GPUs have no network, so nothing is fetched here.

    Raises:
        PrerequisiteMissing: It is not there, or lacks some of the files.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                wanted.repo,
                revision=wanted.revision,
                local_files_only=True,
                allow_patterns=list(wanted.include) or None,
                ignore_patterns=list(wanted.exclude) or None,
            )
        )
    except LocalEntryNotFoundError as error:
        raise PrerequisiteMissing(
            f"{wanted.repo} at {wanted.revision} is not in the Hub cache, or not all of it; fetch it with: "
            f"{wanted.command}"
        ) from error


def cached_commit(repo: str, revision: str) -> str | None:
    """The commit sha that a branch or tag led to when it was fetched; None when it never was."""
    from huggingface_hub.constants import HF_HUB_CACHE, REPO_ID_SEPARATOR

    name = REPO_ID_SEPARATOR.join(["models", *repo.split("/")])
    try:
        return (Path(HF_HUB_CACHE) / name / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
