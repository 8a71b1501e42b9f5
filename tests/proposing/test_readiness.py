from __future__ import annotations

import time
from typing import Any

import pytest

from auditor.proposing.openai_proposer import Endpoint
from auditor.proposing.readiness import check_server, wait_until_ready


def test_ready_means_that_it_looked_at_a_picture(stub: Any) -> None:
    check = check_server(Endpoint(stub.url, "m", "r"))
    assert check.ready and check.latency_s is not None
    (request,) = stub.requests
    assert request["max_tokens"] == 1
    assert request["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("trouble", [500, 404, b"{}", b"nonsense"])
def test_any_trouble_is_not_ready(stub: Any, trouble: Any) -> None:
    stub.script = [trouble]
    check = check_server(Endpoint(stub.url, "m", "r"))
    assert not check.ready and check.latency_s is None and check.detail.isprintable()


def test_a_hanging_engine_is_not_ready(stub: Any) -> None:
    stub.script = [30.0]
    started = time.monotonic()
    assert not check_server(Endpoint(stub.url, "m", "r"), deadline_s=0.3).ready
    assert time.monotonic() - started < 20


def test_waiting_ends_when_the_server_comes_up(stub: Any) -> None:
    stub.script = [503, 503, "x"]
    assert wait_until_ready(Endpoint(stub.url, "m", "r"), timeout_s=10, pause_s=0.01).ready
    assert len(stub.requests) == 3


def test_waiting_ends_at_its_limit() -> None:
    started = time.monotonic()
    check = wait_until_ready(Endpoint("http://127.0.0.1:9/v1", "m", "r"), timeout_s=0.3, pause_s=0.05)
    assert not check.ready and time.monotonic() - started < 20
