"""A small HTTP server for probes and scrapers.

Served without aiohttp, which costs 180 ms and 14 MB at start that a pipeline of files would not pay otherwise.
It answers GET and HEAD, reads no bodies, and bounds what it reads: HTTP/1.1 (RFC 9112) as far as that needs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

MAX_HEAD = 16 * 1024
PATIENCE = 10.0
CONNECTIONS = 64
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    431: "Request Header Fields Too Large", 503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    peer: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Answer | Awaitable[Answer]]
"""What it returns is awaited when it is no answer yet: one that others have to be asked for."""


class Server:
    """Listens on one address; port 0 takes any free one, `address` says which it became. Or on a socket of a path."""

    def __init__(self, host: str, port: int, handler: Handler) -> None:
        self.host = host
        self.port = port
        self.handler = handler
        self.server: asyncio.Server | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.open: dict[asyncio.StreamWriter, bool] = {}
        """Connections, the one that asked longest ago first, and whether each has yet to ask."""

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, self.host, self.port, limit=MAX_HEAD)
        self.port = self.server.sockets[0].getsockname()[1]

    async def start_on(self, bound: socket.socket) -> None:
        """On a Unix socket that is bound."""
        self.server = await asyncio.start_unix_server(self._serve, sock=bound, limit=MAX_HEAD)

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            for writer in list(self.open):
                writer.transport.abort()
            if self.tasks:
                await asyncio.wait(self.tasks)
            self.server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.open[writer] = True
        self._make_room()
        try:
            while await self._one(reader, writer):
                pass
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side went away or said nothing: there is nobody to tell
        finally:
            self.tasks.discard(task)
            self.open.pop(writer, None)
            writer.close()
            with suppress(ConnectionError, TimeoutError):
                await writer.wait_closed()

    def _make_room(self) -> None:
        """Who holds connections and asks nothing must not keep a probe out: the one that is silent for longest goes."""
        if len(self.open) > CONNECTIONS:
            oldest = next((each for each, silent in self.open.items() if silent), next(iter(self.open)))
            del self.open[oldest]
            oldest.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection is kept."""
        async with asyncio.timeout(PATIENCE):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                await self._answer(writer, Answer(431, "too large\n"), keep=False)
                return False
        if self.open.pop(writer, None) is not None:
            self.open[writer] = False  # and at the end of the line
        request = parse(head, _peer(writer))
        if request is None or brings_body(request):
            await self._answer(writer, Answer(400, "not a request this server understands\n"), keep=False)
            return False
        if request.method not in ("GET", "HEAD"):
            answer = Answer(405, "GET only\n", headers={"Allow": "GET, HEAD"})
        else:
            found = self.handler(request)
            answer = found if isinstance(found, Answer) else await found
        keep = request.headers.get("connection", "").lower() != "close" and head[:-4].split(b"\r\n")[0].endswith(b"1.1")
        await self._answer(writer, answer, keep, body=request.method != "HEAD")
        if writer in self.open:
            self.open[writer] = True
        return keep

    async def _answer(self, writer: asyncio.StreamWriter, answer: Answer, keep: bool, body: bool = True) -> None:
        content = answer.body.encode()
        head = [
            f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, '')}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(content)}",
            f"Connection: {'keep-alive' if keep else 'close'}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        writer.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (content if body else b""))
        async with asyncio.timeout(PATIENCE):
            await writer.drain()


def _peer(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""  # of a Unix socket it is its path, or nothing


def brings_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def parse(head: bytes, peer: str) -> Request | None:
    """A request's head, or None when it is not one."""
    try:
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
        headers = {}
        for line in lines:
            name, separator, value = line.partition(":")
            if not separator or name.strip() != name or not name or (name.lower() == "host" and "host" in headers):
                return None  # two hosts: who is asked may depend on who reads it
            headers[name.lower()] = value.strip()
    except ValueError:
        return None
    if not version.startswith("HTTP/1.") or not target.startswith("/"):
        return None
    return Request(method, target.partition("?")[0], headers, peer)
