"""Lines that belong together, of events that a codec made: joined by their `stream`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shipper.batch import ID, Event
from shipper.files.multiline import ERROR, Grouper, Joining
from shipper.text.ids import unended

Place = tuple[int, bytes]
"""An offset in the input and the bytes before it."""


@dataclass(slots=True)
class _Group:
    event: Event
    parts: list[str]
    size: int
    place: Place
    touched: float
    endless: str = ""
    """What the id of its last part says when that had no end."""


class EventJoiner:
    """Joins the messages of decoded events, by stream."""

    def __init__(self, options: Joining, split: Callable[[], None], slow: Callable[[], None] = lambda: None) -> None:
        self._options = options
        self._split = split
        self._count_slow = slow
        self._groupers: dict[object, Grouper] = {}
        self._held: dict[object, _Group] = {}

    @property
    def place(self) -> Place | None:
        """Where the earliest event that is held begins."""
        return min((group.place for group in self._held.values()), default=None, key=lambda place: place[0])

    @property
    def touched(self) -> float | None:
        """When the stream that is quiet for longest had its last line."""
        return min((group.touched for group in self._held.values()), default=None)

    def feed(self, event: Event, place: Place, now: float) -> list[Event]:
        """The events that this one completes."""
        stream, message = event.get("stream"), event.get("message")
        if not isinstance(message, str):
            return [*self._end(stream), event]
        grouper = self._groupers.get(stream)
        if grouper is None:
            grouper = self._groupers[stream] = self._options.grouper()
        group, done = self._held.get(stream), []
        begins = grouper.begins(message)
        belongs = 0 not in begins
        if begins and (slow := grouper.slow()):
            event[ERROR] = f"multiline: {next(iter(slow.values()))}"
            self._count_slow()
        if group is not None and belongs:
            group.size += len(message.encode("utf-8", "replace")) + 1
            if group.size <= self._options.max_bytes and len(group.parts) < self._options.max_lines:
                group.parts.append(message)
                group.touched = now
                if ID in event:
                    group.endless = unended(event[ID])
                if event.get("truncated"):
                    group.event["truncated"] = True
                if not grouper.open:
                    done += self._end(stream)
                return done
            self._split()
        if group is not None:
            done += self._take(stream)
        if not grouper.open:
            return [*done, event]
        self._held[stream] = _Group(event, [message], len(message.encode("utf-8", "replace")), place, now)
        return done

    def flush(self, before: float = float("inf")) -> list[Event]:
        """What is held of the streams that had no line since `before`."""
        quiet = [stream for stream, group in self._held.items() if group.touched <= before]
        return [event for stream in quiet for event in self._end(stream)]

    def _end(self, stream: object) -> list[Event]:
        if stream in self._groupers:
            self._groupers[stream].close()
        return self._take(stream)

    def _take(self, stream: object) -> list[Event]:
        group = self._held.pop(stream, None)
        if group is None:
            return []
        group.event["message"] = "\n".join(group.parts)
        if len(group.parts) > 1 and ID in group.event:
            group.event[ID] += f".{len(group.parts):x}{group.endless}"
        return [group.event]
