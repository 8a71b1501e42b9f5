"""The models of the settings: bases, encoder, concept proposer and its server."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from auditor.audit.proposers import ask_server
from auditor.common.text_safety import clean
from auditor.doctor.check import Check
from auditor.doctor.weight_headers import fault_of_files, fault_of_folder, fault_of_pipeline
from auditor.errors import PrerequisiteMissing
from auditor.planning.local_models import HubFiles, base_files, encoder_files, from_hub_cache, two_tower_files
from auditor.settings import BaseModelSettings, Settings

PROBE_TIMEOUT_S = 3.0


def check_base(key: str, base: BaseModelSettings) -> Check:
    """The weights of one base."""
    name = f"base {key}"
    off = f"or leave it out: --set recipe.bases.{key}.enabled=false"
    if base.path is not None:
        if (fault := _fault_of_base(base, base.path)) is None:
            return Check(name, "ok", str(base.path))
        return Check(name, "missing", f"{base.path}: {fault}", _local_advice(off))
    try:
        folder = from_hub_cache(base_files(base))
    except PrerequisiteMissing:
        found, again = "is not in the Hub cache, or not all of it", ""
    else:
        if (fault := _fault_of_base(base, folder)) is None:
            return Check(name, "ok", f"{base.repo} in the Hub cache, {folder.name[:12]}")
        found, again = f"in the Hub cache is not whole: {fault}", " --force-download"
    return Check(name, "missing", f"{base.repo} {found}", f"run `{base_files(base).command}{again}`, {off}")


def _fault_of_base(base: BaseModelSettings, folder: Path) -> str | None:
    if base.kind != "diffusers":
        return _fault_of_model(folder)
    return fault_of_pipeline(folder, base_files(base))


def no_base(settings: Settings) -> Iterator[Check]:
    """What to say when no base is switched on."""
    if not settings.recipe.active_bases:
        yield Check("bases", "missing", "no base is switched on", "enable one: --set recipe.bases.NAME.enabled=true")


def check_encoder(settings: Settings) -> Check:
    """The weights of the encoder."""
    encoder = settings.recipe.encoder
    if encoder.path is not None:
        config = "open_clip_config.json" if encoder.kind == "open_clip" else "config.json"
        if (fault := _fault_of_model(encoder.path, config)) is None:
            return Check("encoder", "ok", f"{encoder.name} in {encoder.path}")
        advice = _local_advice("or set recipe.encoder.path")
        return Check("encoder", "missing", f"{encoder.path}: {fault}", advice)
    if encoder.kind != "open_clip":
        revision = encoder.pretrained or "main"
        command = two_tower_files(encoder.name, revision).command
        return _cached_model("encoder", encoder.name, revision, "in the Hub cache", command)
    import open_clip

    about = open_clip.get_pretrained_cfg(encoder.name, encoder.pretrained or "")
    repo = str(about.get("hf_hub", "")).rstrip("/") if about else ""
    if not repo:
        advice = "choose recipe.encoder.name and .pretrained from open_clip.list_pretrained()"
        return Check("encoder", "missing", f"open_clip does not know {encoder.name}/{encoder.pretrained}", advice)
    weights = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    command = encoder_files(repo).command
    if (cached := _cached(repo, "main", weights)) is None:
        return Check("encoder", "missing", f"{repo} is not in the Hub cache", f"run `{command}`")
    if (fault := fault_of_files([cached])) is not None:
        return Check("encoder", "missing", f"{repo}: {fault}", f"run `{command} --force-download`")
    return Check("encoder", "ok", f"{encoder.name}/{encoder.pretrained} in the Hub cache")


def check_proposer(settings: Settings) -> Check:
    """The concept proposer: its weights, or the server that has them."""
    proposer = settings.recipe.proposer
    if proposer.kind == "none":
        advice = "set recipe.proposer.kind to get concepts beyond the lexicon"
        return Check("proposer", "warning", "none: only the lexicon is scored", advice)
    if proposer.kind == "openai":
        if settings.serving.address is not None:
            return _server(settings, settings.serving.address, proposer.model or "")
        return _server_program(settings)
    if proposer.path is not None:
        fault = _fault_of_model(proposer.path)
        if fault is None:
            return Check("proposer", "ok", str(proposer.path))
        advice = _local_advice("or set recipe.proposer.path")
        return Check("proposer", "missing", f"{proposer.path}: {fault}", advice)
    return _cached_proposer(proposer.model or "", proposer.revision, "in the Hub cache")


def _fault_of_model(folder: Path, config: str = "config.json") -> str | None:
    """What is wrong with a model's folder; None when configuration and weights are whole."""
    return fault_of_folder(folder) if (folder / config).is_file() else f"{config} is not there"


