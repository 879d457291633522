"""The syslog input, spoken to by real sockets."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from shipper.batch import Batch
from shipper.errors import Unavailable
from shipper.inputs.syslog import Syslog
from shipper.net.listen import Listen
from shipper.options import Duration, Size
from shipper.share import Share
from shipper.testing import drive
from shipper.testing.drive import Driver

GOOD = b"<34>1 2026-08-01T00:00:00Z web01 app 7 ID - good"
NAMES = {
    "timestamp": "2026-08-01T00:00:00Z",
    "host": "web01",
    "app": "app",
    "pid": "7",
    "msgid": "ID",
    "facility": "auth",
    "severity": "critical",
    "message": "good",
}


def syslog(listen: str = "tcp://127.0.0.1:0", **options: object) -> Syslog:
    return Syslog(listen=Listen(listen), **options)  # type: ignore[arg-type]


def address(driver: Driver) -> tuple[str, int]:
    assert driver.scope.address is not None
    listen = Listen(driver.scope.address)
    return listen.host, listen.port


@contextmanager
def connected(driver: Driver) -> Iterator[socket.socket]:
    with socket.create_connection(address(driver)) as sender:
        yield sender


def dropped(driver: Driver, reason: str) -> int:
    return driver.scope.counters["dropped_events", (("reason", reason),)]


async def until(happened: object, seconds: float = 10) -> None:
    """Wait for a condition that no event tells of."""
    assert callable(happened)
    async with asyncio.timeout(seconds):
        while not happened():
            await asyncio.sleep(0.005)


async def test_lines_of_a_connection_are_one_batch() -> None:
    """What one read brings is one batch; peer and time of reading are held once; the sender's own time wins."""
    async with drive(syslog()) as driver:
        with connected(driver) as sender:
            sender.sendall(GOOD + b"\n" + GOOD + b"\nnot syslog\n")
            batch = await driver.next()
    assert batch.attrs["peer"] == "127.0.0.1"
    assert batch.attrs["timestamp"].endswith("Z")
    assert batch.events == [
        NAMES,
        NAMES,
        {"message": "not syslog", "shipper_error": "syslog: neither RFC 5424 nor RFC 3164"},
    ]
    assert driver.scope.counters["unparsed_messages", ()] == 1


async def test_counted_messages_keep_their_newlines() -> None:
    """RFC 6587 octet counting is found by its first digit; newlines inside stay."""
    message = GOOD + b"\nsecond line"
    async with drive(syslog()) as driver:
        with connected(driver) as sender:
            sender.sendall(b"%d %s" % (len(message), message) * 2)
            events = await driver.events(2)
    assert [event["message"] for event in events] == ["good\nsecond line"] * 2


async def test_an_unfinished_line_is_an_event_when_the_connection_ends() -> None:
    """What was begun when the sender left is not lost."""
    async with drive(syslog()) as driver:
        with connected(driver) as sender:
            sender.sendall(GOOD)
        assert (await driver.events(1))[0]["message"] == "good"


async def test_an_unfinished_line_is_an_event_at_the_stop() -> None:
    """What has arrived when the input is stopped is handed over, complete or not."""
    async with drive(syslog()) as driver:
        with connected(driver) as sender:
            sender.sendall(GOOD + b"\n" + GOOD[:-2])
            first = await driver.next()
            assert len(first) == 1
            await driver.stop()
            driver.task = None
            assert (await driver.next()).events[0]["message"] == "go"
            assert sender.recv(1) == b""


async def test_too_long_messages_are_cut_marked_and_counted() -> None:
    """Of a message over `max_message_bytes` the beginning arrives, marked; the next one is whole."""
    async with drive(syslog(max_message_bytes=Size(100))) as driver:
        with connected(driver) as sender:
            sender.sendall(GOOD + b"x" * 200_000 + b"\n" + GOOD + b"\n")
            cut, good = await driver.events(2)
    assert cut["message"] == "good" + "x" * (100 - len(GOOD))
    assert cut["shipper_error"].startswith("syslog: ")
    assert good["message"] == "good"
    assert "shipper_error" not in good
    assert driver.scope.counters["truncated_messages", ()] == 1


