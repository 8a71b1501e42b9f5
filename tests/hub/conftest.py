"""A pocket Hub in memory and a client that does not wait long between attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from auditor.hub.client import HubClient, Retry, connect
from auditor.pocket.hub_server import HubIndex, HubServer, Repo, serve, synthetic_repo

QUICK = Retry(max_retries=2, base_wait_s=0.01, max_wait_s=0.02)


def make_lora(number: int, **meta: Any) -> Repo:
    """Return a small adapter repo; creation times run backwards so that ids and order agree."""
    fields: dict[str, Any] = {
        "createdAt": f"2024-02-01T00:{59 - number:02d}:00.000Z",
        "lastModified": f"2024-03-01T00:{number:02d}:00.000Z",
        "tags": ("lora", "text-to-image"),
    }
    files: dict[str, bytes | int] = {"pytorch_lora_weights.safetensors": b"weights %d" % number * 500}
    return synthetic_repo(f"artist/style-{number:02d}", files, card={"base_model": "pocket/base"}, **fields | meta)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with serve(HubIndex(), page_size=4) as server:
        yield server


@pytest.fixture
def client(hub: HubServer) -> HubClient:
    return connect(hub.endpoint, retry=QUICK, read_timeout_s=0.5)


@pytest.fixture
def ten_loras(hub: HubServer) -> HubServer:
    hub.index.add(make_lora(number) for number in range(10))
    return hub


@pytest.fixture
def lora() -> Callable[..., Repo]:
    """Makes a small adapter repo out of a number and fields of its `.hub.json`."""
    return make_lora
