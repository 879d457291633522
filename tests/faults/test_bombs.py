"""T41: what is small on the wire and huge when it is unpacked.

There is no input that unpacks snappy and none for Fluentd's forward protocol: neither can be sent here (see README.md).
"""

from __future__ import annotations

import gzip
import time
import zlib
from itertools import pairwise

import pytest

from tests.faults.bench.abuse import MIB, cost, percentile, post, spare, stalls
from tests.faults.bench.clients import HttpClient
from tests.faults.bench.configs import http, log_to
from tests.faults.bench.destination import Destination
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
GIB = 1024 * MIB


def texts(server: Destination) -> set[str]:
    return {event["message"][:50] for event in server.taken}


def deflated(size: int, what: bytes = b"\0") -> bytes:
    """So many equal bytes as bare DEFLATE, of pieces that know nothing of each other; a thousandth of the size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(what * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * (size // MIB) + b"\x03\x00"


def gzipped(size: int, what: bytes = b"\0", end: bytes = b"") -> bytes:
    """The same as gzip; whole only with `end`, its checksum and size."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + deflated(size, what) + end


def zstd(window: int, size: int) -> bytes:
    """A frame (RFC 8878) with a window of 2**window bytes, all of it blocks that say one byte 131,072 times."""
    blocks = size // 131_072
    block = (131_072 << 3 | 1 << 1).to_bytes(3, "little") + b"a"
    last = (131_072 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"a"
    return b"\x28\xb5\x2f\xfd\x00" + bytes([window - 10 << 3]) + block * (blocks - 1) + last


BOMBS = {
    "gzip of 1 GiB": ("gzip", gzipped(GIB), {413}),
    "gzip of gzip of 1 GiB": ("gzip", gzip.compress(gzipped(GIB)), {400}),  # one layer is taken off: no JSON
    "gzip, gzip": ("gzip, gzip", gzip.compress(gzipped(GIB)), {415}),
    "deflate of 1 GiB": ("deflate", deflated(GIB), {413}),
    "zlib of 1 GiB": ("deflate", b"\x78\x9c" + deflated(GIB), {413}),
    "zstd with a window of 2 GiB": ("zstd", zstd(31, GIB), {400, 413}),
    "zstd of 1 GiB": ("zstd", zstd(23, GIB), {413}),
    "400,000 empty gzip members": ("gzip", gzip.compress(b"") * 400_000, {413}),
    "400,000 empty zstd frames": ("zstd", (b"\x28\xb5\x2f\xfd\x00\x00" + b"\x01\0\0") * 400_000, {413}),
    "gzip that ends too early": ("gzip", gzip.compress(b'{"message":"a"}' * 9)[:-9], {400}),
}


def test_t41_posted(bench: Bench) -> None:
    """T41: a posted bomb is refused for at most 1 s of CPU and 32 MiB, brings no event, and others do not wait for it."""
    port = free_port()
    wrong: dict[str, int] = {}
    cpu: dict[str, float] = {}
    rss: dict[str, float] = {}
    with Destination() as server:
        inputs = {"web": {"type": "http", "listen": f"127.0.0.1:{port}"}}
        config = {"data_dir": "./data", "inputs": inputs, "outputs": {"out": http(server, batch={"wait": "20ms"})}}
        with bench.agent(config) as agent, HttpClient(bench.oracle, port, rate=100, batch=1) as canary:
            for name, (encoding, body, wanted) in BOMBS.items():
                more = canary.done + 10
                agent.wait_for(lambda more=more: canary.done > more, what=f"to serve others before {name}")  # type: ignore[misc]
                with cost(agent) as paid:
                    status = post(port, body, {"Content-Type": "application/json", "Content-Encoding": encoding})
                cpu[name], rss[name] = paid.cpu, paid.rss / MIB
                if status not in wanted:
                    wrong[name] = status
            late = stalls(agent)
            canary.stop()
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    bench.figure("bombs", "10", len(BOMBS))
    bench.figure("not refused as they should be", "0", len(wrong))
    bench.figure("seconds of CPU for the dearest", "<= 1", max(cpu.values()))
    bench.figure("MiB of memory for the dearest", "<= 32", max(rss.values()))
    bench.figure("stalls above 250 ms", "0", late)
    assert not wrong, wrong
    assert max(cpu.values()) <= 1, cpu
    assert max(rss.values()) <= 32, rss
    assert late <= spare()
    assert percentile(canary.latencies, 0.99) <= 0.5
    bench.oracle.verdict(server.taken).clean(floor=100)  # and nothing that nobody sent


def whole(size: int, what: bytes) -> bytes:
    """A whole gzip member."""
    crc = 0
    for _ in range(size // MIB):
        crc = zlib.crc32(what * MIB, crc)
    return gzipped(size, what, crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little"))


TAILED = {
    "a line of 1 GiB": lambda: whole(GIB, b"a"),
    "gzip of gzip of 1 GiB": lambda: gzip.compress(gzipped(GIB)),
    "200,000 empty members": lambda: gzip.compress(b"") * 200_000,
    "64 MiB of NULs between members": lambda: gzip.compress(b"a\n") + b"\0" * 64 * MIB,
}


@pytest.mark.parametrize("bomb", TAILED)
def test_t41_tailed(bench: Bench, bomb: str) -> None:
    """T41: a `.gz` file that is tailed is read to its end in at most 32 MiB and 2 s of CPU (nothing is refused here: who
    names a file wants it read), the line behind the bomb arrives, and a line of another file never waits longer than 1 s.
    """
    packed, log = bench.folder / "bomb.gz", bench.folder / "app.log"
    log.touch()
    with Destination() as server:
        config = log_to(server, batch={"wait": "20ms"})
        config["inputs"]["app"]["include"].append("./bomb.gz")
        with bench.agent(config) as agent, FileWriter(bench.oracle, log, rate=200) as writer:
            agent.wait_for(lambda: len(server.taken) > 50, what="to read")
            hidden = bench.folder / "hidden"
            hidden.write_bytes(TAILED[bomb]() + gzip.compress(b"\nthe line behind it\n"))
            began, first = time.monotonic(), len(server.requests) - 1
            with cost(agent) as paid:
                hidden.rename(packed)
                agent.wait_for(lambda: "the line behind it" in texts(server), 60, "to read on behind it")
            took, late = time.monotonic() - began, stalls(agent)
            writer.stop()
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    at = [request.at for request in server.requests[first:]]
    slowest = max(after - before for before, after in pairwise(at))
    extra = [event for event in server.taken if event.get("file", "").endswith(".gz")]
    largest = max(len(event["message"]) for event in extra)
    bench.figure("seconds until the line behind it", "-", took)
    bench.figure("seconds of CPU", "<= 2", paid.cpu)
    bench.figure("MiB of memory", "<= 32", paid.rss / MIB)
    bench.figure("stalls above 250 ms", "0", late)
    bench.figure("longest gap between two lines of the other file", "<= 1 s", slowest)
    assert paid.rss <= 32 * MIB
    assert paid.cpu <= 2
    assert late <= spare()
    assert slowest <= 1
    assert largest <= MIB + 200
    assert not bench.oracle.verdict(server.taken).missing
