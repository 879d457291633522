"""Parts of one line that a container runtime wrote as several, joined by stream."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from shipper.batch import Event

__all__ = ["Parts"]

STREAMS = 8
"""Streams that can have an unfinished line at a time; a container has two."""


@dataclass(slots=True)
class _Line:
    event: Event
    begin: int
    parts: list[str] = field(default_factory=list)
    size: int = 0
    cut: bool = False
    """It was given out, truncated; the rest of it is left out."""


class Parts:
    """Joins the `message` of parts by their `stream`; the event is that of the first part.

    `at` of a part is the offset where its line begins. A line that grows over `limit` bytes is given out at once,
    cut and marked `truncated`, and the rest of it is left out, so that one that never ends holds nothing up.
    """

    __slots__ = ("_limit", "_open")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, _Line] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def streams(self) -> Set[str]:
        """Those with an unfinished line."""
        return self._open.keys()

    @property
    def begin(self) -> int | None:
        """Where the earliest line begins of which something is held."""
        return min((line.begin for line in self._open.values() if not line.cut), default=None)

    def add(self, event: Event, *, last: bool, at: int) -> list[Event]:
        """Take a part; the events that are complete with it."""
        stream, message = event["stream"], event["message"]
        line = self._open.get(stream)
        if line is None:
            if last:
                return [event]
            given = self._give(next(iter(self._open))) if len(self._open) >= STREAMS else []
            line = self._open[stream] = _Line(event, at)
        else:
            given = []
        if not line.cut:
            line.parts.append(message)
            line.size += len(message.encode("utf-8", "replace"))
            if line.size > self._limit:
                given += self._cut(line)
        return given + self._give(stream) if last else given

    def flush(self) -> list[Event]:
        """What is held, as it is."""
        return [event for stream in list(self._open) for event in self._give(stream)]

    def _cut(self, line: _Line) -> list[Event]:
        line.cut = True
        text = "".join(line.parts).encode("utf-8", "replace")[: self._limit]
        line.parts.clear()
        line.event["message"] = text.decode("utf-8", "ignore")
        line.event["truncated"] = True
        return [line.event]

    def _give(self, stream: str) -> list[Event]:
        line = self._open.pop(stream)
        if line.cut:
            return []
        line.event["message"] = "".join(line.parts)
        return [line.event]
