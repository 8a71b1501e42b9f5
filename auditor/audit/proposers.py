"""The concept proposer of the settings: in process, at an address, or on a server that the task starts."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.errors import PrerequisiteMissing
from auditor.planning.local_models import HubFiles, best_device, cached_commit, from_hub_cache
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.proposer import Proposer, ProposerOptions, Sampling
from auditor.proposing.reply_cache import ReplyCache
from auditor.proposing.revision import folder_revision, is_commit
from auditor.proposing.template import TEMPLATE, PromptTemplate
from auditor.results.workspace import Workspace
from auditor.settings import Settings

if TYPE_CHECKING:
    from auditor.proposing.readiness import ServerCheck

TILE = 28
"""Qwen2-VL cuts pictures into tiles of this many pixels; a limit in between would be rounded down."""


def load_proposer(settings: Settings, template: PromptTemplate = TEMPLATE) -> Proposer | None:
    """The concept proposer of the settings, or None. Starts and loads nothing yet.

    Args:
        settings: Say which.
        template: How it is asked; another than the default is for comparing wordings.

    Raises:
        PrerequisiteMissing: The model, or the commit that its revision means, is not on this machine.
    """
    chosen = settings.recipe.proposer
    if chosen.kind == "none":
        return None
    wanted = replace(_wanted(settings), template=template)
    cache = ReplyCache(Workspace(settings.work.dir).replies)
    if chosen.kind == "openai":
        return _on_a_server(settings, wanted, cache)
    import torch

    from auditor.proposing.transformers_proposer import TransformersProposer

    folder = chosen.path or from_hub_cache(HubFiles(chosen.model or "", chosen.revision))
    return TransformersProposer(folder, wanted, cache, device=best_device(), dtype=getattr(torch, chosen.dtype))


def ask_server(settings: Settings) -> ServerCheck:
    """Put a question as an audit puts it to the server at `serving.address`, about pictures known to be good.

    Raises:
        PrerequisiteMissing: The commit that the model's revision means is not on this machine.
    """
    from auditor.proposing.readiness import check_questions  # the client library, which few commands need

    return check_questions(_endpoint(settings), _wanted(settings), settings.serving.timeout_s)


def judge_endpoint(settings: Settings) -> Endpoint | None:
    """The server that may judge texts: the proposer's, where it is at an address of its own; else none."""
    hosted = settings.recipe.proposer.kind == "openai" and settings.serving.address is not None
    return _endpoint(settings) if hosted else None


def shown_identity(proposer: Proposer, requests: int) -> str:
    """What a recipe records: who is asked what, about how many pictures."""
    return hashlib.sha256(f"{proposer.identity}:{requests}".encode()).hexdigest()


def works_ahead(settings: Settings) -> int:
    """Adapters that may be generated while earlier ones are asked about. In process there is nothing to wait for."""
    return settings.serving.ahead if settings.recipe.proposer.kind == "openai" else 0


def _wanted(settings: Settings) -> ProposerOptions:
    chosen = settings.recipe.proposer
    return ProposerOptions(
        Sampling(chosen.temperature, chosen.retry_temperature, chosen.max_tokens, chosen.seed, chosen.attempts),
        pairs_per_group=chosen.pairs_per_request,
        max_side=chosen.max_side,
    )


def _endpoint(settings: Settings) -> Endpoint:
    chosen, serving = settings.recipe.proposer, settings.serving
    revision = _revision(chosen.path, chosen.model or "", chosen.revision, hosted=serving.address is not None)
    return Endpoint(
        serving.address or "",
        chosen.model or "",
        f"{revision}:{chosen.dtype}",
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
        deadline_s=serving.timeout_s,
        parallel=serving.parallel,
    )


def _on_a_server(settings: Settings, wanted: ProposerOptions, cache: ReplyCache) -> Proposer:
    from auditor.proposing.dependable import Breaker, ServedProposer  # as above
    from auditor.proposing.openai_proposer import OpenAIProposer
    from auditor.proposing.server import LocalServer, ServerPlan

    chosen, serving, endpoint = settings.recipe.proposer, settings.serving, _endpoint(settings)
    inner: Proposer
    if serving.address is not None:
        inner = OpenAIProposer(endpoint, wanted, cache)
    else:
        revision = None if chosen.path else endpoint.revision.rpartition(":")[0]
        tiles = -(-chosen.max_side // TILE)
        plan = ServerPlan(
            command=serving.command,
            model=str(chosen.path.absolute()) if chosen.path else chosen.model or "",
            revision=revision,
            endpoint=endpoint,
            dtype=chosen.dtype,
            images_per_prompt=2 * chosen.pairs_per_request,
            max_pixels=(tiles * TILE) ** 2,
            log_folder=settings.work.dir.absolute() / "logs",
            flags=serving.flags,
            environment=dict(entry.split("=", 1) for entry in serving.environment),
            start_timeout_s=serving.start_timeout_s,
        )
        inner = ServedProposer(LocalServer(plan), wanted, cache, restarts=serving.restarts)
    return Breaker(inner, failures=serving.failures, pause_s=serving.pause_s)


def _revision(path: Path | None, model: str, revision: str, *, hosted: bool) -> str:
    """Which weights are served, as something no later push can change: all ways of serving give the same recipe.

    The weights of a hosted model may be nowhere to look up; then whatever its provider calls its version stands for
    them.
    """
    if path is not None:
        if not (path / "config.json").is_file():
            raise PrerequisiteMissing(f"no vision-language model in {path}; see recipe.proposer.path")
        return folder_revision(path)
    if is_commit(revision):
        return revision
    commit = cached_commit(model, revision)
    if commit is None and hosted and revision != "main":
        return revision
    if commit is None:
        version = ", or to what the provider of a hosted model calls its version" if hosted else ""
        raise PrerequisiteMissing(
            f"cannot tell which commit of {model} {revision!r} means: it is not in the Hub cache. Fetch it with "
            f"`{HubFiles(model, revision).command}`, or set recipe.proposer.revision to the commit that is served"
            f"{version}"
        )
    return commit
