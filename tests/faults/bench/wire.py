"""HTTP/1.1 as a server reads it, over a blocking socket, and what the bodies of three protocols hold."""

from __future__ import annotations

import socket
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

Event = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """The first part of a request: names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    number: int
    """How many requests this server had before it."""
    at: float = field(default_factory=time.monotonic)

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length") or 0)


@dataclass(frozen=True)
class Asked:
    """A whole request, its body unpacked."""

    head: Head
    body: bytes

    @property
    def path(self) -> str:
        return self.head.path

    @property
    def number(self) -> int:
        return self.head.number

    @property
    def kind(self) -> str:
        """`bulk`, `loki` or `plain`, by the path."""
        path = self.path.partition("?")[0]
        return "bulk" if path.endswith("/_bulk") else "loki" if path.endswith("/loki/api/v1/push") else "plain"

    @cached_property
    def actions(self) -> list[tuple[str, dict[str, Any]]]:
        """Of a bulk request: the verb and its object, one each event."""
        return [next(iter(orjson.loads(row).items())) for row in self.body.split(b"\n")[:-1:2]]

    @cached_property
    def events(self) -> list[Event]:
        """Bulk: the documents. Loki (JSON): each line as `message`, with the labels beside it. Else: JSON lines."""
        if self.kind == "loki":
            return [
                {**stream["stream"], "message": value[1]}
                for stream in orjson.loads(self.body)["streams"]
                for value in stream["values"]
            ]
        rows = self.body.split(b"\n")
        rows = rows[1::2] if self.kind == "bulk" else [row for row in rows if row]
        found: list[Event] = orjson.loads(b"[" + b",".join(rows) + b"]")
        return found


class Gone(Exception):
    """The other side closed in the middle of a request."""


class Reader:
    """Buffered reading of requests from one connection; `heard` is told how many bytes come, whatever they are."""

    def __init__(self, link: socket.socket, heard: Callable[[int], None]) -> None:
        self.link, self.heard = link, heard
        self.buffer = bytearray()

    def more(self) -> bool:
        data = self.link.recv(1 << 18)
        self.buffer += data
        self.heard(len(data))
        return bool(data)

    def head(self, number: int) -> Head | None:
        """None when the connection ends between two requests."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if not self.more():
                return None
        first, *rows = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
        del self.buffer[: end + 4]
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        return Head(method, path, headers, number)

    def take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self.more():
                raise Gone
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def row(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            if not self.more():
                raise Gone
        return self.take(end + 2)[:-2]

    def body(self, head: Head) -> bytes:
        """The body as it was meant: unchunked, and unpacked if it says gzip."""
        if "chunked" in head.headers.get("transfer-encoding", ""):
            parts = []
            while size := int(self.row().partition(b";")[0], 16):
                parts.append(self.take(size))
                self.row()
            while self.row():
                pass  # trailers
            raw = b"".join(parts)
        else:
            raw = self.take(head.length)
        return zlib.decompress(raw, 47) if head.headers.get("content-encoding") in ("gzip", "deflate") else raw
