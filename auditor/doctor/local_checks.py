"""Looks at what the active profile needs, what of it is there, and what to do about the rest."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from auditor.errors import PrerequisiteMissing, UserError
from auditor.lexicons import load_lexicon
from auditor.planning.local_models import HubFiles, base_files, encoder_files, from_hub_cache
from auditor.probes import load_probes
from auditor.settings import BaseModelSettings, Settings

Status = Literal["ok", "warning", "missing"]

OLDEST_PYTHON = (3, 11)
PROBE_TIMEOUT_S = 3.0
PACKAGES = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "peft",
    "open_clip_torch",
    "huggingface_hub",
    "safetensors",
    "duckdb",
    "pyarrow",
    "numpy",
    "scipy",
    "openai",
)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What was looked at, such as `base sdxl`.
        status: `missing` means that the main job cannot run; `warning` that it can, with the stated loss.
        found: What was seen.
        advice: What to do about it; None when there is nothing to do.
    """

    name: str
    status: Status
    found: str
    advice: str | None = None


def examine(settings: Settings) -> list[Check]:
    """Every check for these settings, cheap ones first. Changes nothing and downloads nothing."""
    return [
        _python(),
        *_packages(),
        *_work_folder(settings),
        _lexicon(settings.recipe.lexicon),
        _probes(settings.recipe.probes, settings.recipe.probe_count),
        *_adapters_source(settings),
        *(_base(key, base) for key, base in settings.recipe.active_bases.items()),
        *_no_base(settings),
        _encoder(settings),
        _proposer(settings),
        _gpu(settings),
    ]


def something_missing(checks: list[Check]) -> bool:
    """Whether a requirement is absent."""
    return any(check.status == "missing" for check in checks)


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("python", "missing", found, "install Python 3.11 or newer, then `make setup`")
    return Check("python", "ok", found)


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(f"package {name}", "ok", version(name))
        except PackageNotFoundError:
            yield Check(f"package {name}", "missing", "not installed", "run `make setup`")


def _work_folder(settings: Settings) -> Iterator[Check]:
    folder = settings.work.dir.absolute()
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        advice = "choose another with --work-dir, or make it writable"
        yield Check("work folder", "missing", f"{existing} is not a folder one can write to", advice)
        return
    yield Check("work folder", "ok", str(folder))
    free = shutil.disk_usage(existing).free
    needed = settings.work.min_free_bytes
    found = f"{free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB wanted"
    advice = "free some space, or choose another disk with --work-dir"
    yield Check("disk", "ok", found) if free >= needed else Check("disk", "missing", found, advice)


def _lexicon(name: str) -> Check:
    try:
        lexicon = load_lexicon(name)
    except UserError as error:
        return Check("lexicon", "missing", str(error), "set recipe.lexicon to a shipped one, or to a .json file")
    return Check("lexicon", "ok", f"{lexicon.identifier}, {len(lexicon.concepts)} concepts")


def _probes(name: str, count: int) -> Check:
    try:
        probes = load_probes(name).first(count)
    except UserError as error:
        advice = "set recipe.probes to a shipped one, or to a .json file, and recipe.probe_count to what it holds"
        return Check("probe set", "missing", str(error), advice)
    return Check("probe set", "ok", f"{probes.name}, {count} probes in use")


def _adapters_source(settings: Settings) -> Iterator[Check]:
    served = settings.hub.serve_folder
    if served is not None:
        count = sum(1 for path in served.glob("*/*") if path.is_dir()) if served.is_dir() else 0
        advice = "point hub.serve_folder at a folder of owner/name repositories, or run `make train-pocket`"
        if count:
            yield Check("hub", "ok", f"served from {served}: {count} repositories")
        else:
            yield Check("hub", "missing", f"no repositories in {served}", advice)
        return
    yield _hub_reachable(settings)
    yield _token()


def _hub_reachable(settings: Settings) -> Check:
    from huggingface_hub import constants

    endpoint = settings.hub.endpoint or constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        advice = "unset HF_HUB_OFFLINE to crawl; audits of prefetched files work without"
        return Check("hub", "warning", "offline by HF_HUB_OFFLINE", advice)
    try:
        _get_json(f"{endpoint.rstrip('/')}/api/models?limit=1")
    except (OSError, ValueError) as error:
        advice = "check network and proxy, or set hub.endpoint or HF_ENDPOINT to a mirror"
        return Check("hub", "missing", f"{endpoint} does not answer: {error}", advice)
    return Check("hub", "ok", endpoint)


def _token() -> Check:
    """HF_TOKEN alone counts, as for crawl and prefetch: a login stored on the machine is not used."""
    if os.environ.get("HF_TOKEN"):
        return Check("hub token", "ok", "HF_TOKEN is set")
    advice = (
        "set HF_TOKEN to a read token for twice the requests and for gated repos; "
        "the terms of gated repos are accepted on their pages"
    )
    return Check("hub token", "warning", "no HF_TOKEN: the Hub is asked as a stranger", advice)


def _base(key: str, base: BaseModelSettings) -> Check:
    name = f"base {key}"
    off = f"or leave it out: --set recipe.bases.{key}.enabled=false"
    if base.path is not None:
        if (base.path / "model_index.json").is_file() and any(base.path.rglob("*.safetensors")):
            return Check(name, "ok", str(base.path))
        return Check(name, "missing", f"no model_index.json with weights in {base.path}", _local_advice(off))
    with suppress(PrerequisiteMissing):
        folder = from_hub_cache(base_files(base))
        if (folder / "model_index.json").is_file() and any(folder.rglob("*.safetensors")):
            return Check(name, "ok", f"{base.repo} in the Hub cache, {folder.name[:12]}")
    return Check(
        name,
        "missing",
        f"{base.repo} is not in the Hub cache, or not all of it",
        f"run `{base_files(base).command}`, {off}",
    )


