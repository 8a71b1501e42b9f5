"""Asks the Hub as whom we crawl, what it allows, and what a run would cost: a handful of requests, nothing stored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from auditor.doctor.check import Check
from auditor.errors import AuditorError, PrerequisiteMissing
from auditor.hub.client import HubClient, Retry
from auditor.hub.pace import WINDOW_S, Bucket, quota
from auditor.pipeline import connection, stages
from auditor.planning.local_models import base_files, from_hub_cache
from auditor.records.listing import CrawlReport
from auditor.settings import Settings

_PATIENCE = Retry(max_retries=1, base_wait_s=0.5, max_announced_s=5.0)
_TROUBLE = (HfHubHTTPError, httpx2.HTTPError, OSError, AuditorError, ValueError)


@dataclass(frozen=True)
class HubFindings:
    """What was seen.

    Attributes:
        checks: In the order in which things go wrong.
        estimate: What a crawl would need; None when the Hub does not answer.
    """

    checks: tuple[Check, ...]
    estimate: CrawlReport | None = None


def examine_hub(settings: Settings) -> HubFindings:
    """Look at endpoint, identity, limits, switches and budget. Never waits long, never raises for the Hub's sake."""
    if settings.hub.offline:
        return HubFindings((Check("hub", "warning", "hub.offline is set", "unset it to crawl and prefetch"),))
    with connection.hub(settings) as client:
        client.retry = _PATIENCE
        client.pace.max_wait_s = _PATIENCE.max_announced_s
        reached = _endpoint(settings, client)
        checks = [reached, *_switches(), _identity(client, settings)]
        if reached.status != "ok":
            return HubFindings(tuple(checks))
        checks += _terms(client, settings)
        try:
            estimate = stages.crawl(settings, client, dry_run=True)
        except _TROUBLE as error:
            checks += [*_limits(client), Check("hub budget", "missing", _said(error), "mend what the checks above say")]
            return HubFindings(tuple(checks))
        return HubFindings((*checks, *_limits(client), _budget(settings, estimate)), estimate)


def _endpoint(settings: Settings, client: HubClient) -> Check:
    """One listed repo: is this a Hub at all?"""
    served = settings.hub.serve_folder
    name = f"{client.endpoint} (serving {served})" if served is not None else client.endpoint
    where = "hub.endpoint" if settings.hub.endpoint else "HF_ENDPOINT" if os.environ.get("HF_ENDPOINT") else "default"
    try:
        listed = client.get(f"{client.endpoint}/api/models", [("limit", "1")]).json()
    except _TROUBLE as error:
        advice = "check network and proxy, or set hub.endpoint or HF_ENDPOINT to a mirror"
        return Check("hub endpoint", "missing", f"{name}: {_said(error)}", advice)
    if not isinstance(listed, list):
        return Check("hub endpoint", "missing", f"{name} answers, but with no listing", "set hub.endpoint to a Hub")
    some = next((entry["id"] for entry in listed if isinstance(entry, dict) and isinstance(entry.get("id"), str)), None)
    if some is not None:
        with suppress(*_TROUBLE):  # whatever the answer, its headers tell the limit of file requests
            client.head(hf_hub_url(some, "README.md", endpoint=client.endpoint))
    return Check("hub endpoint", "ok", name if served is not None else f"{name} (from {where})")


def _identity(client: HubClient, settings: Settings) -> Check:
    """Whose token it is. It decides what is visible, and how much may be asked."""
    if client.anonymous and settings.hub.serve_folder is not None:
        return Check("hub identity", "ok", "anonymous; a served folder needs no token")
    if client.anonymous:
        advice = "set HF_TOKEN (a read token) for twice the requests and for repos whose terms you accepted"
        return Check("hub identity", "warning", "anonymous", advice)
    try:
        about: Any = client.get(f"{client.endpoint}/api/whoami-v2").json()
    except _TROUBLE as error:
        return Check("hub identity", "missing", f"the token is refused: {_said(error)}", "make a new read token")
    about = about if isinstance(about, dict) else {}
    token = about.get("auth", {}).get("accessToken", {}) if isinstance(about.get("auth"), dict) else {}
    role = token.get("role") if isinstance(token, dict) else None
    found = f"{about.get('name')}{' (PRO)' if about.get('isPro') is True else ''}, {role or 'unknown'} token"
    if role not in ("read", "fineGrained", None):
        return Check("hub identity", "warning", found, "a read token is enough, and safer to keep on a cluster")
    return Check("hub identity", "ok", found)


