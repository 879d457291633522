"""Servers on loopback that answer as they are told, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from ssl import SSLContext

import pytest

from tests.net.certificates import issue

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[..., AbstractAsyncContextManager[int]]


@pytest.fixture
def serve() -> Serve:
    """`async with serve(talk) as port:` runs `talk(reader, writer)` for each connection."""

    @asynccontextmanager
    async def start(talk: Talk, ssl: SSLContext | None = None, port: int = 0) -> AsyncIterator[int]:
        writers: set[asyncio.StreamWriter] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.add(writer)
            try:
                await talk(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass  # the client went away, as some tests want it to
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", port, ssl=ssl)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in writers:
                writer.transport.abort()
            await asyncio.sleep(0)

    return start


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem`, `other_ca.pem`, and for each of `good wrong_host foreign expired` a certificate and a key."""
    return issue(tmp_path_factory.mktemp("certificates"))