def _cached_proposer(model: str, revision: str, found: str) -> Check:
    return _cached_model("proposer", model, revision, found, HubFiles(model, revision).command)


def _cached_model(name: str, model: str, revision: str, found: str, command: str) -> Check:
    """A model of the Hub's cache, all shards of it; `command` fetches it."""
    if (config := _cached(model, revision, ("config.json",))) is None:
        return Check(name, "missing", f"{model} is not in the Hub cache", f"run `{command}`")
    if (fault := fault_of_folder(config.parent)) is not None:
        return Check(name, "missing", f"{model} in the Hub cache is not whole: {fault}", f"run `{command}`")
    return Check(name, "ok", f"{model} {found}")


def _server(settings: Settings, base_url: str, model: str) -> Check:
    """Whether an OpenAI-compatible server is up, serves the model, and answers questions as an audit puts them."""
    try:
        reply = get_json(f"{base_url.rstrip('/')}/models")
    except urllib.error.HTTPError:
        reply = None  # not every provider lists its models to everybody: the question below decides
    except (OSError, ValueError) as error:
        start = f"start it: /opt/vllm/bin/vllm serve {model} --generation-config vllm"
        advice = f"{start}, or set serving.address"
        return Check("proposer", "missing", f"no VLM server at {base_url}: {error}", advice)
    entries = reply.get("data") if isinstance(reply, dict) else None
    served = [clean(str(entry.get("id")), limit=80) for entry in entries or [] if isinstance(entry, dict)]
    if served and model not in served:
        found = f"{base_url} serves {', '.join(served[:20])}, not {model}"
        return Check("proposer", "missing", found, "set recipe.proposer.model, or serve it with --served-model-name")
    try:
        asked = ask_server(settings)
    except PrerequisiteMissing as error:
        return Check("proposer", "missing", f"{model} at {base_url}", str(error))
    if not asked.ready:
        advice = "look at the server's log; OPENAI_API_KEY is its key, docs/vlm.md says what it must be able to do"
        return Check("proposer", "missing", f"{base_url} does not answer questions: {asked.detail}", advice)
    return Check("proposer", "ok", f"{base_url}: {asked.detail}")


def _server_program(settings: Settings) -> Check:
    """Whether a server could be started here: the program, and the model in the Hub cache or a folder."""
    proposer, program = settings.recipe.proposer, next(iter(settings.serving.command), "vllm")
    if shutil.which(program) is None:
        advice = "install vLLM in an environment of its own and set serving.command, or set serving.address to a server"
        return Check("proposer", "missing", f"there is no program {program} to serve {proposer.model} with", advice)
    found = f"which tasks serve with {program} when they need it"
    if proposer.path is not None and (proposer.path / "config.json").is_file():
        return Check("proposer", "ok", f"{proposer.model}, {found}")
    return _cached_proposer(proposer.model or "", proposer.revision, f"in the Hub cache, {found}")


def _cached(repo: str, revision: str, names: tuple[str, ...]) -> Path | None:
    """The first of these files that the Hub cache holds for this revision."""
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        found = try_to_load_from_cache(repo, name, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def get_json(url: str) -> object:
    """What an address answers, within a few seconds and a few megabytes."""
    with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S) as reply:
        parsed: object = json.loads(reply.read(4_000_000))
    return parsed


def _local_advice(otherwise: str) -> str:
    return f"reinstall the package, or make it with `make train-pocket`, {otherwise}"
