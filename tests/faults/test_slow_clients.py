"""T39 and T40: clients that are slow, silent, many, or that lie about what they send."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.faults.bench.abuse import MIB, Crowd, cost, exchange, percentile
from tests.faults.bench.certificates import Authority
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.configs import http
from tests.faults.bench.destination import Destination
from tests.faults.bench.needs import requires
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import tier

pytestmark = pytest.mark.faults
CUT = 4.0  # seconds: what the configuration gives a client
API = 10.0  # seconds: what its own API gives one
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
SYSLOG = b"<13>Nov 22 12:00:00 host app: "


def inputs(server: Destination, **named: dict[str, Any]) -> dict[str, Any]:
    return {"data_dir": "./data", "inputs": named, "outputs": {"out": http(server, batch={"wait": "20ms"})}}


@requires("openssl")
@pytest.mark.timeout(180)
def test_t39_slow_and_many(bench: Bench) -> None:
    """T39: 230 clients that say a byte a second, 100 that leave TLS handshakes open and 2,000 (nightly 10,000) that say
    nothing: a good client's p99 stays <= 500 ms, the slow ones are cut at the timeout (4 s, of the API 10 s) +- 1 s, and
    afterwards as many handles are open as before, +- 5.
    """
    idle = tier(c=2000, n=10_000)
    cert, key = Authority(bench.folder, "ca").issue("agent")
    tls = {"cert": str(cert), "key": str(key)}
    web, https, syslog, secure = (free_port() for _ in range(4))
    patient = {"idle_timeout": f"{CUT}s", "max_connections": 20_000}
    with Destination() as server, contextlib.ExitStack() as crowds:
        config = inputs(
            server,
            web={"type": "http", "listen": f"127.0.0.1:{web}", "read_timeout": f"{CUT}s", **patient},
            https={"type": "http", "listen": f"127.0.0.1:{https}", "tls": tls, **patient},
            syslog={"type": "syslog", "listen": f"tcp://127.0.0.1:{syslog}", **patient},
            secure={"type": "syslog", "listen": f"tls://127.0.0.1:{secure}", "tls": tls, **patient},
        )
        with bench.agent(config) as agent, HttpClient(bench.oracle, web, rate=50, batch=1) as canary:
            agent.wait_for(lambda: len(canary.latencies) > 50, what="to answer the good client")
            base = agent.fds()
            api = int(agent.url.rpartition(":")[2])
            canary.latencies.clear()
            silent = [Crowd(web, idle // 2), Crowd(syslog, idle // 2)]
            slow = {
                "head": Crowd(web, 70, first=HEAD + b"X-Slow: ", then=b"a"),
                "body": Crowd(web, 70, first=HEAD + b"Content-Length: 1000\r\n\r\n", then=b"a"),
                "syslog": Crowd(syslog, 60, first=SYSLOG, then=b"a"),
                "api": Crowd(api, 30, first=b"GET /livez HTTP/1.1\r\nHost: ", then=b"a"),
                "https hello": Crowd(https, 50, first=b"\x16\x03\x01\x02\x00\x01"),
                "tls hello": Crowd(secure, 50),
            }
            for each in [*silent, *slow.values()]:
                crowds.enter_context(each)
            for name, each in slow.items():
                agent.wait_for(lambda each=each: not each.left, 2 * API, f"to cut the slow ones ({name})")  # type: ignore[misc]
            agent.wait_for(lambda: not silent[0].left, what="to close silent connections")
            assert silent[1].left == idle // 2  # a quiet syslog connection is left in peace while there is room
            taken = list(canary.latencies)
            crowds.close()
            began = time.monotonic()
            agent.wait_for(lambda: abs(agent.fds() - base) <= 5, what="to let go of its handles")
            bench.figure("seconds until handles are as before, +- 5", "<= 15", time.monotonic() - began)
            canary.stop()
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    p99 = percentile(taken, 0.99)
    bench.figure(f"p99 of a good client beside {idle} idle, 330 slow", "<= 0.5 s", p99)
    for name, each in slow.items():
        wanted = API if name == "api" else CUT
        bench.figure(f"{name}: cut after", f"{wanted} s +- 1", f"{min(each.cuts):.2f} to {max(each.cuts):.2f}")
    verdict = bench.oracle.verdict(server.taken, [canary.source])
    assert (verdict.missing, verdict.corrupted, verdict.duplicates) == ([], [], 0)
    assert len(taken) > 100
    assert p99 <= 0.5
    for name, each in slow.items():
        wanted = API if name == "api" else CUT
        assert wanted - 1 <= min(each.cuts) <= max(each.cuts) <= wanted + 1, (name, min(each.cuts), max(each.cuts))


BIG = 64 * 1024
"""Bytes of a body that are allowed."""


def chunked(*parts: bytes) -> bytes:
    return b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(parts)


EVENT = b'{"message":"a lie"}'
LIES = {
    "a negative length": b"Content-Length: -1\r\n\r\n" + EVENT,
    "a length of 2^63": b"Content-Length: 9223372036854775808\r\n\r\n" + EVENT,
    "a length beyond 2^64": b"Content-Length: 99999999999999999999999\r\n\r\n" + EVENT,
    "a length in hex": b"Content-Length: 0x13\r\n\r\n" + EVENT,
    "a signed length": b"Content-Length: +19\r\n\r\n" + EVENT,
    "a length of digits of another script": "Content-Length: \u0661\u0669\r\n\r\n".encode() + EVENT,
    "two lengths": b"Content-Length: 19\r\nContent-Length: 20\r\n\r\n" + EVENT,
    "a list of lengths": b"Content-Length: 19, 19\r\n\r\n" + EVENT,
    "length and chunks": b"Content-Length: 19\r\n" + chunked(b"13\r\n", EVENT, b"\r\n0\r\n\r\n"),
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n13\r\n" + EVENT + b"\r\n0\r\n\r\n",
    "a length too large": b"Content-Length: 25\r\n\r\n" + EVENT,
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n13\r\n" + EVENT + b"\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n13\r\n" + EVENT + b"\r\n0\r\n\r\n",
    "a chunk beyond 2^64": chunked(b"fffffffffffffffff\r\n", EVENT, b"\r\n0\r\n\r\n"),
    "a negative chunk": chunked(b"-13\r\n", EVENT, b"\r\n0\r\n\r\n"),
    "a chunk that is no number": chunked(b"zz\r\n", EVENT, b"\r\n0\r\n\r\n"),
    "a chunk in 0x": chunked(b"0x13\r\n", EVENT, b"\r\n0\r\n\r\n"),
    "a chunk that is longer than said": chunked(b"2\r\n", EVENT, b"\r\n0\r\n\r\n"),
    "no end of chunks": chunked(b"13\r\n", EVENT, b"\r\n"),
    "endless trailers": chunked(b"13\r\n", EVENT, b"\r\n0\r\n", b"X: y\r\n" * 100_000, b"\r\n"),
    "a header of 1 MiB": b"X: " + b"x" * (1 << 20) + b"\r\nContent-Length: 19\r\n\r\n" + EVENT,
    "20,000 headers": b"X: y\r\n" * 20_000 + b"Content-Length: 19\r\n\r\n" + EVENT,
    "a space before the colon": b"Content-Length : 19\r\n\r\n" + EVENT,
    "a folded header": b"X: a\r\n b\r\nContent-Length: 19\r\n\r\n" + EVENT,
    "NUL in a header": b"X: a\0b\r\nContent-Length: 19\r\n\r\n" + EVENT,
    "one byte more than allowed": b"Content-Length: %d\r\n\r\n" % (BIG + 1) + b"a" * (BIG + 1),
    "one byte more, in chunks": chunked(b"%x\r\n" % (BIG + 1), b"a" * (BIG + 1), b"\r\n0\r\n\r\n"),
}
NO_REQUEST = {
    "no request": b"\x00\x01\x02\r\n\r\n",
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x80" * 500 + b"\r\n\r\n",
    "a target of 1 MiB": b"POST /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"POST /\r\n\r\n",
    "a body of HTTP/1.0 without a length": b"POST / HTTP/1.0\r\n\r\n" + EVENT,
    "CONNECT": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
}


def test_t40_lies(bench: Bench) -> None:
    """T40: a request that lies about its length, its chunks or its headers is refused (4xx) or, where nobody could read an
    answer, just closed; it brings 0 events, and the next request is fine. One that is as large as allowed is taken.
    """
    port = free_port()
    with Destination() as server:
        web = {"type": "http", "listen": f"127.0.0.1:{port}", "max_body_bytes": BIG, "read_timeout": "1s"}
        with bench.agent(inputs(server, web={**web, "idle_timeout": "2s"})) as agent:
            with HttpClient(bench.oracle, port, rate=100, batch=1) as canary:

                def tell(name: str) -> tuple[str, str]:
                    head = b"" if name in NO_REQUEST else HEAD.replace(b"text/plain", b"application/json")
                    statuses, closed = exchange(port, head + {**LIES, **NO_REQUEST}[name], 8)
                    return name, f"{statuses or 'nothing'}{'' if closed else ', open'}"

                with ThreadPoolExecutor(8) as liars:
                    told = dict(liars.map(tell, [*LIES, *NO_REQUEST]))
                with cost(agent) as paid:  # no lie, and nothing to keep
                    odd = chunked(b"1;" + b"x" * (64 * MIB) + b"\r\n", b"a", b"\r\n0\r\n\r\n")
                    assert exchange(port, HEAD + b"Connection: close\r\n" + odd)[0] == [200]
            large = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % BIG + b"a" * BIG
            assert exchange(port, HEAD + large)[0] == [200]
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    wrong = {name: said for name, said in told.items() if "open" in said or "200" in said or "[5" in said}
    # of one that is longer than what is read an RST may overtake the answer
    unsaid = [name for name, lie in LIES.items() if told[name] == "nothing" and len(lie) < 1000]
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("short lies closed without an answer", "0", len(unsaid))
    bench.figure(f"of {len(told)} lies answered well, or not closed", "0", len(wrong))
    bench.figure("events of a lie", "0", len(verdict.spurious) - 2)
    bench.figure("MiB for an extension of a chunk of 64 MiB", "<= 32", paid.rss / MIB)
    assert not wrong, wrong
    assert not unsaid
    assert verdict.spurious == ["a", "a" * 100]  # the last is as large as allowed
    assert paid.rss <= 32 * MIB
    assert not verdict.missing
    assert canary.statuses.keys() == {200}
