"""Apache's common and combined log formats, which nginx writes too.

https://httpd.apache.org/docs/2.4/logs.html#accesslog
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shipper.batch import Event
from shipper.text.formats.lines import Found, reader
from shipper.text.timestamps import Memo, clf

__all__ = ["APACHE", "parse_line", "parse_many"]

_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
LINE = re.compile(
    rf"([^ \n]+) [^ \n]+ ([^ \n]+) \[([^\]\n]*)\] {_QUOTED} (\d{{3}}) (\d{{1,19}}|-)"
    rf"(?: {_QUOTED} {_QUOTED}(?: {_QUOTED})?)?",
    re.ASCII | re.DOTALL,
)
STATUS = {str(status): status for status in range(1000) if status > 99}


def parse_line(text: str) -> Event | None:
    """The fields of one line; what is `-` or empty is left out, a request that is none is `request`.

    A third quoted field at the end, as nginx's `main` format has it, is `forwarded_for`.
    """
    found = LINE.fullmatch(text)
    if not found:
        return None
    host, user, at, request, status, size, referer, agent, forwarded = found.groups("")
    try:
        event: Event = {"timestamp": clf[at], "remote_host": host}
    except ValueError:
        return None
    event["user"] = user
    parts = request.split(" ")
    if len(parts) == 3 and "" not in parts:
        event["method"], event["path"], event["protocol"] = parts
    else:
        event["request"] = request
    event |= {"status": int(status), "bytes": size, "referer": referer, "agent": agent, "forwarded_for": forwarded}
    event = {name: value for name, value in event.items() if value not in ("-", "")}
    if "bytes" in event:
        event["bytes"] = int(size)
    return event


def _bracketed(text: str) -> str:
    """`[01/Aug/2026:00:00:00 +0000] `, with the space behind it."""
    if text[:1] != "[" or text[-2:] != "] ":
        raise ValueError(text)
    return clf[text[1:-2]]


_times = Memo(_bracketed)


def parse_many(lines: Sequence[str]) -> Found:
    """The same for each line of a chunk: by its quotes, and a line in which anything is unusual by `parse_line`."""
    found: Found = []
    add = found.append
    times = _times
    for line in lines:
        try:
            head, request, numbers, referer, between, agent, end = line.split('"')
            host, _, user, at = head.split(" ", 3)
            method, path, protocol = request.split(" ")
            before, code, size, after = numbers.split(" ")
            event: Event = {"timestamp": times[at], "remote_host": host}
            status = STATUS[code]
        except (ValueError, KeyError):
            add(parse_line(line))
            continue
        if (
            before
            or after
            or end
            or between != " "
            or "\\" in line
            or "-" in (host, path, protocol)
            or not (host and _ and user and method and path and protocol)
        ):
            add(parse_line(line))
            continue
        if user != "-":
            event["user"] = user
        if method != "-":
            event["method"] = method
        event["path"] = path
        event["protocol"] = protocol
        event["status"] = status
        if size != "-":
            if not size.isdecimal() or not size.isascii() or len(size) > 19:
                add(parse_line(line))
                continue
            event["bytes"] = int(size)
        if referer != "-" and referer:
            event["referer"] = referer
        if agent != "-" and agent:
            event["agent"] = agent
        add(event)
    return found


APACHE = reader(parse_line, parse_many)
