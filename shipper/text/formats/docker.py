"""Docker's `json-file` logs: `{"log":"text\\n","stream":"stdout","time":"..."}`, one a line.

https://docs.docker.com/engine/logging/drivers/json-file/
"""

from __future__ import annotations

from typing import Any, cast

from shipper.batch import Event
from shipper.text.formats import json
from shipper.text.formats.lines import Found, Parsed, Reader

__all__ = ["docker_reader", "parse_line", "taken"]


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


def docker_reader() -> Reader:
    """The same for each line of a chunk; all lines at once inside orjson."""
    objects = json.json_reader()

    def text(chunk: str) -> Found:
        return [None if record is None else taken(record) for record in objects.text(chunk)]

    def data(raw: bytes) -> Parsed:
        found = [each if isinstance(each, str) else taken(each) for each in objects.data(raw)]
        if None not in found:
            return cast(Parsed, found)
        lines = raw.decode("utf-8", "replace").split("\n")
        return [line if event is None else event for event, line in zip(found, lines, strict=True)]

    return Reader(parse_line, text, data)
