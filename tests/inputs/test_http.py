"""The HTTP input, spoken to by real sockets."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import logging
import socket
import time
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop
import zstandard

from shipper.errors import Unavailable
from shipper.inputs.http import Http
from shipper.net.auth import ApiKey, Basic, Bearer
from shipper.net.listen import HostPort
from shipper.options import Duration, Secret, Size
from shipper.testing import drive
from shipper.testing.drive import Driver

LOOPBACK = HostPort("127.0.0.1:0")


def source(**options: Any) -> Http:
    return Http(listen=LOOPBACK, **options)


def where(driver: Driver) -> tuple[str, int]:
    parts = urlsplit(driver.scope.address or "")
    assert parts.hostname and parts.port
    return parts.hostname, parts.port


class Reply:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = json.loads(answer.read() or b"null")


def post(
    driver: Driver, body: bytes, headers: Mapping[str, str] | None = None, *, path: str = "/", method: str = "POST"
) -> asyncio.Task[Reply]:
    """A request under way; its answer may depend on what the test does next."""

    def exchange() -> Reply:
        connection = http.client.HTTPConnection(*where(driver), timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            return Reply(connection.getresponse())
        finally:
            connection.close()

    return asyncio.create_task(asyncio.to_thread(exchange))


async def raw(driver: Driver, data: bytes) -> bytes:
    """All that comes back for these bytes until the server closes."""
    reader, writer = await asyncio.open_connection(*where(driver))
    writer.write(data)
    try:
        found = await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:  # closed while bytes were still coming
        found = b""
    writer.close()
    return found


JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
TEXT = {"Content-Type": "text/plain"}


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b'{"a": 1}', JSON, [{"a": 1}]),
        (b'\xef\xbb\xbf[{"a": 1}, {"b": [2]}]', JSON, [{"a": 1}, {"b": [2]}]),
        (b'{"a": 1}\n{"a": 2}\n', JSON, [{"a": 1}, {"a": 2}]),
        (b'{"a": 1}\r\n\r\n{"a": 2}\r\n', NDJSON, [{"a": 1}, {"a": 2}]),
        (b"one\r\ntwo\n\nthree", TEXT, [{"message": "one"}, {"message": "two"}, {"message": "three"}]),
        (b'{"a": 1}', {"Content-Type": "application/x-www-form-urlencoded"}, [{"a": 1}]),
        (b"just text", {"Content-Type": "application/octet-stream"}, [{"message": "just text"}]),
        ("grün".encode("latin-1"), {"Content-Type": "text/plain; charset=ISO-8859-1"}, [{"message": "grün"}]),
    ],
)
async def test_bodies(body: bytes, headers: dict[str, str], expected: list[dict[str, Any]]) -> None:
    """What a body is follows from its Content-Type, or from its first byte."""
    async with drive(source()) as driver:
        reply = post(driver, body, headers)
        batch = await driver.next()
        driver.accept()
        assert batch.events == expected
        assert batch.attrs["peer"] == "127.0.0.1"
        assert batch.attrs["timestamp"].endswith("Z")
        assert ((await reply).status, (await reply).body) == (200, {"events": len(expected)})


async def test_the_answer_is_the_acknowledgement() -> None:
    """Nothing is answered before the delivery is done; one that fails is answered 503, so that it comes again."""
    async with drive(source()) as driver:
        reply = post(driver, b'{"a": 1}', JSON)
        await driver.next()
        await asyncio.wait([reply], timeout=0.1)
        assert not reply.done()
        driver.refuse(RuntimeError("gone"))
        assert (await reply).status == 503
        assert (await reply).headers["Retry-After"] == "1"


async def test_no_room_is_503() -> None:
    """Back-pressure is an answer: 503, and when to come again."""
    async with drive(source()) as driver:
        driver.busy = Unavailable("full", after=2.5)
        reply = await post(driver, b'{"a": 1}', JSON)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "3")
        assert not driver.pending


async def test_large_bodies_go_in_batches() -> None:
    """A large body is many batches, and 200 comes when the last is done; no line is lost between them."""
    lines = [b'{"number": %d, "filler": "%s"}' % (number, b"x" * 100) for number in range(5000)]
    for body, headers in ((b"\n".join(lines), NDJSON), (b"[" + b",".join(lines) + b"]", JSON)):
        async with drive(source()) as driver:
            reply = post(driver, body, headers)
            events: list[dict[str, Any]] = []
            while len(events) < 5000:
                assert not reply.done()
                events += (await driver.next()).events
            assert [event["number"] for event in events] == list(range(5000))
            assert len(driver.pending) > 5
            while driver.pending:
                driver.accept()
            assert (await reply).body == {"events": 5000}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"a": ', JSON),
        (b"", JSON),
        (b"NaN", JSON),
        (b'[1, "two"]', JSON),
        (b'"text"', JSON),
        (b"no\njson\n", NDJSON),
        (b'{\n"a": 1,\n', JSON),
        (b"not gzip", {**JSON, "Content-Encoding": "gzip"}),
        (gzip.compress(b'{"a": 1}' * 100, mtime=0)[:-9], {**JSON, "Content-Encoding": "gzip"}),
        (b"[" * 100_000, JSON),
    ],
)
async def test_nothing_valid_is_400(body: bytes, headers: dict[str, str]) -> None:
    """A body in which nothing is valid is refused with a sentence, counted, and brings no event."""
    async with drive(source()) as driver:
        reply = await post(driver, body, headers)
        assert reply.status == 400
        assert isinstance(reply.body["error"], str)
        assert not driver.pending
        assert driver.scope.counters["refused_requests", (("status", "400"),)] == 1


async def test_bad_lines_among_good_ones_are_kept() -> None:
    """One bad line does not cost the others: it is kept raw, marked; so is an item that is no object."""
    async with drive(source()) as driver:
        for body, headers in ((b'{"a": 1}\nbad\n', NDJSON), (b'[{"a": 1}, "bad"]', JSON)):
            reply = post(driver, body, headers)
            good, bad = (await driver.next()).events
            driver.accept()
            assert (await reply).status == 200
            assert good == {"a": 1}
            assert bad["message"] == "bad"
            assert bad["shipper_error"].startswith("json: ")


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.compress), ("GZIP", gzip.compress)],
)
async def test_packed_bodies(encoding: str, pack: Any) -> None:
    """gzip, deflate and zstd are unpacked."""
    async with drive(source()) as driver:
        reply = post(driver, pack(b'{"a": 1}'), {**JSON, "Content-Encoding": encoding})
        assert (await driver.next()).events == [{"a": 1}]
        driver.accept()
        assert (await reply).status == 200


async def test_too_large() -> None:
    """One byte over the limit is 413, packed or not, announced or chunked; exactly the limit passes."""
    async with drive(source(max_body_bytes=Size(1000))) as driver:
        fits = b"x" * 1000
        reply = post(driver, fits, TEXT)
        await driver.events(1)
        assert (await reply).status == 200
        assert (await post(driver, fits + b"x", TEXT)).status == 413
        assert (await post(driver, gzip.compress(fits + b"x"), {**TEXT, "Content-Encoding": "gzip"})).status == 413
        assert (await post(driver, gzip.compress(bytes(2**28)), {**TEXT, "Content-Encoding": "gzip"})).status == 413
        head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"
        assert b" 413 " in (await raw(driver, chunked)).partition(b"\r\n")[0]
        assert not driver.pending


async def test_other_requests_are_refused() -> None:
    """405, 404 and 415 for what is not served here; the reason is in the body."""
    async with drive(source(path="/logs")) as driver:
        wrong = await post(driver, b"", method="GET", path="/logs")
        assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
        assert (await post(driver, b"{}", JSON, path="/other")).status == 404
        for headers in (
            {"Content-Encoding": "br"},
            {"Content-Encoding": "gzip, gzip"},
            {"Content-Type": "a/b; charset=punycode"},
        ):
            assert (await post(driver, b"{}", headers, path="/logs")).status == 415
        assert not driver.pending


@pytest.mark.parametrize(
    ("auth", "right", "scheme"),
    [
        (Basic(user="ann", password=Secret("pw")), "Basic YW5uOnB3", "Basic"),
        (Bearer(token=Secret("token")), "Bearer token", "Bearer"),
        (ApiKey(key=Secret("id:key")), "ApiKey aWQ6a2V5", "ApiKey"),
    ],
)
async def test_auth(auth: Any, right: str, scheme: str) -> None:
    """Only the right credentials pass: no prefix, no suffix, no other case, no other scheme."""
    async with drive(source(auth=auth)) as driver:
        for wrong in (None, "", right[:-1], right + "x", right.swapcase(), f"Digest {right.partition(' ')[2]}", scheme):
            headers = JSON if wrong is None else {**JSON, "Authorization": wrong}
            reply = await post(driver, b"{}", headers)
            assert (reply.status, reply.headers["WWW-Authenticate"].split()[0]) == (401, scheme)
        assert not driver.pending
        reply_ = post(driver, b'{"a": 1}', {**JSON, "Authorization": right})
        await driver.events(1)
        assert (await reply_).status == 200


LIES = {
    "negative length": b"Content-Length: -1\r\n\r\n",
    "enormous length": b"Content-Length: 9223372036854775808\r\n\r\n",
    "overflowing length": b"Content-Length: 99999999999999999999999\r\n\r\n",
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk overflow": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "broken chunk": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "huge header": b"X: " + b"x" * 2**20 + b"\r\n\r\n",
    "no request": b"\r\n\r\n\x00\x01\x02\r\n\r\n",
}


@pytest.mark.parametrize("name", LIES)
async def test_lies(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What lies about its length is refused and closed without a traceback, brings no event; the next request is served."""
    async with drive(source(read_timeout=Duration(1))) as driver:
        answer = await raw(driver, b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + LIES[name])
        status = answer.partition(b"\r\n")[0].split()[1:2]
        assert status in ([b"400"], [b"413"], [b"408"]) or not answer
        assert not driver.pending
        assert not [record for record in caplog.records if record.levelno > logging.INFO]
        reply = post(driver, b'{"a": 1}', JSON)
        await driver.events(1)
        assert (await reply).status == 200


