"""What flows: events in batches on their way in, encoded pieces on their way out.

A batch is a list of events from one origin with what is true of all of them held once. A piece is one
batch as one destination wants it. Returning is the acknowledgement: the future that `send` gives is done
when the batch is safe (delivered, dead-lettered, or on disk).
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType
from typing import Any, Protocol

Event = dict[str, Any]
Attrs = Mapping[str, Any]
Decode = Callable[[bytes], list[Event]]

ID = "_shipper_id"
"""An own field of each event while some output wants ids (`id: auto`): it comes along through filters and dead letters,
and is taken out before anything is written."""

NO_ATTRS: Attrs = MappingProxyType({})


def lines(raw: bytes) -> list[Event]:
    """One event a line: `message`, as text; bytes that are not UTF-8 become U+FFFD."""
    return [{"message": line} for line in raw.decode("utf-8", "replace").split("\n")]


class Batch:
    """Events from one read, and what is true of all of them.

    `raw` is the chunk of whole lines as it was read (UTF-8, separated by newlines, none at the end) while
    nobody has touched the events; `decode` makes the events from it when somebody does. `attrs` are shared:
    replace them, never change them. `size` is what the batch counts in bytes of log. `ids` are the ids of the events
    in `raw`, one each in order, where somebody wants them; they go into the events when these are made. `written` is
    what an output made of it, for the next one: JSON lines and how many; gone when the batch gets other events.
    """

    __slots__ = ("_attrs", "_count", "_events", "_raw", "decode", "ids", "size", "written")

    def __init__(
        self,
        events: list[Event] | None = None,
        *,
        raw: bytes | None = None,
        attrs: Attrs = NO_ATTRS,
        decode: Decode = lines,
        size: int = 0,
        ids: Sequence[str] | None = None,
    ) -> None:
        self._raw = raw if events is None else None
        self._events = events if events is not None or raw is not None else []
        self._count = 0  # of the lines in `raw`, once somebody asked
        self._attrs = attrs
        self.written: tuple[bytes, int] | None = None
        self.decode = decode
        self.size = size or (len(raw) if raw is not None else 256 * len(self._events or ()))
        self.ids = ids

    @property
    def attrs(self) -> Attrs:
        return self._attrs

    @attrs.setter
    def attrs(self, attrs: Attrs) -> None:
        self._attrs = attrs
        self.written = None

    @property
    def raw(self) -> bytes | None:
        return self._raw

    @property
    def events(self) -> list[Event]:
        if self._events is None:
            assert self._raw is not None
            self._events = self.decode(self._raw)
            self._raw = None
            if self.ids is not None:
                self.label(self.ids)
        return self._events

    @events.setter
    def events(self, events: list[Event]) -> None:
        self._events, self._raw, self.written = events, None, None
        if self.ids is not None:  # made of the lines themselves, one of each
            self.label(self.ids)

    def label(self, ids: Sequence[str]) -> None:
        """Give the events their ids, one each in order; lines that nobody touched get theirs when they are made."""
        if self._events is None:
            self.ids = ids
            return
        self.ids = None
        if len(ids) == len(self._events):
            for event, text in zip(self._events, ids, strict=True):
                event[ID] = text

    @property
    def is_lines(self) -> bool:
        """Whether `raw` is still there and means one `message` a line."""
        return self._raw is not None and self.decode is lines

    def __len__(self) -> int:
        """How many events it holds; lines are counted without being decoded."""
        if self._raw is not None and self.decode is lines:
            if not self._count:
                # what `count` says, in a fifth of its time: it looks at every byte by itself before 3.12
                self._count = len(self._raw) - len(self._raw.replace(b"\n", b"")) + 1
            return self._count
        return len(self.events)

    def __bool__(self) -> bool:
        return bool(self._events) if self._events is not None else len(self) > 0

    def has(self, key: str) -> bool:
        """Whether any event carries this top-level field of its own, over the attributes."""
        if self._raw is not None and self.decode is lines:
            return key == "message"
        return True in map(dict.__contains__, self.events, repeat(key))

    def with_events(self, events: list[Event]) -> Batch:
        """Some of these events (or others) under the same attributes; its size is its share."""
        share = self.size * len(events) // max(len(self), 1)
        return Batch(events, attrs=self.attrs, size=max(share, 1))

    def share(self) -> Batch:
        """A batch with the same events, which nobody may change; its attributes, and which events are in it, are its own."""
        if self._raw is not None:
            return self.copy()
        return Batch(self.events, attrs=self.attrs, size=self.size)

    def copy(self) -> Batch:
        """A batch that can be changed without this one noticing; free while nobody looked into it."""
        if self._raw is not None:
            return Batch(raw=self._raw, attrs=self.attrs, decode=self.decode, size=self.size, ids=self.ids)
        return Batch([copied(event) for event in self.events], attrs=self.attrs, size=self.size)

    def __repr__(self) -> str:
        held = "raw" if self._raw is not None else "events"
        return f"Batch({len(self)} {held}, {self.size} bytes, attrs={dict(self.attrs)})"


DEEP = 200


def copied(value: Any, depth: int = 0) -> Any:
    """Mappings and lists copied all the way down; what lies deeper than 200 levels, which no output writes, is shared."""
    if depth > DEEP:
        return value
    if type(value) is dict:
        return {key: copied(each, depth + 1) if type(each) in (dict, list) else each for key, each in value.items()}
    if type(value) is list:
        return [copied(each, depth + 1) if type(each) in (dict, list) else each for each in value]
    return value


def merged(event: Event, attrs: Attrs) -> Event:
    """The event with the batch's attributes under its own fields, as it will be encoded."""
    return {**attrs, **event} if attrs else event


@dataclass(frozen=True, slots=True)
class Piece:
    """One batch as one destination wants it."""

    body: bytes
    """Joinable with other pieces of the same key."""
    count: int
    """Events in it."""
    key: str = ""
    """Pieces with different keys never share a request (tenant, file, topic)."""


class Window(Protocol):
    """Speed and order for a pull input: many batches in flight, the delivered prefix committed in order."""

    async def submit(self, batch: Batch, position: Any) -> None:
        """Hand a batch over once there is room; `position` is committed when it and all before it are safe."""


class Send(Protocol):
    """The upstream arrow. It works when called; the future it returns is the delivery.

    Without a window it raises `Unavailable` when there is no room: a push input answers 503 and the like.
    """

    def __call__(self, batch: Batch, /) -> Future[None]: ...

    def window(self, commit: Callable[[Any], None]) -> Window:
        """A window in front of this arrow, kept by the runner until everything in it has been settled."""


Put = Callable[[Piece], "Future[None]"]
Write = Callable[[Sequence[Piece]], Awaitable[None]]
