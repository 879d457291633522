"""A cheap server for the HTTP scenarios: counts what arrives, keeps samples, answers as the real ones do.

    python -m bench.sink         prints its port

A process of its own, whose CPU is not counted. `/_bulk` answers an item a document as Elasticsearch does (only what
`filter_path` names), `/loki/api/v1/push` answers 204, any other path takes NDJSON. For whoever runs it:

    POST /reset     forget everything, be up
    POST /down      answer events with 503 from now on; POST /up: take them again
    GET /report     what arrived: {"http": {"events", "requests", "received", "samples"}, "es": ..., "loki": ..., "refused"}
    GET /marks      what was posted to /marked: {"marks": [...], "late": [...]}: the numbers behind `"mark":` or `"id":`,
                    one an event, and, taking them for nanoseconds of the monotonic clock, how long ago each was
"""

from __future__ import annotations

import asyncio
import re
import time
from array import array
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from isal import igzip

SAMPLES = 1000
LOKI_MARK = b'\\"id\\":'  # once in each line that the generator made, as it stands inside a JSON string
ABOUT = b'{"name":"sink","version":{"number":"8.15.0"},"tagline":"You Know, for Search"}'
ITEM = {"_index": "logs-app", "_id": "kD8f0pMB1xq0T0y2b9aC", "_version": 1, "result": "created", "status": 201}
MARK = re.compile(rb'"(?:mark|id)\\?": ?(\d+)')


@dataclass
class Kind:
    """What has come for one kind of destination."""

    events: int = 0
    requests: int = 0
    received: int = 0
    """Bytes of bodies, as they came."""
    samples: list[Any] = field(default_factory=list)
    """The first and the last event of some requests, decoded."""

    def keep(self, *lines: bytes | str) -> None:
        if len(self.samples) < SAMPLES:
            self.samples += [orjson.loads(line) for line in lines]


class Tally:
    """What has arrived since the last reset."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.http, self.es, self.loki = Kind(), Kind(), Kind()
        self.down = False
        self.refused = 0
        """Requests answered 503."""
        self.marks = array("q")
        self.late = array("q")

    def report(self) -> bytes:
        return orjson.dumps({"http": self.http, "es": self.es, "loki": self.loki, "refused": self.refused})

    def marked(self) -> bytes:
        return orjson.dumps({"marks": self.marks.tolist(), "late": self.late.tolist()})


@lru_cache
def bulk_answer(paths: str) -> tuple[bytes, bytes]:
    """The beginning of a bulk answer, and each item: what `filter_path` names of it, all when that is empty."""
    named = [path.split(".") for path in paths.split(",") if path]

    def shown(*path: str) -> bool:
        return not named or any(all(map(fnmatch, path, pattern)) for pattern in named)

    top = {key: value for key, value in (("took", 1), ("errors", False)) if shown(key)}
    item = {key: value for key, value in ITEM.items() if shown("items", "create", key)}
    return orjson.dumps(top)[:-1], orjson.dumps({"create": item}) if item else b""


def bulk(paths: str, count: int) -> bytes:
    top, item = bulk_answer(paths)
    if not item:
        return top + b"}"
    return top + (b"," if len(top) > 1 else b"") + b'"items":[' + b",".join([item] * count) + b"]}"


class Sink(asyncio.Protocol):
    """One connection: HTTP/1.1, keep-alive, bodies with a Content-Length."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.buffer = bytearray()
        self.needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= self.needed and (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            request, *rows = bytes(self.buffer[:end]).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
            self.needed = end + 4 + int(headers.get("content-length", 0))
            if "chunked" in headers.get("transfer-encoding", ""):
                self.answer(411, b"")
                self.transport.close()
                return
            if len(self.buffer) < self.needed:
                return
            body = bytes(self.buffer[end + 4 : self.needed])
            del self.buffer[: self.needed]
            self.needed = 0
            method, target, _ = request.split(" ")
            self.request(method, target, headers, body)

    def answer(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nX-Elastic-Product: Elasticsearch\r\n"
        length = f"Content-Length: {len(body)}\r\n" if status != 204 else ""
        self.transport.write(f"{head}{length}\r\n".encode() + body)

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        path, _, query = target.partition("?")
        tally = self.tally
        if method != "POST":
            pages = {"/report": tally.report, "/marks": tally.marked}
            self.answer(200, pages.get(path, lambda: ABOUT)())
            return
        if path in ("/reset", "/down", "/up"):
            if path == "/reset":
                tally.clear()
            tally.down = path == "/down"
            self.answer(200, b"")
            return
        if tally.down:
            tally.refused += 1
            self.answer(503, b"")
            return
        received = len(body)
        if headers.get("content-encoding") == "gzip":
            body = igzip.decompress(body)  # type: ignore[no-untyped-call]
        if path.endswith("/_bulk"):
            kind = tally.es
            count = body.count(b"\n") // 2
            kind.keep(body.split(b"\n", 2)[1], body.rstrip(b"\n").rpartition(b"\n")[2])
            filtered = dict(parse_qsl(query)).get("filter_path", "")
            self.answer(200, bulk(filtered, count))
        elif path.endswith("/loki/api/v1/push"):
            kind = tally.loki
            count = body.count(LOKI_MARK)
            if kind.requests % 64 == 0:  # decoding each would keep a core busy
                for stream in orjson.loads(body)["streams"]:
                    kind.keep(stream["values"][0][1], stream["values"][-1][1])
            self.answer(204, b"")
        else:
            kind = tally.http
            count = body.count(b"\n") + (not body.endswith(b"\n"))
            if path == "/marked":
                now = time.monotonic_ns()
                marks = [*map(int, MARK.findall(body))]
                tally.marks.extend(marks)
                tally.late.extend([now - mark for mark in marks])
            kind.keep(body.partition(b"\n")[0], body.rstrip(b"\n").rpartition(b"\n")[2])
            self.answer(200, b"")
        kind.requests += 1
        kind.received += received
        kind.events += count


async def main() -> None:
    tally = Tally()
    server = await asyncio.get_running_loop().create_server(lambda: Sink(tally), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
