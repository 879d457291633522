"""The bare floor's parsers: a chunk of whole lines (without its last newline) to events, by what Python has in C."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

Events = list[dict[str, Any]]

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
RECORD = re.compile(r"\n(?=\d{4}-)")
YEAR = datetime.now(UTC).year


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


def bsd_time(text: str) -> str:
    """`Nov 20 09:00:00` as RFC 3339; the year is that of the start."""
    return f"{YEAR}-{MONTH[text[:3]]}-{text[4:6].replace(' ', '0')}T{text[7:]}Z"


def bsd(data: bytes) -> Events:
    events = []
    for line in data.decode(errors="replace").split("\n"):
        head, _, rest = line.partition(">")
        priority = int(head[1:])
        host, tag, message = rest[16:].split(" ", 2)
        app, _, pid = tag.partition("[")
        events.append(
            {
                "facility": FACILITIES[priority >> 3],
                "severity": SEVERITIES[priority & 7],
                "timestamp": bsd_time(rest[:15]),
                "host": host,
                "app": app,
                "pid": pid[:-2],
                "message": message,
            }
        )
    return events


def trace(data: bytes) -> Events:
    return [{"message": record} for record in RECORD.split(data.decode(errors="replace"))]


def cri(data: bytes) -> Events:
    events: Events = []
    held: dict[str, str] = {}
    for line in data.decode(errors="replace").split("\n"):
        time, stream, tag, message = line.split(" ", 3)
        if tag == "P":
            held[stream] = held.get(stream, "") + message
            continue
        if held:
            message = held.pop(stream, "") + message
        events.append({"timestamp": time, "stream": stream, "message": message})
    return events


PARSERS: dict[str, Callable[[bytes], Events]] = {
    "raw": raw,
    "regex": regex,
    "json": json,
    "redact": redact,
    "syslog": syslog,
    "bsd": bsd,
    "trace": trace,
    "cri": cri,
}
