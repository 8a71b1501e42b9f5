"""The address of a chat server, in a module that loads no client library: tasks without a server are spared it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """Where the server is and how patient to be with it.

    `revision` names the served weights, since a server cannot be asked for it. `deadline_s` bounds one
    request, and the waits that a rate limit asks for; a request that meets an outage is sent `outage_attempts` times in
    all, `pause_s` apart.
    """

    base_url: str
    model: str
    revision: str
    api_key: str = "none"
    deadline_s: float = 120.0
    outage_attempts: int = 2
    pause_s: float = 1.0
    parallel: int = 8
