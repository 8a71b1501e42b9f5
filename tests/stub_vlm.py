"""A chat completion server that misbehaves on request: in a test's own process, or as a program that a task starts.

As a program it takes vLLM's options that matter (--port, --served-model-name), answers only to VLLM_API_KEY, and does
to its nth request (counted from 1, over all its starts in the folder STUB_STATE) what STUB_TROUBLE says: `exit:3`,
`hang:3`, `500:3`. `late` keeps it from listening for a moment, `never` for good.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

OPTIONS = ("--allowed-media-domains", "--dtype", "--generation-config", "--host", "--limit-mm-per-prompt",
           "--max-model-len", "--mm-processor-kwargs", "--model", "--revision", "--served-model-name",
           "--uvicorn-log-level")  # fmt: skip
"""vLLM's that a task starts it with, for the program's help."""
GOOD = '{"concepts": ["vibrant"]}'


@dataclass(frozen=True)
class Refused:
    """An error as chat servers word it."""

    status: int
    message: str
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps({"error": {"message": self.message, "type": "error", "code": self.code}}).encode()


class StubServer:
    """Answers each request with the next entry of `script`; the last one repeats.

    An entry is a reply text, a (text, finish_reason) pair, an HTTP status, a `Refused`, raw body bytes, a number of
    seconds as float to hang, or a function that is called and gives one of these. `behave`, where it is set, is asked
    instead: with the request and its number, counted from 1.
    """

    def __init__(self) -> None:
        self.script: list[Any] = ['{"concepts": ["vibrant"]}']
        self.behave: Callable[[dict[str, Any], int], Any] | None = None
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
                    if stub.behave is not None:
                        entry = stub.behave(body, stub._served)
                self._answer(entry)

            def _answer(self, entry: Any) -> None:
                if callable(entry):
                    entry = entry()
                if isinstance(entry, float):
                    stub.released.wait(entry)
                    return
                if isinstance(entry, int):
                    self._send(entry, json.dumps({"error": {"message": "stub \x1b[31m says no"}}).encode())
                elif isinstance(entry, Refused):
                    self._send(entry.status, entry.body, entry.headers)
                elif isinstance(entry, bytes):
                    self._send(200, entry)
                else:
                    text, reason = entry if isinstance(entry, tuple) else (entry, "stop")
                    self._send(200, completion(text, reason))

            def _send(self, status: int, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
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


def completion(content: Any, reason: str = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content, **message}}
    return json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": "m",
            "choices": [choice],
        }
    ).encode()


def with_picture(request: dict[str, Any]) -> bool:
    """Whether a request is a proposer's question and not a readiness check."""
    return "response_format" in request


class _Program:
    """The stub as a server program."""

    def __init__(self, trouble: str, state: Path) -> None:
        self.kind, _, number = trouble.partition(":")
        self.number = int(number or 0)
        self.state = state

    def nth(self) -> int:
        """Number of this question, over all starts."""
        with (self.state / "questions").open("ab") as stream:
            stream.write(b".")
            stream.flush()
            return stream.tell()

    def trouble(self) -> int | None:
        """Do what was asked for; an HTTP status if that is it."""
        if self.nth() != self.number:
            return None
        if self.kind == "exit":
            os._exit(1)
        if self.kind == "hang":
            time.sleep(600)
        return int(self.kind) if self.kind.isdigit() else None


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    for option in OPTIONS:
        parser.add_argument(option, nargs="?", help="taken, and left aside")
    port = parser.parse_known_args()[0].port
    program = _Program(os.environ.get("STUB_TROUBLE", ""), Path(os.environ["STUB_STATE"]))
    with (program.state / "starts").open("a") as stream:
        # A child that outlives its parent unless the whole group is ended, like vLLM's engine.
        engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        stream.write(
            json.dumps(
                {
                    "pid": os.getpid(),
                    "engine": engine.pid,
                    "arguments": sys.argv[1:],
                    "environment": dict(os.environ),
                    "port": port,
                }
            )
            + "\n"
        )
    if program.kind == "never":
        time.sleep(600)
    if program.kind == "late":
        time.sleep(1)
    if program.kind == "broken":
        sys.exit("the GPU is \x1b[31mon fire")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            allowed = self.headers["Authorization"] == f"Bearer {os.environ['VLLM_API_KEY']}"
            status = 401 if not allowed else program.trouble() if with_picture(body) else None
            content = completion(GOOD) if status is None else json.dumps({"error": {"message": "no"}}).encode()
            self.send_response(status or 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
