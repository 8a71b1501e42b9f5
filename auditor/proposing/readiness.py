"""Is a server at this address really able to look at a picture?

An API process can answer health checks while its engine is dead or stuck, so the only check that counts is a
real request with an image and a deadline.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

import numpy as np
import openai

from auditor.errors import UserError
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.forms import image_part
from auditor.proposing.openai_proposer import OpenAIProposer, client_for
from auditor.proposing.proposer import ProposerOptions, VlmUnavailable
from auditor.proposing.schema import printable

_PROBE_SIDE = 64


@dataclass(frozen=True)
class ServerCheck:
    """`ready` means that a token came back for a picture. `latency_s` is null when none did."""

    ready: bool
    detail: str
    latency_s: float | None


async def _request(endpoint: Endpoint) -> ServerCheck:
    picture = np.full((_PROBE_SIDE, _PROBE_SIDE, 3), 127, dtype=np.uint8)
    content = [image_part(picture), {"type": "text", "text": "Describe."}]
    started = time.monotonic()
    try:
        async with client_for(endpoint) as client, asyncio.timeout(endpoint.deadline_s):
            reply = await client.chat.completions.create(
                model=endpoint.model,
                messages=[{"role": "user", "content": content}],  # type: ignore[list-item,misc]
                max_tokens=1,
                temperature=0.0,
            )
    except (TimeoutError, openai.APITimeoutError):
        return ServerCheck(False, f"no answer within {endpoint.deadline_s:g} s", None)
    except openai.APIStatusError as error:
        return ServerCheck(False, f"answered {error.status_code}: {printable(error.message, 200)}", None)
    except (openai.APIError, ValueError) as error:
        return ServerCheck(False, f"failed: {printable(str(error), 200)}", None)
    if not getattr(reply, "choices", None):
        return ServerCheck(False, "answered without a choice; this is not a chat completion server", None)
    return ServerCheck(True, f"{endpoint.model} looked at a picture", time.monotonic() - started)


def check_server(endpoint: Endpoint, deadline_s: float = 30.0) -> ServerCheck:
    """Send one small picture and wait for one token, at most `deadline_s` seconds; reports, never raises.

    For a server of our own, which takes what it is asked for.
    """
    return asyncio.run(_request(replace(endpoint, deadline_s=deadline_s)))


def check_questions(endpoint: Endpoint, settings: ProposerOptions, deadline_s: float = 30.0) -> ServerCheck:
    """Ask a server about as many pictures, and for the same reply, as an audit does; reports, never raises.

    Tells in which form it wants to be asked, for servers of others.
    """
    proposer = OpenAIProposer(replace(endpoint, deadline_s=deadline_s, outage_attempts=1), settings)
    started = time.monotonic()
    try:
        proposer.check(_PROBE_SIDE)
    except (UserError, VlmUnavailable) as error:
        return ServerCheck(False, printable(str(error), 400), None)
    asked = f" (asked with: {proposer.form.name})" if proposer.form.name else ""
    pictures = 2 * settings.pairs_per_group
    return ServerCheck(True, f"{endpoint.model} looked at {pictures} pictures{asked}", time.monotonic() - started)
