"""Docker's `json-file` logs: `{"log":"text\\n","stream":"stdout","time":"..."}`, one a line.

https://docs.docker.com/engine/logging/drivers/json-file/
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, cast

from shipper.batch import Event
from shipper.text.formats import json
from shipper.text.formats.lines import Found, Parsed, Reader, with_gaps

__all__ = ["docker_reader", "groups", "parse_line", "taken"]

STREAM = itemgetter("stream")
GROUP = 16
"""Records that are read one by one when one of them is odd."""


def taken(record: Event) -> Event | None:
    """`timestamp stream message` of a record, its `attrs` where it has some; None when it is no such record."""
    message: Any = record.get("log")
    stream: Any = record.get("stream")
    if type(message) is not str or type(stream) is not str:
        return None
    event: Event = {}
    if "time" in record:
        event["timestamp"] = record["time"]
    event["stream"] = stream
    event["message"] = message.removesuffix("\n")
    if record.get("attrs"):
        event["attrs"] = record["attrs"]
    return event


def parse_line(text: str) -> Event | None:
    """`timestamp stream message` of one line; the newline at the end of the message is left out."""
    record = json.parse_line(text)
    return None if record is None else taken(record)


def plainly(records: Sequence[Event]) -> list[Event] | None:
    """What `taken` makes of records that have `log`, `stream` and `time` and nothing else, in half the time; None for others."""
    if set(map(len, records)) != {3}:
        return None
    try:
        "".join(map(STREAM, records))  # or one is no text
        return [
            {"timestamp": each["time"], "stream": each["stream"], "message": each["log"].removesuffix("\n")}
            for each in records
        ]
    except (KeyError, TypeError, AttributeError):
        return None


def groups(records: list[Event]) -> Found:
    """What `taken` makes of each; of all at once, or where some are odd, of a few."""
    made = plainly(records)
    if made is not None:
        return cast(Found, made)
    found: Found = []
    for at in range(0, len(records), GROUP):
        some = records[at : at + GROUP]
        found += plainly(some) or map(taken, some)
    return found


def docker_reader() -> Reader:
    """The same for each line of a chunk; all lines at once inside orjson."""
    objects = json.json_reader()

    def events(records: Found) -> Found:
        found = [record for record in records if record is not None]
        made = groups(found)
        if len(made) < len(records):
            with_gaps(made, [at for at, record in enumerate(records) if record is None])
        return made

    def text(chunk: str) -> Found:
        return events(objects.text(chunk))

    def data(raw: bytes) -> Parsed:
        found, unread = objects.data(raw)
        made = events(found)
        if not all(made):
            lines = raw.split(b"\n")
            unread = {at: lines[at].decode("utf-8", "replace") for at, event in enumerate(made) if event is None}
        return made, unread

    return Reader(parse_line, text, data)
