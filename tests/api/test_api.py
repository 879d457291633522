"""The admin endpoint: what it answers, to whom, and what hostile requests get."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shipper.api.app import Api, is_loopback
from shipper.api.server import CONNECTIONS, Answer, Server
from shipper.config.load import load
from shipper.config.model import ApiOptions
from shipper.options import Secret
from shipper.pipeline.runner import Runner
from tests.e2e.agent import Agent

CONFIG = """
data_dir: ./data
inputs: {in: {type: stdin}}
outputs: {out: {type: blackhole}}
"""


@asynccontextmanager
async def api(folder: Path, **options: object) -> AsyncIterator[Api]:
    (folder / "shipper.yaml").write_text(CONFIG)
    runner = Runner(load([folder / "shipper.yaml"]))
    subject = Api(ApiOptions(**{"listen": "127.0.0.1:0", **options}), runner, folder / "data")  # type: ignore[arg-type]
    await subject.start()
    try:
        yield subject
    finally:
        await subject.stop()


async def ask(port: int, request: bytes) -> tuple[int, str]:
    """Status and body of the answer to raw bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(5):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            body = await reader.readexactly(length)
        return int(head.split()[1]), body.decode()
    finally:
        writer.close()


def get(path: str, *headers: str, host: str = "localhost") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


async def test_answers_health_metrics_and_status(tmp_path: Path) -> None:
    """The address is in data_dir/api; a process that starts is alive and not ready."""
    async with api(tmp_path) as subject:
        port = subject.server.port
        assert (tmp_path / "data/api").read_text().strip() == f"http://127.0.0.1:{port}"
        assert await ask(port, get("/livez")) == (200, "ok\n")
        assert await ask(port, get("/readyz")) == (503, "starting\n")
        status, body = await ask(port, get("/status"))
        assert (status, json.loads(body)["state"]) == (200, "starting")
        status, body = await ask(port, get("/metrics?x=1"))
        assert status == 200
        assert "# TYPE shipper_loop_stall_seconds histogram" in body
        assert (await ask(port, get("/nothing")))[0] == 404
    assert not (tmp_path / "data/api").exists()


async def test_status_needs_the_token_when_there_is_one(tmp_path: Path) -> None:
    """Health and metrics go without it; a wrong one, a prefix, another case are refused."""
    async with api(tmp_path, token=Secret("s3cret")) as subject:
        port = subject.server.port
        assert (await ask(port, get("/livez")))[0] == 200
        assert (await ask(port, get("/metrics")))[0] == 200
        for header in (
            "",
            "Authorization: Bearer s3cre",
            "Authorization: Bearer S3CRET",
            "Authorization: Basic s3cret",
        ):
            assert (await ask(port, get("/status", *filter(None, [header]))))[0] == 401
        assert (await ask(port, get("/status", "Authorization: Bearer s3cret")))[0] == 200


async def test_beyond_loopback_all_else_is_closed_without_a_token(tmp_path: Path) -> None:
    """Only what probes and Prometheus need is open there; what is not there cannot be told from what is."""
    async with api(tmp_path) as subject:
        subject.host = "0.0.0.0"
        port = subject.server.port
        for path in ("/status", "/", "/nothing", "/status/"):
            assert (await ask(port, get(path, host="10.0.0.1")))[0] == 403
        for path, status in (("/livez", 200), ("/readyz", 503), ("/metrics", 200)):
            assert (await ask(port, get(path, host="10.0.0.1")))[0] == status
    async with api(tmp_path, token=Secret("s3cret")) as subject:
        subject.host = "0.0.0.0"
        for path, status in (("/status", 200), ("/nothing", 404)):
            assert (await ask(subject.server.port, get(path, host="10.0.0.1")))[0] == 401
            answer = await ask(subject.server.port, get(path, "Authorization: Bearer s3cret", host="10.0.0.1"))
            assert answer[0] == status


