"""JSON lines, both ways, a whole chunk at a time inside orjson (RFC 8259; NDJSON).

What the RFC does not allow (NaN, lone surrogates, broken UTF-8) is no object and is reported with its line;
integers beyond 64 bits become floats; of equal keys the last one wins. Written, `nan` and the infinities,
which no JSON line can bring but a plugin can, become null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import orjson

from shipper.batch import Attrs, Batch, Event, merged
from shipper.errors import Refused
from shipper.text.objects import EMPTY, Fail, Objects

__all__ = ["Objects", "decode_lines", "decode_objects", "encode_lines", "encode_texts", "written"]


def decode_lines(data: bytes, objects: Objects | None = None) -> list[Event]:
    """One event a line; one that is no object becomes a `message` marked with `shipper_error`, an empty one nothing.

    `objects` is what remembers from chunk to chunk whether lines failed.
    """
    empty: list[int] = []

    def keep(index: int, line: bytes, why: str) -> Event:
        if why == EMPTY:
            empty.append(index)
        return {"message": line.decode("utf-8", "replace"), "shipper_error": f"json: {why}"}

    events = (objects or Objects())(data.removesuffix(b"\n"), keep)
    if empty:
        skipped = frozenset(empty)
        return [event for index, event in enumerate(events) if index not in skipped]
    return events


def decode_objects(data: bytes, fail: Fail) -> list[Event]:
    """Exactly one event a line (separated by newlines, none at the end); `fail` gives those of lines that are none."""
    return Objects()(data, fail)


def written(value: Any) -> Any:
    """A value that was read as JSON, as text; one nested too deep to be written as it is, for an output to refuse alone."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return value


def encode_lines(
    batch: Batch, head: bytes = b"", *, timestamp_as: str = "timestamp"
) -> tuple[bytes, int, list[Refused]]:
    """One JSON line an event, `head` and the attributes in front of each: the lines, how many, and what cannot be JSON.

    An attribute that an event carries itself is left out there. `timestamp_as` is what a top-level `timestamp` is
    called. The batch is not changed. Types that orjson does not know are written as `str` gives them.

    Several outputs of a pipeline that write the same share it: the batch keeps what was made of it.
    """
    alike = not head and timestamp_as == "timestamp"
    if alike and (kept := batch.written) is not None:
        return *kept, []
    body, count, refused = _lines(batch, head, timestamp_as)
    if alike and not refused:
        batch.written = (body, count)
    return body, count, refused


def _lines(batch: Batch, head: bytes, timestamp_as: str) -> tuple[bytes, int, list[Refused]]:
    attrs = batch.attrs
    if batch.is_lines and batch.raw is not None:
        texts = batch.raw.decode("utf-8", "replace").split("\n")
        members = _members({name: attrs[name] for name in attrs if name != "message"}, timestamp_as)
        prefix = _prefix(head, members.values()) + b'"message":'
        return prefix + (b"}\n" + prefix).join(map(orjson.dumps, texts)) + b"}\n", len(texts), []
    prefix, tails, refused = _encoded(batch, head, timestamp_as)
    return prefix + (b"\n" + prefix).join(tails) + b"\n" if tails else b"", len(tails), refused


def encode_texts(batch: Batch) -> tuple[list[str], list[Refused]]:
    """The same lines as texts, for who needs each by itself: to join them first and split them again costs a third more."""
    if batch.is_lines:
        return encode_lines(batch)[0].decode().split("\n")[:-1], []
    prefix, tails, refused = _encoded(batch, b"", "timestamp")
    return [(prefix + tail).decode() for tail in tails], refused


def _encoded(batch: Batch, head: bytes, timestamp_as: str) -> tuple[bytes, list[bytes], list[Refused]]:
    """What all lines begin with, what follows in each, and the events that cannot be JSON."""
    events, attrs = batch.events, batch.attrs
    refused: list[Refused] = []
    try:
        tails = _tails(events, timestamp_as)
    except TypeError:
        events, tails, refused = _each_tail(events, attrs, timestamp_as)
    members = _members(attrs, timestamp_as)
    mixed = [name for name in members if _some(events, name, timestamp_as)]
    for name in [name for name in mixed if _all(events, name, timestamp_as)]:
        del members[name]
        mixed.remove(name)
    if not members or (not mixed and all(events)):
        return _prefix(head, members.values()), tails, refused
    return b"", _spliced(events, tails, head, members, mixed, timestamp_as=timestamp_as), refused


