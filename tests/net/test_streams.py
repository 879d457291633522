"""Connections: TLS, handshakes that are left open, and what is counted."""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from shipper.batch import Batch
from shipper.net.accepting import most_connections
from shipper.net.listen import Listen
from shipper.net.sockets import bind
from shipper.net.streams import Handed, Streams
from shipper.net.tls import Tls


class Lines:
    """The simplest conversation: every read is an event."""

    pending = False

    def __init__(self, peer: str | None) -> None:
        self.peer = peer

    def read(self, data: bytes) -> Handed | None:
        return Batch(raw=data, attrs={"peer": self.peer}), 1

    def finish(self) -> Handed | None:
        return None


class Never(Lines):
    """Nothing is ever complete."""

    pending = True

    def read(self, data: bytes) -> Handed | None:
        return None

    def finish(self) -> Handed | None:
        return Batch(raw=b"the rest"), 1


class Place:
    def __init__(self, streams: Streams, port: int, batches: asyncio.Queue[Batch], counters: Counter[str]) -> None:
        self.streams = streams
        self.port = port
        self.batches = batches
        self.counters = counters


@asynccontextmanager
async def listening(conversation: Any = Lines, tls: Tls | None = None, **options: Any) -> AsyncIterator[Place]:
    batches: asyncio.Queue[Batch] = asyncio.Queue()
    counters: Counter[str] = Counter()

    def send(batch: Batch) -> asyncio.Future[None]:
        batches.put_nowait(batch)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def count(what: str, events: int = 1, **labels: str) -> None:
        counters[" ".join((what, *labels.values()))] += events

    options = {"most": 10, "patience": 30.0} | options
    streams = Streams(
        conversation,
        send,  # type: ignore[arg-type]
        dropped=count,
        count=count,
        log=logging.getLogger("test"),
        **options,
    )
    bound = await bind(Listen("tcp://127.0.0.1:0"))
    streams.accept(bound, tls.server() if tls else None)
    try:
        yield Place(streams, bound.sockets[0].getsockname()[1], batches, counters)
    finally:
        await streams.stop()
        bound.close()


async def test_tls(certificates: Path) -> None:
    """Events come by TLS; a client that does not trust us, or speaks no TLS, costs nothing but a count."""
    tls = Tls(cert=certificates / "good.pem", key=certificates / "good.key")
    async with listening(tls=tls) as place:
        trusting = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        _, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=trusting)
        writer.write(b"x" * 300_000)
        found = 0
        while found < 300_000:
            batch = await asyncio.wait_for(place.batches.get(), 10)
            found += len(batch.raw or b"")
        assert batch.attrs["peer"] == "127.0.0.1"
        writer.close()
        await writer.wait_closed()
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection("127.0.0.1", place.port, ssl=ssl.create_default_context())
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(b"<34>this is no TLS\n" * 10)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await asyncio.wait_for(reader.readexactly(1000), 10)
        writer.close()
        async with asyncio.timeout(10):
            while place.counters["failed_connections"] < 2 or place.streams.open:
                await asyncio.sleep(0.01)
        assert place.batches.empty()


async def test_mutual_tls(certificates: Path) -> None:
    """With `ca` only those whose certificate it has signed can bring events."""
    tls = Tls(cert=certificates / "good.pem", key=certificates / "good.key", ca=certificates / "ca.pem")
    async with listening(tls=tls) as place:
        for name, may in (("foreign", False), (None, False), ("good", True)):
            client = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
            if name:
                client.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=client)
            writer.write(b"<34>x\n")
            if may:
                assert (await asyncio.wait_for(place.batches.get(), 10)).raw == b"<34>x\n"
            else:
                with pytest.raises((OSError, asyncio.IncompleteReadError)):  # TLS 1.3 tells after the handshake
                    await asyncio.wait_for(reader.readexactly(1), 10)
                assert place.batches.empty()
            writer.transport.abort()


async def test_handshakes_left_open_are_cut(certificates: Path) -> None:
    """Who connects to a TLS port and says nothing is cut after the patience; they count as connections meanwhile."""
    tls = Tls(cert=certificates / "good.pem", key=certificates / "good.key")
    async with listening(tls=tls, patience=0.3, most=2) as place:
        silent = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(3)]
        for reader, writer in silent:
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
        assert place.counters["failed_connections"] == 3


async def test_what_stays_incomplete_is_cut() -> None:
    """A connection on which nothing completes is closed after the patience, and its rest is kept."""
    async with listening(Never, patience=0.2) as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(b"x")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert (await place.batches.get()).raw == b"the rest"
        assert place.counters["closed_connections slow"] == 1
        writer.close()


async def test_connections_leave_file_handles_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the share of file handles that is for connections they wait in the queue, and get their turn."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    async with listening(most=100) as place:
        ends = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(20)]
        for _, writer in ends:
            writer.write(b"x")
        for _ in range(16):
            await asyncio.wait_for(place.batches.get(), 10)
        assert len(place.streams.open) == 16
        for _, writer in ends[:10]:
            writer.close()
        for _ in range(4):
            await asyncio.wait_for(place.batches.get(), 10)
        for _, writer in ends:
            writer.close()


@pytest.mark.parametrize(("limit", "most"), [(64, 16), (1024, 688), (20_000, 15_824), (16, 4)])
def test_the_share_of_connections(limit: int, most: int) -> None:
    """A quarter of the handles is for files, up to 64 for outputs, 16 for the process; a few are always let in."""
    assert most_connections(limit) == most


async def test_connections_that_shake_hands_count_for_all_inputs(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Silent strangers at a TLS port take no file handles beyond the share by way of another port either."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    tls = Tls(cert=certificates / "good.pem", key=certificates / "good.key")
    async with listening(tls=tls, most=100) as shy, listening(most=100) as place:
        silent = [await asyncio.open_connection("127.0.0.1", shy.port) for _ in range(17)]
        async with asyncio.timeout(10):
            while caplog.text.count("wait: too many files and connections are open") < 1:  # the seventeenth
                await asyncio.sleep(0.001)
        _, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(b"x")
        async with asyncio.timeout(10):
            while caplog.text.count("wait: too many files and connections are open") < 2:
                await asyncio.sleep(0.001)
        assert not place.streams.open
        for _, each in silent:
            each.close()
        assert await asyncio.wait_for(place.batches.get(), 10)
        writer.close()


async def test_stop_closes_everything() -> None:
    """After the stop no connection is open and no one is accepted."""
    async with listening() as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(b"x")
        await place.batches.get()
        await place.streams.stop()
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert not place.streams.open
        writer.close()


@pytest.mark.parametrize("scenario", [test_tls, test_mutual_tls, test_handshakes_left_open_are_cut])
def test_tls_under_uvloop(scenario: Any, certificates: Path) -> None:
    """The same under the loop that the agent runs on, whose transports differ."""
    uvloop.run(scenario(certificates))


@pytest.mark.parametrize("scenario", [test_what_stays_incomplete_is_cut, test_stop_closes_everything])
def test_under_uvloop(scenario: Any) -> None:
    """The same under the loop that the agent runs on, whose transports differ."""
    uvloop.run(scenario())