async def test_slow_bodies_are_408() -> None:
    """A body that does not come holds nobody up for longer than `read_timeout`: it is answered and closed at once."""
    async with drive(source(read_timeout=Duration(0.2))) as driver:
        began = time.monotonic()
        answer = await raw(driver, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
        assert b" 408 " in answer.partition(b"\r\n")[0]
        assert b"took more than" in answer
        assert time.monotonic() - began < 1.5  # others are listened to for 2 s more, so that they see their refusal
        assert not driver.pending


@pytest.mark.parametrize("abrupt", [False, True])
async def test_senders_that_go_away(abrupt: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Who closes the connection in the middle of a body is no bug of ours: no event, no traceback, the next is served."""
    listener = source()
    async with drive(listener) as driver:
        reader, writer = await asyncio.open_connection(*where(driver))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")  # it waits for the body now
        (writer.transport.abort if abrupt else writer.close)()
        while (
            not any(record.levelno > logging.INFO for record in caplog.records)
            and listener.scope.counters["refused_requests", (("status", "400"),)] < 1
        ):
            await asyncio.sleep(0.001)
        reply = post(driver, b'{"a": 1}', JSON)
        await driver.events(1)
        assert (await reply).status == 200
        assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_silent_connections_are_closed() -> None:
    """A connection without a request, or whose head does not end, is closed after `idle_timeout`."""
    async with drive(source(idle_timeout=Duration(0.2))) as driver:
        for begun in (b"", b"POST / HTTP/1.1\r\nX: "):
            assert await raw(driver, begun) == b""


async def test_continue() -> None:
    """A sender that waits for `100 Continue` gets it; one that is refused gets the refusal instead."""
    async with drive(source(max_body_bytes=Size(100))) as driver:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        reader, writer = await asyncio.open_connection(*where(driver))
        writer.write(head % 2)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert await driver.events(1)
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        reader, writer = await asyncio.open_connection(*where(driver))
        writer.write(head % 200)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_senders_that_are_gone(caplog: pytest.LogCaptureFixture) -> None:
    """Who goes away before `100 Continue` causes no error; strangers do not fill the log."""
    caplog.set_level(logging.INFO)
    async with drive(source()) as driver:
        for more in (b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", b"no header\r\n\r\n"):
            for _ in range(20):
                with socket.create_connection(where(driver)) as link:  # gone before it is accepted
                    link.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + more)
        reply = post(driver, b'{"a": 1}', JSON)
        await driver.events(1)
        assert (await reply).status == 200
        while driver.scope.counters["refused_requests", (("status", "400"),)] < 20:
            await asyncio.sleep(0.01)
        assert not [record for record in caplog.records if record.levelno > logging.INFO]
        assert sum("no HTTP" in record.message for record in caplog.records) == 1


async def test_open_requests_are_answered_after_the_stop() -> None:
    """A stop ends listening; a request that is under way gets its answer, a new one on its connection 503."""
    async with drive(source()) as driver:
        reply = post(driver, b'{"a": 1}', JSON)
        await driver.next()
        connection = http.client.HTTPConnection(*where(driver), timeout=10)
        await asyncio.to_thread(connection.connect)
        await asyncio.sleep(0)
        late = post(driver, b"x" * 10, TEXT)
        await driver.next()
        await driver.stop()
        with pytest.raises(ConnectionRefusedError):
            await post(driver, b"{}", JSON)
        driver.accept()
        driver.accept()
        assert (await reply).status == (await late).status == 200
        assert (await reply).headers["Connection"] == "close"
        connection.close()


async def test_open_beyond_loopback_warns(caplog: pytest.LogCaptureFixture) -> None:
    """Listening for the world without credentials is allowed, and said."""
    caplog.set_level(logging.WARNING)
    async with drive(Http(listen=HostPort("0.0.0.0:0"))):
        assert "no `auth`" in caplog.text
    caplog.clear()
    async with drive(source()):
        assert not caplog.records


def test_check_refuses_what_protects_nothing() -> None:
    """Empty credentials and TLS without a certificate are mistakes."""
    from shipper.net.tls import Tls

    assert {name for name, _ in source(auth=Bearer(token=Secret(""))).check()} == {"auth.token"}
    assert {name for name, _ in source(tls=Tls()).check()} == {"tls.cert"}
    assert not list(source().check())


@pytest.mark.parametrize(
    "scenario",
    [
        test_the_answer_is_the_acknowledgement,
        test_large_bodies_go_in_batches,
        test_too_large,
        test_silent_connections_are_closed,
        test_open_requests_are_answered_after_the_stop,
    ],
)
def test_under_uvloop(scenario: Any) -> None:
    """The same under the loop that the agent runs on, whose transports differ."""
    uvloop.run(scenario())
