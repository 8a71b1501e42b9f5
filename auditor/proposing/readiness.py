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

from auditor.proposing.openai_proposer import Endpoint, client_for, image_part
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
    """Send one small picture and wait for one token, at most `deadline_s` seconds; reports, never raises."""
    return asyncio.run(_request(replace(endpoint, deadline_s=deadline_s)))
