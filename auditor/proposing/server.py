"""A vLLM server of our own: started on this node, checked by a picture, ended with us however we end.

It runs in its own environment under `guard`, listens on loopback alone, fetches nothing, and answers only to a key
that is made anew each time and handed over in its environment, so that another task's server is never taken for it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from auditor.errors import PrerequisiteMissing
from auditor.proposing import guard
from auditor.proposing.endpoint import Endpoint
from auditor.proposing.proposer import VlmUnavailable
from auditor.proposing.readiness import check_server
from auditor.proposing.schema import printable

GRACE_S = 10.0
_PAUSE_S = 0.5
_CHECK_S = 60.0
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY|HF_HUB_USER", re.IGNORECASE)
_NO_DOMAIN = "media.invalid"  # an empty list would allow every domain

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ServerPlan:
    """How to start a server.

    `command` is the program; a word `{model}` in it stands for the model, which is otherwise given as --model.
    `model` is a folder or a repo of the Hub's cache, `revision` the commit of a repo. `flags` and `environment` come
    from the settings, last, so that a site has its way. `endpoint` says under which name the model is served.
    """

    command: tuple[str, ...]
    model: str
    revision: str | None
    endpoint: Endpoint
    dtype: str
    images_per_prompt: int
    max_pixels: int
    log_folder: Path
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 900.0

    def arguments(self, port: int) -> list[str]:
        """The whole command line; it holds no secret."""
        command = [word.replace("{model}", self.model) for word in self.command]
        if "{model}" not in " ".join(self.command):
            command += ["--model", self.model]
        if self.revision is not None:
            command += ["--revision", self.revision]
        return [
            *command,
            *("--served-model-name", self.endpoint.model, "--host", "127.0.0.1", "--port", str(port)),
            # Without it the model repo's own sampling defaults would apply.
            *("--generation-config", "vllm", "--dtype", self.dtype),
            *("--limit-mm-per-prompt", json.dumps({"image": self.images_per_prompt, "video": 0})),
            *("--mm-processor-kwargs", json.dumps({"max_pixels": self.max_pixels})),
            *("--allowed-media-domains", _NO_DOMAIN, "--uvicorn-log-level", "warning"),
            *self.flags,
        ]

    def variables(self, key: str) -> dict[str, str]:
        """The server's environment: ours without secrets and Python paths, offline, out of developer mode."""
        left_out = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VLLM_SERVER_DEV_MODE")
        ours = {k: v for k, v in os.environ.items() if k not in left_out and not _SECRET.search(k)}
        fixed = {
            "VLLM_API_KEY": key,
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        }
        return ours | fixed | dict(self.environment)


class LocalServer:
    """One server process. Started when first needed; may be stopped and started again."""

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._group: int | None = None
        self._log: Path | None = None
        self._endpoint: Endpoint | None = None
        self._lock = threading.Lock()

    def start(self) -> Endpoint:
        """Where it listens; starts it when it does not run, and waits until it has looked at a picture.

        Raises:
            PrerequisiteMissing: There is no such program.
            VlmUnavailable: It ended, or was not ready in time; the message quotes its log.
        """
        with self._lock:
            if self._endpoint is not None and self.running:
                return self._endpoint
            self._end()
            with reserved_port() as port:
                key = secrets.token_urlsafe(24)
                self._launch(port, key)
                endpoint = replace(self.plan.endpoint, base_url=f"http://127.0.0.1:{port}/v1", api_key=key)
                self._wait(endpoint)
            self._endpoint = endpoint
            return endpoint

    @property
    def running(self) -> bool:
        """Whether its process lives; says nothing about whether it answers."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it with all its children; also while another thread waits for it to be ready, which then raises."""
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()  # its guard ends the server on that
        with self._lock:
            self._end()

    def _launch(self, port: int, key: str) -> None:
        folder = self.plan.log_folder
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"vlm-{os.getpid()}-{port}.log"
        command = [sys.executable, "-I", guard.__file__, str(os.getpid()), str(GRACE_S), *self.plan.arguments(port)]
        with self._log.open("ab") as stream:
            # A session of its own: Ctrl-C and a scheduler's signal to our group reach us, and we end it in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                start_new_session=True,
                env=self.plan.variables(key),
            )
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        self._process.stdout.close()
        if not said.isdigit():
            raise PrerequisiteMissing(
                f"cannot run {self.plan.command[0]}: {self._last_words()}; set serving.command to the program that "
                "starts vLLM, or serving.address to a server"
            )
        self._group = int(said)
        self.starts += 1
        log.info("vlm server starting", port=port, log=str(self._log))

    def _wait(self, endpoint: Endpoint) -> None:
        began = time.monotonic()
        detail = "it has not answered yet"
        while (left := began + self.plan.start_timeout_s - time.monotonic()) > 0:
            if not self.running:
                self._end()
                raise VlmUnavailable(f"the VLM server ended while starting: {self._last_words()}; see {self._log}")
            check = check_server(endpoint, max(0.1, min(_CHECK_S, left)))
            if check.ready:
                log.info("vlm server ready", seconds=round(time.monotonic() - began, 1))
                return
            detail = check.detail
            time.sleep(min(_PAUSE_S, left))
        self._end()
        limit = f"{self.plan.start_timeout_s:g} s"
        raise VlmUnavailable(f"the VLM server was not ready within {limit} ({detail}); see {self._log}")

    def _end(self) -> None:
        process, self._process, self._endpoint = self._process, None, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(GRACE_S + 40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._group is not None:  # empty by now, unless the guard itself was killed
            guard.end_group(self._group, 0.0)
            self._group = None

    def _last_words(self) -> str:
        try:
            lines = (self._log or Path()).read_bytes()[-4000:].decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return "no log"
        return printable(lines[-1], 300) if lines else "it said nothing"


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port on loopback that no other task is given for as long as this is open.

    The socket is bound without SO_REUSEADDR, so the kernel hands its port to nobody else, and gets the option
    afterwards, so that a server which sets it (vLLM does) may listen there. Only listening sockets exclude each other.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held:
        held.bind(("127.0.0.1", 0))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield held.getsockname()[1]