@pytest.mark.parametrize(
    "seed",
    [
        b"999999999999 <1>",
        b"-1 ",
        b"0 ",
        b"<999>x",
        b"\0\0",
        b"<34>Oct 11 22:14:15host x",
        b"<34>1 - " + b"h" * 2**20,
        b"\xff",
    ],
)
async def test_the_next_good_message_always_arrives(seed: bytes) -> None:
    """Whatever came before on the connection, the next good line arrives whole."""
    async with drive(syslog()) as driver:
        with connected(driver) as sender:
            await asyncio.to_thread(sender.sendall, seed + b"\n" + GOOD + b"\n")
            event = {}
            while event.get("message") != "good":
                (event,) = (await driver.events(1))[-1:]
    assert "shipper_error" not in event


async def test_back_pressure_stops_reading_and_loses_nothing() -> None:
    """While there is no room nothing more is read from the connection; then all arrives, in order, once."""
    async with drive(syslog()) as driver:
        driver.busy = Unavailable("full")
        with connected(driver) as sender:
            sender.setblocking(False)
            line = b"<34>1 2026-08-01T00:00:00Z h a 1 - - %09d " + b"x" * 500 + b"\n"
            sent, rest, idle = 0, b"", 0
            while idle < 20:  # until the kernel's buffers are full
                try:
                    rest = rest or line % sent
                    count = sender.send(rest)
                    sent, rest, idle = sent + (count == len(rest)), rest[count:], 0
                except BlockingIOError:
                    idle += 1
                    await asyncio.sleep(0.01)
            assert not driver.pending
            driver.busy = None
            sender.setblocking(True)
            if rest:
                await asyncio.to_thread(sender.sendall, rest)
                sent += 1
            events = await driver.events(sent)
    assert [int(event["message"][:9]) for event in events] == list(range(sent))


async def test_what_finds_no_room_until_the_end_is_counted() -> None:
    """Held events that find no room at a stop are lost, and counted: plain sockets cannot repeat."""
    async with drive(syslog()) as driver:
        with connected(driver) as sender:
            sender.sendall(GOOD + b"\n")
            await driver.events(1)
            driver.busy = Unavailable("full")
            sender.sendall(GOOD + b"\n" + GOOD + b"\n")
            await driver.stop()
    assert dropped(driver, "stopped") == 2


async def test_a_failed_delivery_is_counted() -> None:
    """When a delivery comes to nothing the events are lost, and counted."""
    async with drive(syslog()) as driver:
        with connected(driver) as sender:
            sender.sendall(GOOD + b"\n")
            await driver.next()
            driver.refuse(RuntimeError("gone"))
            await until(lambda: dropped(driver, "undelivered") == 1)


async def test_datagrams_of_one_peer_share_it() -> None:
    """A datagram is a message, newlines inside and all; a trailing newline or NUL is no part of it."""
    async with drive(syslog("udp://127.0.0.1:0")) as driver:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for data in (GOOD + b"\n", GOOD + b"\0", b"", GOOD + b"\nmore"):
                sender.sendto(data, address(driver))
            events = await driver.events(3)
    assert [event["message"] for event in events] == ["good", "good", "good\nmore"]
    assert {event["peer"] for event in events} == {"127.0.0.1"}


async def test_datagrams_of_several_peers_name_them() -> None:
    """When peers differ inside a batch, the peer is in the events."""
    async with drive(syslog("udp://127.0.0.1:0")) as driver:
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for number, sender in enumerate(senders):
            sender.bind((f"127.0.0.{number + 1}", 0))
            sender.sendto(GOOD, address(driver))
            sender.close()
        batch = await driver.next()
    assert "peer" not in batch.attrs
    assert [event["peer"] for event in batch.events] == ["127.0.0.1", "127.0.0.2"]


async def test_datagrams_without_room_are_counted() -> None:
    """UDP cannot wait: what finds no room is dropped with a reason."""
    async with drive(syslog("udp://127.0.0.1:0")) as driver:
        driver.busy = Unavailable("full")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(3):
                sender.sendto(GOOD, address(driver))
            await until(lambda: dropped(driver, "no_room") == 3)


async def test_what_the_kernel_drops_is_counted() -> None:
    """Received and dropped datagrams are together those that were sent."""
    async with drive(syslog("udp://127.0.0.1:0", receive_buffer=Size(4096))) as driver:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(2000):  # the loop does not turn meanwhile
                sender.sendto(GOOD + b"x" * 500, address(driver))
        received = 0

        def counted() -> bool:
            nonlocal received
            while driver.unread:
                received += len(driver.unread.popleft().batch)
            return received + dropped(driver, "kernel_udp_drops") == 2000

        await until(counted)
    assert received
    assert dropped(driver, "kernel_udp_drops")