def _tails(events: Sequence[Event], timestamp_as: str) -> list[bytes]:
    """Each event's JSON without its opening brace. Raises TypeError when one of them cannot be JSON."""
    dumps = orjson.dumps
    if timestamp_as == "timestamp" or not _some(events, "timestamp"):
        return [dumps(event, str)[1:] for event in events]
    if _some(events, timestamp_as):
        return [dumps(_renamed(event, timestamp_as), str)[1:] for event in events]
    # where `timestamp` comes first, as parsers put it, its name is exchanged in the JSON; elsewhere in a copy
    opening, cut = dumps({timestamp_as: 0})[1:-2], len(b'{"timestamp":')
    return [
        opening + dumps(event, str)[cut:]
        if next(iter(event), None) == "timestamp"
        else dumps(_renamed(event, timestamp_as), str)[1:]
        for event in events
    ]


def _renamed(event: Event, timestamp_as: str) -> Event:
    if "timestamp" not in event:
        return event
    event = event.copy()
    event[timestamp_as] = event.pop("timestamp")
    return event


def _each_tail(
    events: Sequence[Event], attrs: Attrs, timestamp_as: str
) -> tuple[list[Event], list[bytes], list[Refused]]:
    """The slow twin of `_tails`, which finds those that cannot be JSON."""
    good: list[Event] = []
    tails: list[bytes] = []
    refused: list[Refused] = []
    for event in events:
        try:
            tails += _tails((event,), timestamp_as)
        except TypeError as error:
            refused.append(Refused(merged(event, attrs), f"json: {error}"))
        else:
            good.append(event)
    return good, tails, refused


_HOLDS = dict.__contains__  # 16 ns in `map`, `operator.contains` 24


def _some(events: Sequence[Event], name: str, timestamp_as: str = "timestamp") -> bool:
    """Whether any event will have this field of its own."""
    if name == timestamp_as != "timestamp" and True in map(_HOLDS, events, repeat("timestamp")):
        return True
    return True in map(_HOLDS, events, repeat(name))


def _all(events: Sequence[Event], name: str, timestamp_as: str) -> bool:
    if name == timestamp_as != "timestamp":
        return all("timestamp" in event or name in event for event in events)
    return False not in map(_HOLDS, events, repeat(name))


def _members(attrs: Attrs, timestamp_as: str) -> dict[str, bytes]:
    """The attributes under the names they will have, each as `"name":value`."""
    return {
        (timestamp_as if name == "timestamp" else name): _member(timestamp_as if name == "timestamp" else name, value)
        for name, value in attrs.items()
        if name != timestamp_as or name == "timestamp" or "timestamp" not in attrs
    }


def _member(name: str, value: Any) -> bytes:
    try:
        return orjson.dumps({name: value}, str)[1:-1]
    except TypeError:  # such as a path that is not UTF-8: no reason to refuse every line of that file
        return orjson.dumps({_clean(name): _clean(value)})[1:-1]


def _clean(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _prefix(head: bytes, members: Iterable[bytes]) -> bytes:
    return head + b"{" + b"".join([member + b"," for member in members])


def _spliced(
    events: Sequence[Event],
    tails: Sequence[bytes],
    head: bytes,
    members: dict[str, bytes],
    mixed: Sequence[str],
    *,
    timestamp_as: str,
) -> list[bytes]:
    """The lines of a batch in which some events carry some attributes themselves, or are empty."""
    prefixes: dict[tuple[bool, ...], bytes] = {}
    lines: list[bytes] = []
    for event, tail in zip(events, tails, strict=True):
        shape = (bool(event), *[_some((event,), name, timestamp_as) for name in mixed])
        prefix = prefixes.get(shape)
        if prefix is None:
            carried = {name for name, own in zip(mixed, shape[1:], strict=True) if own}
            prefix = _prefix(head, [member for name, member in members.items() if name not in carried])
            prefixes[shape] = prefix = prefix if event else prefix.removesuffix(b",")
        lines.append(prefix + tail)
    return lines
