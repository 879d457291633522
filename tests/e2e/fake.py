"""A destination on loopback that keeps what it was sent and answers as the test says."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Got:
    """One request, unpacked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def events(self) -> list[Any]:
        """The body as JSON lines."""
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass(frozen=True)
class Say:
    """An answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Destination:
    """A server in a thread: `with Destination() as server: ... server.url`.

    `answer` decides what each request gets; only requests answered with 2xx are in `taken`, all of them are in
    `seen`; with `keep=False` in neither. While `gate` is closed (`server.gate.clear()`) requests wait for their answer.
    """

    def __init__(self, answer: Callable[[Got], Say] = lambda _: Say(), *, keep: bool = True) -> None:
        self.answer = answer
        self.keep = keep
        self.gate = threading.Event()
        self.gate.set()
        self.seen: list[Got] = []
        self.taken: list[Got] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def events(self) -> list[Any]:
        """Every event of a request that was answered with 2xx, in order of the answers."""
        return [event for got in list(self.taken) for event in got.events]


def _handler(server: Destination) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            got = Got(self.command, self.path, dict(self.headers), body)
            if server.keep:
                server.seen.append(got)
            server.gate.wait()
            say = server.answer(got)
            if 200 <= say.status < 300 and server.keep:
                server.taken.append(got)
            try:
                self.send_response(say.status)
                for name, value in say.headers.items():
                    self.send_header(name, value)
                if say.status != 204:
                    self.send_header("Content-Length", str(len(say.body)))
                self.end_headers()
                self.wfile.write(say.body)
                self.wfile.flush()
            except OSError:
                self.close_connection = True  # who asked is gone: it was killed

        do_GET = do_PUT = do_POST

        def log_message(self, *_: object) -> None:
            pass

    return Handler
