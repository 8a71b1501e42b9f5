from __future__ import annotations

import time
from typing import Any

import pytest

from auditor.proposing.endpoint import Endpoint
from auditor.proposing.readiness import check_server


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
