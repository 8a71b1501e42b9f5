"""A chat completion server that misbehaves on request, and a real but tiny Qwen2-VL."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest


class StubServer:
    """Answers each request with the next entry of `script`; the last one repeats.

    An entry is a reply text, a (text, finish_reason) pair, an HTTP status, raw body bytes, or a number of
    seconds as float to hang.
    """

    def __init__(self) -> None:
        self.script: list[Any] = ['{"concepts": ["vibrant"]}']
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._served = 0
        self.released = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stub._lock:
                    stub.requests.append(body)
                    entry = stub.script[min(stub._served, len(stub.script) - 1)]
                    stub._served += 1
                self._answer(entry)

            def _answer(self, entry: Any) -> None:
                if isinstance(entry, float):
                    stub.released.wait(entry)
                    return
                if isinstance(entry, int):
                    self._send(entry, json.dumps({"error": {"message": "stub \x1b[31m says no"}}).encode())
                elif isinstance(entry, bytes):
                    self._send(200, entry)
                else:
                    text, reason = entry if isinstance(entry, tuple) else (entry, "stop")
                    self._send(200, completion(text, reason))

            def _send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        options = {"poll_interval": 0.02}
        threading.Thread(target=self.server.serve_forever, kwargs=options, daemon=True).start()

    def stop(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def completion(text: str | None, reason: str = "stop") -> bytes:
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": text}}
    return json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": "m",
            "choices": [choice],
        }
    ).encode()


@pytest.fixture
def stub() -> Iterator[StubServer]:
    server = StubServer()
    yield server
    server.stop()


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Seven pairs of 16-pixel noise: three groups, the last one short."""
    rng = np.random.default_rng(0)
    base, adapted = rng.integers(0, 256, (2, 7, 16, 16, 3), dtype=np.uint8)
    return base, adapted


@pytest.fixture(scope="session")
def random_vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket architecture with random weights: it answers, but never sensibly."""
    from auditor.pocket.vlm.architecture import build_model

    folder = tmp_path_factory.mktemp("random-vlm")
    model, processor = build_model(seed=3)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
