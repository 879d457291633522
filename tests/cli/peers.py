"""Destinations on loopback for `shipper doctor`: each says what it is told to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipper.net.tls import Tls

Say = Callable[[bytes], bytes]
"""From the head of a request to a whole answer."""


def talking(status: int, body: bytes = b"", head: str = "", raw: bytes | None = None) -> Say:
    """Always the same answer; `raw` in place of HTTP."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *filter(None, [head])]
    whole = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return lambda request: raw if raw is not None else whole if request.startswith(b"HEAD") else whole + body


@dataclass
class Peer:
    """What was asked: request lines and whole heads."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        return [head.split(b"\r\n")[0].decode() for head in self.heads]

    @staticmethod
    def by_path(answers: Mapping[str, tuple[int, bytes]]) -> Say:
        """An answer for each path, 404 for others."""

        def say(head: bytes) -> bytes:
            path = head.split(b" ")[1].decode().partition("?")[0]
            return talking(*answers.get(path, (404, b"")))(head)

        return say

    @staticmethod
    def echo(status: int) -> Say:
        """All that it was told, said back."""
        return lambda head: talking(status, head)(head)


@asynccontextmanager
async def peer(say: Any, certificates: Path | None = None, name: str = "") -> AsyncIterator[Peer]:
    """A server that runs until the end of the block; with `certificates` it speaks TLS with the one called `name`."""
    seen = Peer()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.read(65536)  # one write of theirs, so one read of ours
            if not head:
                return  # it only looked whether somebody is there
            if head.startswith((b"GET ", b"HEAD ", b"POST ")):
                seen.heads.append(head)
            writer.write(say(head))
            await writer.drain()
        except OSError:
            pass  # it went away
        finally:
            writer.close()

    context = (
        Tls(cert=certificates / f"{name}.pem", key=certificates / f"{name}.key").server() if certificates else None
    )
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        await server.wait_closed()
