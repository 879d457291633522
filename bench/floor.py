"""The bare floor: the same work with the C functions that Python already has, and nothing else.

    python -m bench.floor WORK.json

WORK is what `agents.Floor` writes: how lines are parsed, where they come from, where events go. It ends when its source does.

One thread, 64 KiB batches, each encoded at once; no pipeline, no positions, no buffers, no metrics. A row's figure
divided by its floor's says what all of these cost us.
"""

from __future__ import annotations

import http.client
import operator
import sys
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import orjson
from isal import igzip

from bench.floor_parse import PARSERS, Events
from bench.floor_read import reader

REQUEST = 1 << 20
ATTRIBUTES = b'{"host":"web01","file":"/var/log/app.log",'
RAW_ATTRIBUTES = b'{"timestamp":"2026-11-22T12:00:00.000000Z",' + ATTRIBUTES[1:]
POSTED_ATTRIBUTES = b'{"timestamp":"2026-11-22T12:00:00.000000Z","host":"web01","peer":"127.0.0.1",'
ACTION = b'{"create":{"_index":"logs-app"}}\n'
COMPARE = {"==": operator.eq, ">=": operator.ge, "<": operator.lt}

Encode = Callable[[Events], bytes]


def lines(prefix: bytes, events: Events) -> bytes:
    """JSON lines with the batch's attributes encoded once and spliced in front."""
    return prefix + (b"\n" + prefix).join([orjson.dumps(event)[1:] for event in events]) + b"\n"


@lru_cache(1024)
def second(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp())


def nanoseconds(text: str) -> str:
    return f"{second(text[:19])}{text[20:23]}000000"


def loki(events: Events) -> bytes:
    values = [[nanoseconds(event["ts"]), orjson.dumps(event).decode()] for event in events]
    return orjson.dumps({"streams": [{"stream": {"app": "x"}, "values": values}]})


class Target(Protocol):
    def put(self, events: Events) -> None: ...

    def end(self) -> None: ...


class Nothing:
    def put(self, events: Events) -> None:
        pass

    def end(self) -> None:
        pass


class Lines:
    """A file, a write a batch."""

    def __init__(self, path: str, prefix: bytes) -> None:
        self.file = Path(path).open("wb", buffering=0)
        self.prefix = prefix

    def put(self, events: Events) -> None:
        self.file.write(lines(self.prefix, events))

    def end(self) -> None:
        self.file.close()


class Posts:
    """Pieces, each encoded from one chunk while it is in the cache, joined into requests of about `size` bytes."""

    def __init__(self, port: int, path: str, form: str, encode: Encode, size: int, packed: bool) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.path = path
        self.headers = {"Content-Type": f"application/{form}"} | ({"Content-Encoding": "gzip"} if packed else {})
        self.encode = encode
        self.size = size
        self.packed = packed
        self.held: list[bytes] = []
        self.total = 0

    def put(self, events: Events) -> None:
        piece = self.encode(events)
        self.held.append(piece)
        self.total += len(piece)
        if self.total >= self.size:
            self.send()

    def send(self) -> None:
        body = b"".join(self.held)
        self.connection.request("POST", self.path, igzip.compress(body, 1) if self.packed else body, self.headers)
        self.connection.getresponse().read()
        self.held, self.total = [], 0

    def end(self) -> None:
        if self.held:
            self.send()


def opened(write: str, target: str, prefix: bytes) -> Target:
    to, _, packed = write.partition("-")
    if to == "nothing":
        return Nothing()
    if to == "file":
        return Lines(target, prefix)
    if to == "loki":
        return Posts(int(target), "/loki/api/v1/push", "json", loki, 1, bool(packed))
    if to == "es":
        prefix = ACTION + prefix
    path = "/_bulk" if to == "es" else "/"
    return Posts(int(target), path, "x-ndjson", lambda events: lines(prefix, events), REQUEST, bool(packed))


def main(parse_name: str, feed: str, source: str, routes: list[dict[str, Any]]) -> None:
    parse = PARSERS[parse_name]
    if feed == "file":
        prefix = RAW_ATTRIBUTES if parse_name in ("raw", "trace") else ATTRIBUTES
    else:
        prefix = POSTED_ATTRIBUTES if feed == "http" else b'{"peer":"127.0.0.1",'
    targets = [(opened(each["write"], each["target"], prefix), each["where"]) for each in routes]
    for data in reader(feed, parse_name, source):
        events = parse(data)
        for target, where in targets:
            if where is None:
                target.put(events)
                continue
            name, is_so, value = where["field"], COMPARE[where["op"]], where["value"]
            if chosen := [event for event in events if is_so(event[name], value)]:
                target.put(chosen)
    for target, _ in targets:
        target.end()


if __name__ == "__main__":
    work = orjson.loads(Path(sys.argv[1]).read_bytes())
    main(work["parse"], work["feed"], work["source"], work["routes"])
