"""JSON objects, one a line, read a whole chunk at a time inside orjson (RFC 8259; NDJSON); what is none is reported."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from shipper.batch import Event

__all__ = ["EMPTY", "Fail", "Objects", "together"]

Fail = Callable[[int, bytes, str], Event]
"""Called for a line that is no JSON object: its index, the line, and why; gives the event that takes its place.

Not quite in the order of the lines: among neighbours those that are no JSON come before those that are no object.
"""

# Lines joined by a comma alone can cross: `{"n":[3` and `4]}` are one object, and another line with two values
# makes the count right again. So a random string stands between any two lines. It can be at every second place
# of the result only if every line by itself is exactly one value; no line knows it, and it never leaves here.
_MARK = secrets.token_hex(6)
EMPTY = "empty line"
_BETWEEN = f',"{_MARK}",\n'.encode()


class Objects:
    """`decode_objects` with a memory: behind a chunk in which a line failed, each line is read by itself.

    Trying all at once again would most likely be for nothing. One by one costs a quarter more; to look for what is odd first, and to
    read what is between all at once, cost three quarters more.
    """

    __slots__ = ("_failing",)

    def __init__(self) -> None:
        self._failing = False  # whether a line of the last chunk did

    def __call__(self, data: bytes, fail: Fail) -> list[Event]:
        if not self._failing and (events := together(data)) is not None:
            return events
        events, failed = _one_by_one(data.split(b"\n"), fail)
        self._failing = failed > 0
        return events


def together(data: bytes) -> list[Event] | None:
    """The objects of all lines at once, or None when only each line by itself can tell."""
    text = data.replace(b"\n", _BETWEEN)
    between = (len(text) - len(data)) // (len(_BETWEEN) - 1)  # `count` would take a sixth of the whole time
    try:
        values: list[Any] = orjson.loads(b"".join((b"[", text, b"]")))
    except orjson.JSONDecodeError:
        return None
    if len(values) != 2 * between + 1 or values[1::2] != [_MARK] * between:
        return None
    events = values[::2]
    return events if set(map(type, events)) == {dict} else None


def _one_by_one(lines: Sequence[bytes], fail: Fail) -> tuple[list[Event], int]:
    """The slow twin of `together`: each line by itself; and how many are no objects."""
    events: list[Any] = []
    values = map(orjson.loads, lines)
    failed = 0
    while len(events) < len(lines):
        try:
            events.extend(values)  # what came before one that raises stays, and the next call goes on behind it
        except orjson.JSONDecodeError as error:
            at = len(events)
            events.append(fail(at, lines[at], error.msg.partition(":")[0] if lines[at].strip() else EMPTY))
            failed += 1
    if set(map(type, events)) != {dict}:
        for at, value in enumerate(events):
            if type(value) is not dict:
                events[at] = fail(at, lines[at], "not an object")
                failed += 1
    return events, failed