async def test_datagrams_that_have_arrived_are_read_at_the_stop() -> None:
    """A stop reads what the kernel holds."""
    async with drive(syslog("udp://127.0.0.1:0")) as driver:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(GOOD, address(driver))
            await driver.events(1)
            for _ in range(200):
                sender.sendto(GOOD, address(driver))
        await driver.stop()
        driver.task = None
        found = 0
        while found < 200:
            found += len(await driver.next())


async def test_unix_sockets(tmp_path: Path) -> None:
    """Streams and datagrams by path: with the mode asked for, a stale file is replaced, and close removes it."""
    stream, datagrams = tmp_path / "stream.sock", tmp_path / "datagrams.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(stream))
    source = Syslog(listen=[Listen(f"unix://{stream}"), Listen(f"unixgram://{datagrams}")], socket_mode="0622")
    async with drive(source) as driver:
        assert driver.scope.address == f"unix://{stream},unixgram://{datagrams}"
        assert stream.stat().st_mode & 0o777 == datagrams.stat().st_mode & 0o777 == 0o622
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(GOOD, str(datagrams))
            assert await driver.events(1) == [NAMES]
        with socket.socket(socket.AF_UNIX) as sender:
            sender.connect(str(stream))
            sender.sendall(GOOD + b"\n")
            assert await driver.events(1) == [NAMES]
        with pytest.raises(OSError, match="another process listens"):
            await syslog(f"unix://{stream}").open()
        with pytest.raises(OSError, match="another process listens"):
            await syslog(f"unixgram://{datagrams}").open()
    assert not stream.exists()
    assert not datagrams.exists()
    stream.write_text("precious")
    with pytest.raises(OSError, match="no socket"):
        await syslog(f"unix://{stream}").open()


async def test_workers_share_ports_and_the_first_has_the_paths(tmp_path: Path) -> None:
    """Two bind the same port, each reads what comes to it; a Unix socket is opened by worker 0 alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    addresses = [Listen(f"tcp://127.0.0.1:{port}"), Listen(f"unix://{tmp_path}/log.sock")]
    async with (
        drive(Syslog(listen=addresses), share=Share(0, 2)) as first,
        drive(Syslog(listen=addresses), share=Share(1, 2)) as second,
    ):
        assert first.scope.address == f"tcp://127.0.0.1:{port},unix://{tmp_path}/log.sock"
        assert second.scope.address == f"tcp://127.0.0.1:{port}"
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(24)]
        for client in clients:
            client.sendall(GOOD + b"\n")
        found = 0
        async with asyncio.timeout(10):
            while found < len(clients):
                for driver in (first, second):
                    while driver.unread:
                        found += len(await driver.next())
                        driver.accept()
                await asyncio.sleep(0.01)
        for client in clients:
            client.close()
    async with drive(Syslog(listen=addresses[1]), share=Share(1, 2)) as idle:
        assert not idle.scope.address
        await idle.nothing(0.05)


async def test_more_connections_wait_for_room() -> None:
    """Beyond `max_connections` a sender waits; what it sent arrives once there is room."""
    async with drive(syslog(max_connections=2)) as driver:
        with connected(driver) as first, connected(driver) as second:
            for sender in (first, second):
                sender.sendall(GOOD + b"\n")
            await driver.events(2)
            with connected(driver) as third:
                third.sendall(GOOD + b"\n")
                await driver.nothing(0.3)
                first.close()
                await driver.events(1)


async def test_a_silent_connection_makes_room() -> None:
    """A connection that is silent for `idle_timeout` is closed only when another waits for its place."""
    async with drive(syslog(max_connections=1, idle_timeout=Duration(0.2))) as driver:
        with connected(driver) as silent:
            silent.sendall(GOOD + b"\n")
            await driver.events(1)
            await driver.nothing(0.5)
            silent.sendall(GOOD + b"\n")
            await driver.events(1)
            with connected(driver) as other:
                other.sendall(GOOD + b"\n")
                await driver.events(1)
                assert await asyncio.to_thread(silent.recv, 1) == b""
    assert driver.scope.counters["closed_connections", (("reason", "silent"),)] == 1


async def test_a_message_that_never_ends_is_cut_off() -> None:
    """Bytes that trickle in do not hold a connection: after `idle_timeout` it is closed, what came is kept."""
    async with drive(syslog(idle_timeout=Duration(0.3))) as driver:
        with connected(driver) as slow:
            slow.settimeout(0)
            closed = False
            while not closed:
                try:
                    slow.send(b"x")
                    await asyncio.sleep(0.02)
                    closed = slow.recv(1) == b""
                except BlockingIOError:
                    pass
                except ConnectionError:
                    closed = True
        (event,) = await driver.events(1)
    assert set(event["message"]) == {"x"}
    assert driver.scope.counters["closed_connections", (("reason", "slow"),)] == 1


@pytest.mark.skipif(not shutil.which("logger"), reason="needs logger of util-linux")
@pytest.mark.parametrize(
    "words", [["--udp"], ["--tcp"], ["--tcp", "--octet-count"], ["--tcp", "--rfc3164"], ["--udp", "--rfc3164"]]
)
async def test_the_logger_command(words: list[str]) -> None:
    """What util-linux's logger sends by every transport and in both forms is understood."""
    async with drive(syslog("udp://127.0.0.1:0" if "--udp" in words else "tcp://127.0.0.1:0")) as driver:
        host, port = address(driver)
        await asyncio.to_thread(
            subprocess.run,
            [
                "logger",
                *words,
                "-n",
                host,
                "-P",
                str(port),
                "-p",
                "daemon.err",
                "-t",
                "probe",
                "--id=77",
                "hello world",
            ],
            check=True,
        )
        (event,) = await driver.events(1)
    assert (event["app"], event["pid"], event["message"]) == ("probe", "77", "hello world")
    assert (event["facility"], event["severity"], event["peer"]) == ("daemon", "error", "127.0.0.1")
    assert "shipper_error" not in event


