"""JSON objects (RFC 8259), one a line."""

from __future__ import annotations

from typing import cast

import orjson

from shipper.batch import Event
from shipper.text.formats.lines import Found, Parsed, Reader
from shipper.text.objects import Objects

__all__ = ["json_reader", "parse_line"]


def parse_line(text: str) -> Event | None:
    """The object that the text is, or None."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if type(value) is dict else None


def json_reader() -> Reader:
    """Reads the object of each line; all lines at once inside orjson."""
    objects = Objects()

    def data(raw: bytes) -> Parsed:
        failed: dict[int, str] = {}

        def fail(index: int, line: bytes, _why: str) -> Event:
            failed[index] = line.decode("utf-8", "replace")
            return {}

        found = cast(Found, objects(raw, fail))
        for index in failed:
            found[index] = None
        return found, failed

    def text(chunk: str) -> Found:
        return data(chunk.encode("utf-8", "surrogatepass"))[0]

    return Reader(parse_line, text, data)
