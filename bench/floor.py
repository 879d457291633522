"""The bare floor: the same work with the C functions that Python already has, and nothing else.

    python bench/floor.py PARSE WRITE SOURCE TARGET

PARSE is raw, regex, json, redact or syslog; WRITE is nothing, file, or http, es, loki (`-gzip` packs the requests).
SOURCE is a file, or `tcp:PORT` to listen for one connection; TARGET a file, or the port of a server on loopback.

One thread, 64 KiB batches, each encoded at once; no pipeline, no positions, no buffers, no metrics. A row's figure
divided by its floor's says what all of these cost us.
"""

from __future__ import annotations

import http.client
import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from isal import igzip

Events = list[dict[str, Any]]

CHUNK = 64 * 1024
REQUEST = 1 << 20
ATTRIBUTES = b'{"host":"web01","file":"/var/log/app.log",'
RAW_ATTRIBUTES = b'{"timestamp":"2026-11-22T12:00:00.000000Z",' + ATTRIBUTES[1:]
ACTION = b'{"create":{"_index":"logs-app"}}\n'
COMBINED = re.compile(
    r'^(\S+) \S+ (\S+) \[([^\]]*)\] "(\S+) (\S+) ([^"]*)" (\d+) (\S+) "([^"]*)" "([^"]*)"$', re.MULTILINE
)
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
CARD = re.compile(r"\b(?:\d[ -]?){15}\d\b")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTH = {name: f"{n:02}" for n, name in enumerate(MONTHS, 1)}
FACILITIES = [
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock"),
    *(f"local{n}" for n in range(8)),
]
SEVERITIES = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"]


def chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Whole lines, about 64 KiB at a time, without the last newline."""
    rest = b""
    while data := read(CHUNK):
        data = rest + data
        cut = data.rfind(b"\n") + 1
        rest = data[cut:]
        if cut:
            yield data[: cut - 1]


# parsing
def raw(data: bytes) -> Events:
    return [{"message": line} for line in data.decode(errors="replace").split("\n")]


def clf_time(text: str) -> str:
    """`20/Nov/2026:09:00:00 +0000` as RFC 3339."""
    return f"{text[7:11]}-{MONTH[text[3:6]]}-{text[:2]}T{text[12:20]}{text[21:24]}:{text[24:]}"


def regex(data: bytes) -> Events:
    return [
        {
            "remote_host": host,
            "user": user,
            "timestamp": clf_time(time),
            "method": method,
            "path": path,
            "protocol": protocol,
            "status": int(status),
            "bytes": int(size) if size != "-" else 0,
            "referer": referer,
            "agent": agent,
        }
        for host, user, time, method, path, protocol, status, size, referer, agent in COMBINED.findall(
            data.decode(errors="replace")
        )
    ]


def json(data: bytes) -> Events:
    events: Events = orjson.loads(b"[" + data.replace(b"\n", b",") + b"]")
    return events


def redact(data: bytes) -> Events:
    events = json(data)
    for event in events:
        message = event["msg"]
        if "@" in message:
            event["msg"] = message = EMAIL.sub("[email]", message)
        if CARD.search(message):
            event["msg"] = CARD.sub("[credit_card]", message)
    return events


def syslog(data: bytes) -> Events:
    events = []
    for line in data.decode(errors="replace").split("\n"):
        head, time, host, app, pid, msgid, rest = line.split(" ", 6)
        priority = int(head[1 : head.index(">")])
        structured, _, message = rest.partition("] ") if rest[0] == "[" else ("", "", rest[2:])
        events.append(
            {
                "facility": FACILITIES[priority >> 3],
                "severity": SEVERITIES[priority & 7],
                "timestamp": time,
                "host": host,
                "app": app,
                "pid": pid,
                "msgid": msgid,
                "structured_data": structured,
                "message": message,
            }
        )
    return events


# encoding
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


# writing
def requests(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Pieces, each encoded from one chunk while it is in the cache, joined into requests of about `size` bytes."""
    held: list[bytes] = []
    total = 0
    for piece in pieces:
        held.append(piece)
        total += len(piece)
        if total >= size:
            yield b"".join(held)
            held, total = [], 0
    if held:
        yield b"".join(held)


def post(port: int, path: str, headers: dict[str, str]) -> Callable[[bytes], None]:
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def send(body: bytes) -> None:
        connection.request("POST", path, body, headers)
        connection.getresponse().read()

    return send


def reader(source: str) -> Callable[[int], bytes]:
    if source.startswith("tcp:"):
        connection, _ = socket.create_server(("127.0.0.1", int(source[4:]))).accept()
        return connection.recv
    return Path(source).open("rb", buffering=0).read


def main(parse_name: str, write_name: str, source: str, target: str) -> None:
    parse = {"raw": raw, "regex": regex, "json": json, "redact": redact, "syslog": syslog}[parse_name]
    prefix = RAW_ATTRIBUTES if parse is raw else ATTRIBUTES
    to, _, packed = write_name.partition("-")
    read = reader(source)
    if to == "nothing":
        for data in chunks(read):
            parse(data)
    elif to == "file":
        with Path(target).open("wb", buffering=0) as file:
            for data in chunks(read):
                file.write(lines(prefix, parse(data)))
    else:
        path, form = {
            "http": ("/", "x-ndjson"),
            "es": ("/_bulk", "x-ndjson"),
            "loki": ("/loki/api/v1/push", "json"),
        }[to]
        headers = {"Content-Type": f"application/{form}"}
        if packed:
            headers["Content-Encoding"] = "gzip"
        send = post(int(target), path, headers)
        prefix = ACTION + prefix if to == "es" else prefix
        encode = loki if to == "loki" else lambda events: lines(prefix, events)
        pieces = (encode(parse(data)) for data in chunks(read))
        for body in requests(pieces, 1 if to == "loki" else REQUEST):
            send(igzip.compress(body, 1) if packed else body)


if __name__ == "__main__":
    main(*sys.argv[1:])