def _no_base(settings: Settings) -> Iterator[Check]:
    if not settings.recipe.active_bases:
        yield Check("bases", "missing", "no base is switched on", "enable one: --set recipe.bases.NAME.enabled=true")


def _encoder(settings: Settings) -> Check:
    encoder = settings.recipe.encoder
    if encoder.path is not None:
        if any(encoder.path.glob("*.safetensors")):
            return Check("encoder", "ok", f"{encoder.name} in {encoder.path}")
        return Check("encoder", "missing", f"no weights in {encoder.path}", _local_advice("or set recipe.encoder.path"))
    import open_clip

    about = open_clip.get_pretrained_cfg(encoder.name, encoder.pretrained or "")
    repo = str(about.get("hf_hub", "")).rstrip("/") if about else ""
    if not repo:
        advice = "choose recipe.encoder.name and .pretrained from open_clip.list_pretrained()"
        return Check("encoder", "missing", f"open_clip does not know {encoder.name}/{encoder.pretrained}", advice)
    weights = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    if _cached(repo, "main", weights) is not None:
        return Check("encoder", "ok", f"{encoder.name}/{encoder.pretrained} in the Hub cache")
    return Check("encoder", "missing", f"{repo} is not in the Hub cache", f"run `{encoder_files(repo).command}`")


def _proposer(settings: Settings) -> Check:
    proposer = settings.recipe.proposer
    if proposer.kind == "none":
        advice = "set recipe.proposer.kind to get concepts beyond the lexicon"
        return Check("proposer", "warning", "none: only the lexicon is scored", advice)
    if proposer.kind == "openai":
        if settings.serving.address is not None:
            return _server(settings.serving.address, proposer.model or "")
        return _server_program(settings)
    if proposer.path is not None:
        if (proposer.path / "config.json").is_file() and any(proposer.path.glob("*.safetensors")):
            return Check("proposer", "ok", str(proposer.path))
        return Check(
            "proposer",
            "missing",
            f"no weights in {proposer.path}",
            _local_advice("or set recipe.proposer.path"),
        )
    if _cached(proposer.model or "", proposer.revision, ("config.json",)) is not None:
        return Check("proposer", "ok", f"{proposer.model} in the Hub cache")
    advice = f"run `{HubFiles(proposer.model or '', proposer.revision).command}`"
    return Check("proposer", "missing", f"{proposer.model} is not in the Hub cache", advice)


def _server(base_url: str, model: str) -> Check:
    """Whether an OpenAI-compatible server is up and serves the model."""
    start = f"start it: /opt/vllm/bin/vllm serve {model} --generation-config vllm"
    try:
        reply = _get_json(f"{base_url.rstrip('/')}/models")
    except (OSError, ValueError) as error:
        return Check(
            "proposer",
            "missing",
            f"no VLM server at {base_url}: {error}",
            f"{start}, or set serving.address",
        )
    entries = reply.get("data") if isinstance(reply, dict) else None
    served = [str(entry.get("id")) for entry in entries or [] if isinstance(entry, dict)]
    if model not in served:
        found = f"{base_url} serves {', '.join(served) or 'nothing'}, not {model}"
        return Check("proposer", "missing", found, "set recipe.proposer.model, or serve it with --served-model-name")
    return Check("proposer", "ok", f"{model} at {base_url}")


def _server_program(settings: Settings) -> Check:
    """Whether a server could be started here: the program, and the model in the Hub cache or a folder."""
    proposer, program = settings.recipe.proposer, next(iter(settings.serving.command), "vllm")
    if shutil.which(program) is None:
        advice = "install vLLM in an environment of its own and set serving.command, or set serving.address to a server"
        return Check("proposer", "missing", f"there is no program {program} to serve {proposer.model} with", advice)
    local = proposer.path is not None and (proposer.path / "config.json").is_file()
    if local or _cached(proposer.model or "", proposer.revision, ("config.json",)) is not None:
        return Check("proposer", "ok", f"{proposer.model}, which tasks serve with {program} when they need it")
    advice = f"run `{HubFiles(proposer.model or '', proposer.revision).command}`"
    return Check("proposer", "missing", f"{proposer.model} is not in the Hub cache", advice)


def _gpu(settings: Settings) -> Check:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Check("gpu", "ok", ", ".join(names))
    if settings.cluster.gpus_per_task == 0:
        return Check("gpu", "ok", "none, and this profile needs none")
    if shutil.which("sbatch"):
        advice = "expected on a login node; tasks ask Slurm for theirs"
        return Check("gpu", "warning", "none on this machine", advice)
    advice = "run on a machine with a CUDA GPU and a current driver, or use --profile pocket"
    return Check("gpu", "missing", "no CUDA GPU visible", advice)


def _cached(repo: str, revision: str, names: tuple[str, ...]) -> Path | None:
    """The first of these files that the Hub cache holds for this revision."""
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        found = try_to_load_from_cache(repo, name, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def _get_json(url: str) -> object:
    """What an address answers, within a few seconds and a few megabytes."""
    with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as reply:
        parsed: object = json.loads(reply.read(4_000_000))
    return parsed


def _local_advice(otherwise: str) -> str:
    return f"reinstall the package, or make it with `make train-pocket`, {otherwise}"
