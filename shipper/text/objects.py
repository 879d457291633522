"""JSON objects, one a line, read a whole chunk at a time inside orjson (RFC 8259; NDJSON); what is none is reported."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
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
SUSPECT = re.compile(rb"\n(?:(?!\{)|(?<!\}\n))")
"""Where a line ends that does not end as an object, or one begins that does not begin as one. It begins with a newline, which
is looked for ten times as fast as one way or the other."""
FEW = 0.05
"""Of the lines of the last chunk may have failed; with more, looking for what is odd takes longer than it saves."""
_BETWEEN = f',"{_MARK}",\n'.encode()


class Objects:
    """`decode_objects` with a memory: behind a chunk in which a line failed, trying all at once is a waste of time.

    Then what is between lines that do not even look like objects is tried, so one line in a hundred that is no JSON
    costs a quarter more, not twice as much.
    """

    __slots__ = ("_failing",)

    def __init__(self) -> None:
        self._failing = 0.0  # of the lines of the last chunk

    def __call__(self, data: bytes, fail: Fail) -> list[Event]:
        if not self._failing and (events := together(data)) is not None:
            return events
        if self._failing <= FEW:
            events, failed = _around(data, fail)
        else:
            events, failed = _one_by_one(data.split(b"\n"), fail)
        self._failing = failed / len(events)
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


def _around(data: bytes, fail: Fail) -> tuple[list[Event], int]:
    """All together but for lines that look odd; and how many are no objects."""
    events: list[Event] = []
    failed = 0
    for some, odd in _stretches(data):
        found, lost = None if odd else together(some), 0
        if found is None:
            found, lost = _one_by_one(some.split(b"\n"), partial(_behind, len(events), fail))
        events += found
        failed += lost
    return events, failed


def _stretches(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """The lines in stretches, and whether a stretch is those on both sides of something odd."""
    framed = b"".join((b"}\n", data, b"\n{"))
    begin, end = 2, len(framed) - 2
    for found in SUSPECT.finditer(framed):
        at = found.start()
        before, behind = framed.rfind(b"\n", 1, at) + 1, framed.find(b"\n", at + 1, end)
        behind = behind if behind >= 0 else end
        if before > begin:
            yield framed[begin : before - 1], False
            begin = before
        if begin <= behind:
            yield framed[begin:behind], True
            begin = behind + 1
    if begin <= end:
        yield framed[begin:end], False


def _behind(at: int, fail: Fail, index: int, line: bytes, why: str) -> Event:
    return fail(at + index, line, why)


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
