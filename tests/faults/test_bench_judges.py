"""The bench itself: an oracle that sees every kind of damage, a destination that does as it is told."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.bench.answers import RESET_BODY, RESET_LOST, RESET_TAKEN, Answer, always
from tests.faults.bench.certificates import Authority
from tests.faults.bench.destination import Destination
from tests.faults.bench.needs import requires
from tests.faults.bench.oracle import Oracle
from tests.faults.bench.proxy import Mode, Proxy
from tests.faults.bench.scenario import Bench

pytestmark = pytest.mark.faults
Events = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda events: events.pop(7), "1 lost"),
        (lambda events: events.append({"message": "a stranger"}), "1 that nobody sent"),
        (lambda events: events.append({"message": "app 9999 cafe"}), "1 that nobody sent"),
        (lambda events: events[3].update(message=events[3]["message"][:-1]), "1 lost"),
        (lambda events: events.append({"message": events[3]["message"] + "x"}), "1 changed"),
        (lambda events: events.append(events[5]), "1 > 0 twice"),
        (lambda events: events.insert(0, events.pop(9)), "out of order"),
        (lambda events: events.clear(), "lost"),
    ],
)
def test_the_oracle_sees(damage: Callable[[Events], object], says: str) -> None:
    """Whatever is done to a clean delivery, the verdict names it; untouched it is clean, and void below the floor."""
    oracle = Oracle()
    chunk = oracle.source("app").mint(20)
    chunk.written()
    oracle.verdict(chunk.events).clean(floor=19)
    with pytest.raises(AssertionError, match="void"):
        oracle.verdict(chunk.events).clean()
    taken = chunk.events
    damage(taken)
    with pytest.raises(AssertionError, match=says):
        oracle.verdict(taken).clean(floor=10)


def post(port: int, body: bytes, path: str = "/", timeout: float = 5, **headers: str) -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        link.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def test_it_speaks_three_protocols(bench: Bench) -> None:
    """Bulk answers for each document (409 for an id that is there), Loki 204, JSON lines 200; gzip is unpacked."""
    docs = [{"create": {"_index": "i", "_id": "1"}}, {"message": "a"}, {"create": {"_index": "i"}}, {"message": "b"}]
    bulk = "".join(json.dumps(row) + "\n" for row in docs).encode()
    loki = json.dumps({"streams": [{"stream": {"app": "x"}, "values": [["1", "c"]]}]}).encode()
    with Destination() as server:
        status, said = post(server.port, gzip.compress(bulk), "/_bulk", Content_Encoding="gzip")
        assert (status, [item["create"]["status"] for item in json.loads(said)["items"]]) == (200, [201, 201])
        _, said = post(server.port, bulk, "/x/_bulk?a=b")
        assert [item["create"]["status"] for item in json.loads(said)["items"]] == [409, 201]
        _, said = post(server.port, b'{"create":{"_index":"i","_id":"2"}}\n{"message":"f"}\n' * 2, "/_bulk")
        assert [item["create"]["status"] for item in json.loads(said)["items"]] == [201, 409]
        server.answer = lambda _: Answer(items=lambda i, _: (429, 201)[i])
        _, said = post(server.port, bulk, "/_bulk")
        assert [item["create"]["status"] for item in json.loads(said)["items"]] == [429, 201]
        server.answer = lambda _: Answer()
        assert post(server.port, loki, "/loki/api/v1/push") == (204, b"")
        assert post(server.port, b'{"message": "d"}\n') == (200, b"")
        server.answer = lambda _: Answer(503)
        assert post(server.port, b'{"message": "e"}\n')[0] == 503
    assert [event["message"] for event in server.taken] == ["a", "b", "b", "f", "b", "c", "d"]
    assert list(server.documents) == ["i/1", "i/2"]
    assert [noted.events for noted in server.requests] == [2, 2, 2, 2, 1, 1, 1]


def test_it_behaves_badly(bench: Bench) -> None:
    """RST in the body, RST with and without having taken it, cut, hang, drip, delay, refused, and well again."""
    body = b'{"message": "x"}\n'
    with Destination(at_head=lambda _: RESET_BODY) as server:
        with pytest.raises(ConnectionResetError):
            post(server.port, b"x" * (8 << 20))
        server.at_head = lambda _: None
        for answer, taken in ((RESET_TAKEN, 1), (RESET_LOST, 1), (Answer(take=True, status=500, reset=True), 2)):
            server.answer = always(answer)
            with pytest.raises(ConnectionResetError):
                post(server.port, body)
            assert len(server.taken) == taken
        server.answer = lambda _: Answer(body=b"y" * 50, cut=100)
        with pytest.raises((http.client.IncompleteRead, http.client.BadStatusLine, http.client.RemoteDisconnected)):
            post(server.port, body)
        server.answer = lambda _: Answer(body=b"y" * 50, hang=True)
        with pytest.raises(TimeoutError):
            post(server.port, body, timeout=0.3)
        server.answer = lambda _: Answer(raw=b"HTTP/1.1 200 -\r\n\r\n" + b"z" * 20, drip=100, delay=0.2)
        began = time.monotonic()
        assert post(server.port, body) == (200, b"z" * 20)
        assert 0.5 < time.monotonic() - began < 3
        server.close()
        with pytest.raises(ConnectionRefusedError):
            post(server.port, body)
        server.open()
        server.answer = lambda _: Answer()
        assert post(server.port, body)[0] == 200


def test_it_counts_whatever_it_hears(bench: Bench) -> None:
    """Of a request that breaks off in its first line every byte counts as received: a leak need not be a whole request."""
    with Destination() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as link:
            link.sendall(b"POST /sec")
            link.shutdown(socket.SHUT_WR)
            assert link.recv(100) == b""  # it has read all and hung up
        assert server.received == 9
        assert not server.requests


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("reset", ConnectionResetError),
        ("cut", http.client.RemoteDisconnected),
        ("blackhole", TimeoutError),
    ],
)
def test_the_line_is_bad(bench: Bench, mode: Mode, error: type[Exception]) -> None:
    """A proxy passes everything on until it is told not to."""
    with Destination() as server, Proxy(server.port) as line:
        assert post(line.port, b'{"message": "x"}\n')[0] == 200
        line.mode = mode
        line.after = 200
        with pytest.raises(error):
            post(line.port, b'{"message": "y"}\n' * 100, timeout=1)
        line.refuse()
        with pytest.raises(ConnectionRefusedError):
            post(line.port, b"{}")
        line.mode = "pass"
        line.listen()
        assert post(line.port, b'{"message": "z"}\n')[0] == 200
        line.mode, line.speed, began = "drip", 200, time.monotonic()
        assert post(line.port, b'{"message": "z"}\n')[0] == 200
        assert time.monotonic() - began > 0.3  # some 100 bytes
    assert server.taken[0] == {"message": "x"}


@requires("openssl")
def test_certificates_are_what_they_say(bench: Bench) -> None:
    """A client that verifies takes the good one, and neither the wrong name, nor the expired, nor another CA's."""
    import ssl

    ca, other = Authority(bench.folder, "ca"), Authority(bench.folder, "other")
    client = ssl.create_default_context(cafile=str(ca.pem))
    good, wrong = ca.server("good"), ca.server("wrong", "DNS:elsewhere.example")
    expired, foreign = ca.server("expired", expired=True), other.server("foreign")
    for context, fine in ((good, True), (wrong, False), (expired, False), (foreign, False)):
        with Destination(tls=context) as server:
            try:
                with urllib.request.urlopen(server.url, b'{"message": "x"}', 5, context=client) as answer:
                    assert answer.status == 200
            except urllib.error.URLError as error:
                assert "CERTIFICATE_VERIFY_FAILED" in str(error)
                assert not fine
            else:
                assert fine
            assert bool(server.received) == fine