async def test_a_foreign_host_header_is_refused(tmp_path: Path) -> None:
    """No web page reaches it by a name of its own (DNS rebinding)."""
    async with api(tmp_path) as subject:
        for host in ("evil.example", "127.0.0.1.evil.example", "", "localhost.evil"):
            assert (await ask(subject.server.port, get("/status", host=host)))[0] == 403
        for host in ("localhost:1", "127.0.0.1", "[::1]:80"):
            assert (await ask(subject.server.port, get("/livez", host=host)))[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /status HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 200),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET livez HTTP/1.1\r\n\r\n", 400),
        (b"GET http://localhost/status HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 4000 + b"\r\n", 431),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"GET /livez HTTP/1.1\r\nBad Header : x\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
    ],
)
async def test_bad_requests_have_an_answer(tmp_path: Path, request_bytes: bytes, status: int) -> None:
    """Whatever comes is answered or closed, and the next request is fine."""
    async with api(tmp_path) as subject:
        assert (await ask(subject.server.port, request_bytes))[0] == status
        assert (await ask(subject.server.port, get("/livez")))[0] == 200


async def test_a_connection_is_kept_for_the_next_request() -> None:
    """HTTP/1.1 connections stay open until one side says otherwise."""
    server = Server("127.0.0.1", 0, lambda request: Answer(200, request.path))
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for path in ("/a", "/b"):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == path.encode()
        writer.close()
    finally:
        await server.stop()


def test_what_counts_as_loopback() -> None:
    """Names that only look like it do not."""
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "10.0.0.1", "localhost.evil", "", "::")] == [False] * 5


async def test_an_empty_token_lets_nobody_in(tmp_path: Path) -> None:
    """A token that came out empty is not a password that everybody knows."""
    async with api(tmp_path, token=Secret("")) as subject:
        for header in ("Authorization: Bearer ", "Authorization: Bearer", "X: y"):
            assert (await ask(subject.server.port, get("/status", header)))[0] == 401


async def test_silent_connections_keep_no_probe_out(tmp_path: Path) -> None:
    """However many connect and say nothing, the next request is answered, and so are those who ask."""
    async with api(tmp_path) as subject:
        port = subject.server.port
        asking_reader, asking = await asyncio.open_connection("127.0.0.1", port)
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS - 1)]
        try:
            asking.write(get("/livez"))
            await asking_reader.readuntil(b"ok\n")
            for _ in range(CONNECTIONS // 2):
                assert (await ask(port, get("/livez")))[0] == 200
            assert len(subject.server.open) <= CONNECTIONS
            assert await asyncio.wait_for(held[0][0].read(), 5) == b"", "the oldest silent one made room"
            asking.write(get("/livez"))
            await asyncio.wait_for(asking_reader.readuntil(b"ok\n"), 5)
        finally:
            for _, writer in [(None, asking), *held]:
                writer.close()


async def test_answers_are_not_kept_or_guessed_at(tmp_path: Path) -> None:
    """A browser or proxy neither stores what it was told nor takes it for another type."""
    async with api(tmp_path) as subject:
        reader, writer = await asyncio.open_connection("127.0.0.1", subject.server.port)
        writer.write(get("/status", "Connection: close"))
        head = (await reader.read()).partition(b"\r\n\r\n")[0]
        writer.close()
    assert b"Cache-Control: no-store" in head and b"X-Content-Type-Options: nosniff" in head


def test_each_series_is_there_once(tmp_path: Path) -> None:
    """Prometheus refuses a page that says one twice: a filter of two pipelines, an input and an output of one name."""
    (tmp_path / "trusting.py").write_text(
        "from shipper import EventFilter\nclass Trusting(EventFilter):\n    insecure_trust: bool = False\n"
        "    def event(self, event, attrs):\n        return event\n"
    )
    text = """
data_dir: ./data
plugins: [.]
inputs: {same: {type: http, listen: "127.0.0.1:0"}}
filters: {same: {type: trusting, insecure_trust: true}}
outputs: {same: {type: http, url: "https://127.0.0.1:1/"}, other: {type: blackhole}}
pipelines: {a: {inputs: [same], filters: [same], outputs: [same]}, b: {inputs: [same], filters: [same], outputs: [other]}}
"""
    with Agent(text, tmp_path) as agent:
        series = [line.rpartition(" ")[0] for line in agent.get("/metrics").splitlines() if line[0] != "#"]
        assert agent.stop() == 0
    assert 'shipper_insecure{component="same",option="insecure_trust"}' in series
    assert [each for each, count in Counter(series).items() if count > 1] == []
