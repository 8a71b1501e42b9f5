"""A server of our own: how it is started, that it answers to us alone, and that nothing of it outlives us."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from auditor.errors import PrerequisiteMissing
from auditor.proposing import server as server_module
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.proposer import VlmUnavailable
from auditor.proposing.readiness import check_server
from auditor.proposing.server import LocalServer, ServerPlan, reserved_port

STUB = Path(__file__).resolve().parent.parent / "stub_vlm.py"
Make = Callable[..., LocalServer]


def plan(folder: Path, trouble: str = "", **changes: Any) -> ServerPlan:
    wanted: dict[str, Any] = {
        "command": (sys.executable, str(STUB)),
        "model": "some/model",
        "revision": "a" * 40,
        "endpoint": Endpoint("", "served-name", "r", deadline_s=5.0, outage_attempts=1),
        "dtype": "bfloat16",
        "images_per_prompt": 6,
        "max_pixels": 448 * 448,
        "log_folder": folder / "logs",
        "flags": ("--extra", "1"),
        "environment": {"STUB_TROUBLE": trouble, "STUB_STATE": str(folder)},
        "start_timeout_s": 30.0,
    }
    return ServerPlan(**wanted | changes)


def starts(folder: Path) -> list[dict[str, Any]]:
    """What each started stub wrote down about itself."""
    return [json.loads(line) for line in (folder / "starts").read_text().splitlines()]


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def gone(pids: list[int], within_s: float = 20.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def pids(folder: Path) -> list[int]:
    return [s[kind] for s in starts(folder) for kind in ("pid", "engine")]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes servers of the stub; all are ended."""
    monkeypatch.setattr(server_module, "GRACE_S", 0.5)
    with ExitStack() as stack:

        def made(trouble: str = "", **changes: Any) -> LocalServer:
            server = LocalServer(plan(tmp_path, trouble, **changes))
            stack.callback(server.stop)
            return server

        yield made


def test_started_with_the_plan_and_without_secrets(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "MY_SECRET", "VLLM_SERVER_DEV_MODE"):
        monkeypatch.setenv(name, "private")
    endpoint = make("late").start()
    assert check_server(endpoint).ready
    (start,) = starts(tmp_path)
    arguments, environment = start["arguments"], start["environment"]
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert options["--model"] == "some/model" and options["--revision"] == "a" * 40
    assert options["--served-model-name"] == "served-name" and options["--dtype"] == "bfloat16"
    assert (options["--host"], options["--port"]) == ("127.0.0.1", str(start["port"]))
    assert json.loads(options["--limit-mm-per-prompt"]) == {"image": 6, "video": 0}
    assert json.loads(options["--mm-processor-kwargs"]) == {"max_pixels": 448 * 448}
    assert options["--generation-config"] == "vllm" and options["--extra"] == "1"
    assert options["--allowed-media-domains"].endswith(".invalid")
    assert endpoint.api_key not in " ".join(arguments) and environment["VLLM_API_KEY"] == endpoint.api_key
    assert "private" not in environment.values() and "VLLM_SERVER_DEV_MODE" not in environment
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert list((tmp_path / "logs").glob("vlm-*.log"))


def test_a_command_may_say_where_the_model_goes(tmp_path: Path) -> None:
    arguments = plan(tmp_path, command=("vllm", "serve", "{model}")).arguments(1)
    assert arguments[:3] == ["vllm", "serve", "some/model"] and "--model" not in arguments


def test_another_key_is_refused_and_a_second_start_is_the_same_server(make: Make, tmp_path: Path) -> None:
    server = make()
    endpoint = server.start()
    stranger = Endpoint(endpoint.base_url, "served-name", "r", api_key="other")
    assert "401" in check_server(stranger).detail
    assert server.start() == endpoint and len(starts(tmp_path)) == 1


def test_stopping_ends_the_engine_too_even_when_nothing_moves(make: Make, tmp_path: Path) -> None:
    server = make()
    server.start()
    for pid in pids(tmp_path):
        os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert gone(pids(tmp_path), 0.1)


def test_an_engine_does_not_outlive_its_server(make: Make, tmp_path: Path) -> None:
    server = make()
    server.start()
    os.kill(starts(tmp_path)[0]["pid"], signal.SIGKILL)
    assert gone(pids(tmp_path))
    end = time.monotonic() + 20
    while server.running and time.monotonic() < end:
        time.sleep(0.02)
    assert check_server(server.start()).ready and len(starts(tmp_path)) == 2


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_server_outlives_its_task(tmp_path: Path, end: signal.Signals) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.proposing.test_server import *\n"
        "LocalServer(plan(Path(sys.argv[1]))).start(); print('ready', flush=True); time.sleep(600)"
    )
    repository = STUB.parent.parent
    task = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=repository,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(repository)},
    )
    try:
        assert task.stdout is not None
        assert any(line == b"ready\n" for line in task.stdout)
        assert all(alive(pid) for pid in pids(tmp_path))
        task.send_signal(end)
        task.wait()
        assert gone(pids(tmp_path))
    finally:
        task.kill()
        task.communicate()


def test_a_server_that_never_answers_is_given_up_and_ended(make: Make, tmp_path: Path) -> None:
    with pytest.raises(VlmUnavailable, match="not ready within 2 s"):
        make("never", start_timeout_s=2.0).start()
    assert gone(pids(tmp_path))


def test_a_server_that_breaks_is_quoted_safely(make: Make, tmp_path: Path) -> None:
    with pytest.raises(VlmUnavailable, match="ended while starting") as caught:
        make("broken").start()
    assert "on fire" in str(caught.value) and str(caught.value).isprintable()
    assert gone(pids(tmp_path))


def test_a_missing_program_is_named(make: Make) -> None:
    with pytest.raises(PrerequisiteMissing, match=r"cannot run /no/such/vllm.*serving\.command"):
        make(command=("/no/such/vllm",)).start()


def test_a_held_port_is_given_to_nobody_else_but_a_server_may_listen_there() -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(reserved_port()) for _ in range(200)]
        assert len(set(held)) == len(held)
        for port in held[:3]:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
