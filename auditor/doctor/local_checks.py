"""Looks at what the active profile needs, what of it is there, and what to do about the rest."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from auditor.doctor.check import Check
from auditor.doctor.device_checks import check_memory, devices
from auditor.doctor.model_checks import check_base, check_encoder, check_proposer, get_json, no_base
from auditor.doctor.night_checks import check_night
from auditor.doctor.room_checks import check_models_room, check_plan_room
from auditor.doctor.vllm_checks import check_vllm
from auditor.errors import UserError
from auditor.lexicons import load_lexicon
from auditor.probes import load_probes
from auditor.settings import Settings

OLDEST_PYTHON = (3, 11)
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


def examine(settings: Settings) -> list[Check]:
    """Every check for these settings, cheap ones first. Changes nothing and downloads nothing."""
    return [
        _python(),
        *_packages(),
        *_work_folder(settings),
        _lexicon(settings.recipe.lexicon),
        _probes(settings.recipe.probes, settings.recipe.probe_count),
        *_adapters_source(settings),
        *(check_base(key, base) for key, base in settings.recipe.active_bases.items()),
        *no_base(settings),
        check_encoder(settings),
        check_proposer(settings),
        *_vllm(settings),
        *_gpu(settings),
        *check_models_room(settings),
        *check_plan_room(settings),
        *check_night(settings),
    ]


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
        get_json(f"{endpoint.rstrip('/')}/api/models?limit=1")
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


def _vllm(settings: Settings) -> Iterator[Check]:
    """Where tasks start a server with a program that is here; one that is not is named by the proposer's check."""
    starts = settings.recipe.proposer.kind == "openai" and settings.serving.address is None
    program = next(iter(settings.serving.command), None)
    if starts and program is not None and shutil.which(program) is not None:
        yield check_vllm(settings)


def _gpu(settings: Settings) -> Iterator[Check]:
    if found := devices():
        yield Check("gpu", "ok", ", ".join(f"{each.name}, {each.memory / 1e9:.0f} GB" for each in found))
        smallest = min(found, key=lambda each: each.memory)
        for key, base in settings.recipe.active_bases.items():
            yield from check_memory(key, base, settings, smallest)
        return
    yield _no_gpu(settings)


def _no_gpu(settings: Settings) -> Check:
    if settings.cluster.gpus_per_task == 0:
        return Check("gpu", "ok", "none, and this profile needs none")
    if shutil.which("sbatch"):
        advice = "expected on a login node; tasks ask Slurm for theirs"
        return Check("gpu", "warning", "none on this machine", advice)
    advice = "run on a machine with a CUDA GPU and a current driver, or use --profile pocket"
    return Check("gpu", "missing", "no CUDA GPU visible", advice)
