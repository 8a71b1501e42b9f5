"""Sockets: the Hub and its CDN on two loopback ports, with programmed faults and a request log."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import urlsplit

from auditor.pocket.hub_server.api import HubApi, Identity, Request, parse_pairs
from auditor.pocket.hub_server.faults import Fault, Faults
from auditor.pocket.hub_server.index import HubIndex
from auditor.pocket.hub_server.rate_limit import RateLimit
from auditor.pocket.hub_server.replies import Reply, json_reply

Side = Literal["hub", "cdn"]
MAX_FORM_BYTES = 4 * 1024 * 1024
_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One line of the request log."""

    side: Side
    method: str
    target: str
    status: int
    authorized: bool


class HubServer:
    """A running pocket Hub."""

    def __init__(self, api: HubApi, *, rate_limit: RateLimit | None, port: int) -> None:
        self.api = api
        self.index = api.index
        self.faults = Faults()
        self.requests: deque[SeenRequest] = deque(maxlen=200_000)
        self.rate_limit = rate_limit
        self._servers = [_listen(self, "hub", port), _listen(self, "cdn", 0)]
        self.endpoint, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        api.endpoint, api.cdn = self.endpoint, self.cdn

    def start(self) -> None:
        """Serve from background threads."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Stop both ports."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def seen(self, pattern: str = "") -> list[SeenRequest]:
        """Return the requests whose "METHOD /path?query" matches."""
        return [item for item in list(self.requests) if re.search(pattern, f"{item.method} {item.target}")]


@contextmanager
def serve(
    root: str | Path | HubIndex,
    *,
    page_size: int = 1000,
    mounts: Mapping[str, str | Path] | None = None,
    tokens: Mapping[str, Identity] | None = None,
    rate_limit: RateLimit | None = None,
    port: int = 0,
) -> Iterator[HubServer]:
    """Serve a folder of repos (or a ready index) until the block ends.

    Args:
        root: Folder with `<owner>/<name>/`, or an index built in memory.
        page_size: Largest page of a listing (the real Hub: 1,000).
        mounts: Repo id → a folder elsewhere, for base models that are shipped in another place.
        tokens: Token → who it is; any other token is refused.
        rate_limit: When given, told in headers and enforced.
        port: Port of the Hub side; 0 takes a free one.
    """
    folders = {name: Path(path) for name, path in (mounts or {}).items()}
    index = root if isinstance(root, HubIndex) else HubIndex.from_folder(Path(root), folders)
    hub = HubServer(HubApi(index, page_size=page_size, tokens=tokens or {}), rate_limit=rate_limit, port=port)
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news; the request log tells what was served."""


