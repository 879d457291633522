"""A cheap server for the HTTP scenarios: counts what arrives, keeps samples, answers as the real ones do.

    python -m bench.sink         prints its port; GET /report, POST /reset

A process of its own, whose CPU is not counted. Any other path takes NDJSON, `/_bulk` answers an item a document as
Elasticsearch does (a short one when the request filters it), `/loki/api/v1/push` answers 204.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
from isal import igzip

SAMPLES = 1000
LOKI_MARK = b'\\"id\\":'  # once in each line that the generator made, as it stands inside a JSON string
ABOUT = b'{"name":"sink","version":{"number":"8.15.0"},"tagline":"You Know, for Search"}'
ITEM = b'{"create":{"_index":"logs-app","_id":"kD8f0pMB1xq0T0y2b9aC","_version":1,"result":"created","status":201}}'
SHORT = b'{"create":{"status":201}}'


@dataclass
class Tally:
    """What has arrived since the last reset."""

    events: int = 0
    requests: int = 0
    received: int = 0
    """Bytes of bodies, as they came."""
    samples: list[Any] = field(default_factory=list)
    """The first and the last event of some requests, decoded."""

    def clear(self) -> None:
        self.events = self.requests = self.received = 0
        self.samples.clear()

    def keep(self, *lines: bytes | str) -> None:
        if len(self.samples) < SAMPLES:
            self.samples += [orjson.loads(line) for line in lines]


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
            self.answer(200, orjson.dumps(tally) if path == "/report" else ABOUT)
            return
        if path == "/reset":
            tally.clear()
            self.answer(200, b"")
            return
        tally.requests += 1
        tally.received += len(body)
        if headers.get("content-encoding") == "gzip":
            body = igzip.decompress(body)  # type: ignore[no-untyped-call]
        if path.endswith("/_bulk"):
            count = body.count(b"\n") // 2
            tally.keep(body.split(b"\n", 2)[1], body.rstrip(b"\n").rpartition(b"\n")[2])
            items = b",".join([SHORT if "filter_path" in query else ITEM] * count)
            self.answer(200, b'{"took":1,"errors":false,"items":[' + items + b"]}")
        elif path.endswith("/loki/api/v1/push"):
            count = body.count(LOKI_MARK)
            if tally.requests % 64 == 1:  # decoding each would keep a core busy
                for stream in orjson.loads(body)["streams"]:
                    tally.keep(stream["values"][0][1], stream["values"][-1][1])
            self.answer(204, b"")
        else:
            count = body.count(b"\n") + (not body.endswith(b"\n"))
            tally.keep(body.partition(b"\n")[0], body.rstrip(b"\n").rpartition(b"\n")[2])
            self.answer(200, b"")
        tally.events += count


async def main() -> None:
    tally = Tally()
    server = await asyncio.get_running_loop().create_server(lambda: Sink(tally), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