async def test_python_s_own_handler() -> None:
    """`logging.handlers.SysLogHandler`, which ends messages with NUL, by TCP and UDP."""
    import logging.handlers

    source = Syslog(listen=[Listen("tcp://127.0.0.1:0"), Listen("udp://127.0.0.1:0")])
    async with drive(source) as driver:
        assert driver.scope.address is not None
        for each in driver.scope.address.split(","):
            listen = Listen(each)
            kind = socket.SOCK_STREAM if listen.stream else socket.SOCK_DGRAM
            handler = logging.handlers.SysLogHandler((listen.host, listen.port), socktype=kind)
            handler.ident = "myapp: "
            handler.emit(logging.LogRecord("x", logging.ERROR, "", 0, "from Python", (), None))
            (event,) = await driver.events(1)
            handler.close()
            assert (event["app"], event["message"], event["severity"]) == ("myapp", "from Python", "error")


def test_check_says_what_does_not_fit() -> None:
    """TLS without a certificate, a certificate without TLS, an unknown zone, an address twice."""
    from shipper.net.tls import Tls

    assert {name for name, _ in syslog("tls://127.0.0.1:1").check()} == {"tls"}
    assert {name for name, _ in syslog(tls=Tls()).check()} == {"tls"}
    assert {name for name, _ in syslog(timezone="Mars/Olympus").check()} == {"timezone"}
    assert not list(syslog().check())
    twice = Syslog(listen=[Listen("udp://127.0.0.1:1"), Listen("udp://127.0.0.1:1")])
    assert {name for name, _ in twice.check()} == {"listen"}


def test_events_are_made_when_they_are_let_in() -> None:
    """A batch that waits for room holds its bytes, not its events."""
    batch = syslog().lines(GOOD + b"\n" + GOOD, "10.0.0.1")
    assert isinstance(batch, Batch)
    assert batch.raw == GOOD + b"\n" + GOOD
    assert batch.events == [NAMES, NAMES]


@pytest.mark.parametrize(
    "scenario",
    [
        test_lines_of_a_connection_are_one_batch,
        test_counted_messages_keep_their_newlines,
        test_an_unfinished_line_is_an_event_at_the_stop,
        test_back_pressure_stops_reading_and_loses_nothing,
        test_what_finds_no_room_until_the_end_is_counted,
        test_datagrams_of_several_peers_name_them,
        test_what_the_kernel_drops_is_counted,
        test_more_connections_wait_for_room,
        test_a_silent_connection_makes_room,
        test_a_message_that_never_ends_is_cut_off,
    ],
)
def test_under_uvloop(scenario: Any) -> None:
    """The same under the loop that the agent runs on, whose transports differ."""
    uvloop.run(scenario())