def _listen(hub: HubServer, side: Side, port: int) -> _Server:
    handler = type(f"{side.title()}Handler", (_Handler,), {"hub": hub, "side": side})
    return _Server(("127.0.0.1", port), handler)


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    side: Side
    protocol_version = "HTTP/1.1"
    server_version = "PocketHub"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    timeout = 60

    def do_GET(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: object) -> None:
        """Silent: `HubServer.requests` is the log."""

    def _handle(self) -> None:
        body = self._form()
        fault = self.hub.faults.take(f"{self.command} {self.path}")
        if fault is not None and fault.kind == "status":
            reply = json_reply({"error": "programmed fault"}, status=fault.status, headers=fault.headers)
        elif fault is not None and fault.kind == "body":
            reply = Reply(200, {"Content-Type": "text/html; charset=utf-8"}, fault.body)
        elif self.side == "cdn":
            reply = self._blob()
        else:
            reply = self._api(body)
        self._send(reply, fault)

    def _form(self) -> str:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_FORM_BYTES:
            self.close_connection = True
            return ""
        return self.rfile.read(int(length)).decode("utf-8", "replace")

    def _api(self, form: str) -> Reply:
        url = urlsplit(self.path)
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        request = Request(
            method=self.command,
            path=url.path,
            query=parse_pairs(url.query),
            form=parse_pairs(form),
            token=token if scheme.lower() == "bearer" and token else None,
            accepts_gzip="gzip" in self.headers.get("Accept-Encoding", ""),
        )
        if self.hub.rate_limit is None or not url.path.startswith("/api/"):
            return self.hub.api.answer(request)
        allowed, headers = self.hub.rate_limit.spend()
        if not allowed:
            return json_reply({"error": "Too Many Requests"}, status=429, headers=headers)
        reply = self.hub.api.answer(request)
        reply.headers.update(headers)
        return reply

    def _blob(self) -> Reply:
        parts = urlsplit(self.path).path.strip("/").split("/")
        item = self.hub.api.blob(parts[1]) if len(parts) == 2 and parts[0] == "blobs" else None
        if item is None:
            return Reply(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{item.sha256}"',
            "Content-Type": "binary/octet-stream",
        }
        return Reply(200, headers, file=item)

    def _send(self, reply: Reply, fault: Fault | None) -> None:
        status, first, length = reply.status, 0, len(reply.body)
        headers = dict(reply.headers)
        if reply.file is not None:
            length = reply.file.size
            span = _span(self.headers.get("Range"), length)
            if span == (0, 0):
                status, length = 416, 0
                headers["Content-Range"] = f"bytes */{reply.file.size}"
            elif span is not None:
                status, first, length = 206, span[0], span[1] - span[0]
                headers["Content-Range"] = f"bytes {first}-{span[1] - 1}/{reply.file.size}"
        seen = SeenRequest(self.side, self.command, self.path, status, "Authorization" in self.headers)
        self.hub.requests.append(seen)
        if fault is not None and fault.kind == "stall" and not fault.after_bytes:
            time.sleep(fault.seconds)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        announced = length + (fault.by if fault is not None and fault.kind == "length" else 0)
        if fault is not None and fault.kind == "endless":
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(max(0, announced)))
        self.end_headers()
        if self.command != "HEAD" and length:
            self._send_body(reply, first, length, fault)
        if fault is not None and fault.kind in ("cut", "length"):
            self.close_connection = True
        self.wfile.flush()

    def _send_body(self, reply: Reply, first: int, length: int, fault: Fault | None) -> None:
        pieces = _pieces(reply, first, length)
        if fault is not None:
            pieces = self._faulty(pieces, length, fault)
        for piece in pieces:
            self.wfile.write(piece)

    def _faulty(self, pieces: Iterator[bytes], length: int, fault: Fault) -> Iterator[bytes]:
        """The body with the fault in it; bodies hit by a fault are small enough to join."""
        body = b"".join(pieces)
        if fault.kind == "cut":
            yield body[: fault.after_bytes]
        elif fault.kind == "length":
            yield body[: length + min(0, fault.by)]
        elif fault.kind == "corrupt":
            middle = length // 2
            yield body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
        elif fault.kind == "drip":
            for first in range(0, len(body), fault.by):
                yield body[first : first + fault.by]
                self.wfile.flush()
                time.sleep(fault.seconds)
        elif fault.kind == "endless":
            while True:  # ends with the client's connection
                yield body
        elif fault.kind == "stall" and fault.after_bytes:
            yield body[: fault.after_bytes]
            self.wfile.flush()
            time.sleep(fault.seconds)
            yield body[fault.after_bytes :]
        else:
            yield body


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """Return [first, end) of a Range header; None to send everything; (0, 0) when unsatisfiable."""
    match = _RANGE.fullmatch(header or "")
    if match is None or match.group(1) == match.group(2) == "":
        return None
    if match.group(1) == "":
        return (max(0, size - int(match.group(2))), size) if int(match.group(2)) and size else (0, 0)
    first = int(match.group(1))
    if first >= size:
        return 0, 0
    last = int(match.group(2)) if match.group(2) else size - 1
    return (first, min(last + 1, size)) if last >= first else None


def _pieces(reply: Reply, first: int, length: int) -> Iterator[bytes]:
    if reply.file is None:
        yield reply.body
        return
    with reply.file.open() as stream:
        stream.seek(first)
        yield from _read_exactly(stream, length)


def _read_exactly(stream: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (piece := stream.read(min(_CHUNK, length))):
        length -= len(piece)
        yield piece