def _terms(client: HubClient, settings: Settings) -> Iterator[Check]:
    """Whether this token may fetch the bases that are still to be fetched: some want their terms accepted."""
    for key, base in settings.recipe.active_bases.items():
        if base.path is not None or base.repo is None:
            continue
        with suppress(PrerequisiteMissing):
            from_hub_cache(base_files(base))
            continue
        name, off = f"terms {key}", f"or leave it out: --set recipe.bases.{key}.enabled=false"
        config = "model_index.json" if base.kind == "diffusers" else "config.json"
        url = hf_hub_url(base.repo, config, revision=base.revision, endpoint=client.endpoint)
        try:
            client.head(url)
        except GatedRepoError:
            advice = f"accept them at {client.endpoint}/{base.repo} as the owner of HF_TOKEN, {off}"
            yield Check(name, "missing", f"{base.repo} wants its terms accepted", advice)
        except RepositoryNotFoundError:
            yield Check(name, "missing", f"{base.repo} is not there, or not for this token", f"set its repo, {off}")
        except _TROUBLE as error:
            yield Check(name, "warning", f"{base.repo}: {_said(error)}", "ask again later")
        else:
            yield Check(name, "ok", f"{base.repo} may be fetched")


def _limits(client: HubClient) -> Iterator[Check]:
    """What the server's headers said, or else what it documents."""
    kinds: tuple[tuple[Bucket, str], ...] = (("api", "API calls"), ("resolvers", "file requests"))
    for kind, what in kinds:
        seen = client.pace.seen.get(kind)
        limit, window = quota(kind, anonymous=client.anonymous, seen=seen)
        if seen is None:
            found = f"{limit:,} {what} per {window // 60} min as documented; the server names none"
        else:
            found = f"{seen.remaining:,} of {limit:,} {what} left, new ones in {seen.reset_in_seconds} s"
        yield Check(f"hub limit {kind}", "ok", found)


def _switches() -> Iterator[Check]:
    """What the library does on its own account; `connect` settles all of it."""
    xet, telemetry = constants.HF_HUB_DISABLE_XET, constants.HF_HUB_DISABLE_TELEMETRY
    yield Check("hub xet", "ok", f"{'off' if xet else 'on'}: files come over plain HTTP, with resume and sha256")
    yield Check("hub telemetry", "ok" if telemetry else "warning", "off" if telemetry else "on")
    implicit = constants.HF_HUB_DISABLE_IMPLICIT_TOKEN
    yield Check("hub token source", "ok" if implicit else "warning", "HF_TOKEN only; a stored login is not used")
    if constants.is_offline_mode():
        yield Check("hub offline mode", "warning", "HF_HUB_OFFLINE is set", "unset it to crawl and prefetch")


def _budget(settings: Settings, estimate: CrawlReport) -> Check:
    kind = f"changes since {estimate.since}" if estimate.since else "everything"
    at_least = "" if estimate.estimate_known else "at least "
    found = (
        f"a crawl ({kind}) takes {at_least}{estimate.estimated_requests} requests, "
        f"{(estimate.estimated_seconds or 0) / 60:.1f} min; a plan up to {settings.hub.plan_requests}; "
        f"a download 2 file requests each"
    )
    return Check("hub budget", "ok", f"{found}; windows of {WINDOW_S // 60} min")


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
