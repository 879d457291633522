"""A server on loopback that plays back recorded answers and keeps what it was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class Got:
    """One request, unpacked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Playback:
    """`answers` are given in turn, the last one again and again: status, body, headers."""

    url: str = ""
    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=lambda: [(200, b"", {})])
    got: list[Got] = field(default_factory=list)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.answers = [(status, body, {name.replace("_", "-"): value for name, value in headers.items()})]

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()  # the server has unpacked it
        self.got.append(Got(request.method, request.path_qs, dict(request.headers), body))
        status, text, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, body=text, headers=headers)


@pytest.fixture
async def server() -> AsyncIterator[Playback]:
    played = Playback()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", played.handle)
    async with TestServer(app) as running:
        played.url = str(running.make_url("")).rstrip("/")
        yield played
