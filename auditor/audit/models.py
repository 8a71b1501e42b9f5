"""Models on this machine: the device they run on, and where the Hub's cache keeps them."""

from __future__ import annotations

from pathlib import Path

from auditor.errors import PrerequisiteMissing


def best_device() -> str:
    """`cuda` where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def from_hub_cache(repo: str, revision: str) -> Path:
    """Folder of a repo in the Hub's own cache; jobs with GPUs have no network, so nothing is fetched here."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise PrerequisiteMissing(
            f"{repo} at {revision} is not in the Hub cache; fetch it with: hf download {repo} --revision {revision}"
        ) from error


def cached_commit(repo: str, revision: str) -> str | None:
    """The commit sha that a branch or tag led to when it was fetched; None when it never was."""
    from huggingface_hub.constants import HF_HUB_CACHE, REPO_ID_SEPARATOR

    name = REPO_ID_SEPARATOR.join(["models", *repo.split("/")])
    try:
        return (Path(HF_HUB_CACHE) / name / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
