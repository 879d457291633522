"""Whole lines become batches, each with the position that is safe once it is delivered.

That position is never behind something held: an unfinished line, a partial line of a container runtime, an
event that waits for its last line.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Protocol, Self

from shipper.batch import Attrs, Batch, Event
from shipper.batch import lines as lines_of
from shipper.files.multiline import Joiner, Joining
from shipper.files.naming import Naming
from shipper.files.reading import Count, Cut, Lines, not_counted
from shipper.files.streams import EventJoiner, Place
from shipper.text.ids import carried, put

Ready = tuple[Batch, Place]


class Decoder(Protocol):
    """A codec as it is used here. One with `stateful` also has `fresh`, `flush` and `unfinished`."""

    def decode(self, data: bytes) -> list[Event]: ...


class StatefulDecoder(Decoder, Protocol):
    """A codec that joins parts of lines."""

    unfinished: int
    """Bytes of the input taken and not given out."""

    def flush(self) -> list[Event]: ...

    def fresh(self) -> Self: ...


def own(codec: object) -> StatefulDecoder | None:
    """A codec of one's own for one stream, if it is one that joins parts of lines."""
    if codec is None or not getattr(codec, "stateful", False):
        return None
    fresh: StatefulDecoder = codec.fresh()  # type: ignore[attr-defined]
    return fresh


class Assembler:
    """One stream of lines on its way to batches.

    `attrs` gives what is true of a batch that is read now, `now` the monotonic time. A stateful codec must be
    this stream's own.
    """

    def __init__(
        self,
        lines: Lines,
        attrs: Callable[[], Attrs],
        now: Callable[[], float],
        *,
        codec: Decoder | None = None,
        stateful: StatefulDecoder | None = None,
        multiline: Joining | None = None,
        count: Count = not_counted,
    ) -> None:
        self.lines = lines
        self._attrs = attrs
        self._now = now
        self._codec = codec
        self._stateful = stateful
        self._timeout = float(multiline.timeout) if multiline else 0.0
        self._place: Place = (lines.at, lines.tail)
        self._naming: Naming | None = None
        self._joiner: Joiner | None = None
        self._events: EventJoiner | None = None
        self._touched = 0.0
        self._truncated = False  # the event that is held has a line that was truncated
        self._take = self._decoded if codec else self._plain
        if multiline is not None:

            def split() -> None:
                count("multiline_limits")

            def slow() -> None:
                count("regex_timeouts")

            if codec is None and stateful is None and lines.reading.delimiter == "\n":
                self._joiner = Joiner(multiline, split, slow)
                self._take = self._joined
            else:
                self._events = EventJoiner(multiline, split, slow)
                self._take = self._grouped
        elif stateful is not None:
            self._take = self._held

    def name(self, identity: str) -> None:
        """Give the events ids that begin so; the lines must be exact."""
        if self._naming is None:
            self._naming = Naming(identity, self.lines)

    def feed(self, data: bytes | memoryview) -> list[Ready]:
        """The batches that these bytes complete."""
        return [ready for cut in self.lines.feed(data) if (ready := self._take(cut)) is not None]

    def finish(self, unfinished: bool = False) -> list[Ready]:
        """Everything that is held; `unfinished` marks a last line that had no end."""
        out = []
        cuts = self.lines.finish()
        for cut in cuts:
            if self._naming is not None:
                self._naming.last = cut is cuts[-1]
            ready = self._take(cut)
            if ready is not None:
                out.append(ready)
        events = self._stateful.flush() if self._stateful else []
        if self._naming is not None:
            self._naming.flushed(events, torn=self._stateful is not None and bool(cuts or events))
        if self._events:
            place = (self.lines.at, self.lines.tail)
            events = [done for event in events for done in self._events.feed(event, place, 0)] + self._events.flush()
        if self._joiner and (message := self._joiner.flush()) is not None:
            events += self._named([self._message(message)])
        self._place = (self.lines.at, self.lines.tail)
        if events:
            out.append((Batch(events, attrs=self._attrs()), self._place))
        if unfinished and cuts and out:
            out[-1][0].events[-1]["unfinished"] = True
        return out

    @property
    def holding(self) -> bool:
        """Whether something was taken that no position covers yet."""
        return bool(self.lines.held or self.deadline is not None or (self._stateful and self._stateful.unfinished))

    @property
    def deadline(self) -> float | None:
        """When an event that waits for its last line has waited long enough, in monotonic time."""
        if self._joiner is not None:
            return self._touched + self._timeout if self._joiner.held is not None else None
        if self._events is not None and (touched := self._events.touched) is not None:
            return touched + self._timeout
        return None

    def overdue(self) -> list[Ready]:
        """The events that have waited for their last line long enough."""
        now, deadline = self._now(), self.deadline
        if deadline is None or now < deadline:
            return []
        if self._joiner is not None:
            message = self._joiner.flush()
            events = [] if message is None else self._named([self._message(message)])
            self._place = self._lines_place()
        else:
            assert self._events is not None
            events = self._events.flush(now - self._timeout)
            self._place = self._grouped_place(self._lines_place())
        return [(Batch(events, attrs=self._attrs()), self._place)] if events else []

    def _lines_place(self) -> Place:
        return self.lines.at, self.lines.before

    def _plain(self, cut: Cut) -> Ready:
        if cut.lines is None and not cut.truncated:
            ids = self._naming.ids(cut) if self._naming is not None else None
            return Batch(raw=cut.raw, attrs=self._attrs(), ids=ids), (cut.end, cut.mark)
        lines = [cut.raw] if cut.lines is None else cut.lines
        events: list[Event] = [{"message": line.decode("utf-8", "replace")} for line in lines]
        if self._naming is not None:
            put(events, self._naming.ids(cut))
        return self._batch(cut, events), (cut.end, cut.mark)

    def _decoded(self, cut: Cut) -> Ready | None:
        assert self._codec is not None
        decode, naming = self._codec.decode, self._naming
        if cut.lines is None and not cut.truncated and (naming is None or decode is lines_of):
            ids = naming.ids(cut) if naming is not None else None
            return Batch(raw=cut.raw, attrs=self._attrs(), decode=decode, ids=ids), (cut.end, cut.mark)
        events = self._decode(cut, self._codec)
        return (self._batch(cut, events), (cut.end, cut.mark)) if events else None

    def _held(self, cut: Cut) -> Ready | None:
        """By a codec that keeps parts: the position stays before the earliest part that is not whole."""
        codec = self._stateful
        assert codec is not None
        events = self._decode(cut, codec)
        if not codec.unfinished:
            self._place = (cut.end, cut.mark)
        elif codec.unfinished <= len(cut.raw) + 1:
            count = (cut.raw + b"\n")[-codec.unfinished :].count(b"\n")
            starts = self.lines.starts(cut)
            begin = starts[-min(count, len(starts))]  # with another delimiter a line may hold newlines
            self._place = (begin, self.lines.mark(cut, begin))
        return (self._batch(cut, events), self._place) if events else None

    def _joined(self, cut: Cut) -> Ready | None:
        joiner = self._joiner
        assert joiner is not None
        messages = joiner.feed(cut.raw.decode("utf-8", "replace"))
        events: list[Event] = [{"message": each} for each in messages]
        if messages and self._truncated:
            events[0] = self._message(messages[0])
        joiner.mark(events)
        if self._naming is not None:
            self._naming.fed(cut)
            self._naming.joined(events)
        held = joiner.lines
        if cut.truncated:  # one line, and the last of what was fed
            if held:
                self._truncated = True
            else:
                events[-1]["truncated"] = True
        if not held:
            self._place = (cut.end, cut.mark)
        else:
            self._touched = self._now()
            begin = self.lines.start_of_last(held, cut)
            if begin is not None:  # else it began in an earlier cut, and the position stays there
                self._place = (begin, self.lines.mark(cut, begin))
        return (Batch(events, attrs=self._attrs(), size=len(cut.raw)), self._place) if events else None

    def _named(self, events: list[Event]) -> list[Event]:
        """What the joiner held."""
        if self._joiner is not None:
            self._joiner.mark(events)
        if self._naming is not None:
            self._naming.joined(events)
        return events

    def _message(self, message: str) -> Event:
        """The event that was held, or would have been."""
        event: Event = {"message": message}
        if self._truncated:
            event["truncated"] = True
            self._truncated = False
        return event

    def _grouped(self, cut: Cut) -> Ready | None:
        joiner, codec = self._events, self._stateful or self._codec
        assert joiner is not None
        now = self._now()
        events: list[Event] = []
        lines = cut.raw.split(b"\n") if cut.lines is None else cut.lines
        starts = self.lines.starts(cut)
        if len(starts) != len(lines):  # broken characters: the whole cut has one place
            starts = [cut.start] * len(lines)
        ids = repeat(None) if self._naming is None else self._naming.ids(cut)
        for line, begin, text in zip(lines, starts, ids, strict=False):
            place = (begin, self.lines.mark(cut, begin))
            if self._stateful is not None and self._stateful.unfinished:
                place = self._started
            decoded: list[Event] = _text(line) if codec is None else codec.decode(line)
            self._started = place
            for event in carried(text, decoded):
                if cut.truncated:
                    event["truncated"] = True
                events += joiner.feed(event, place, now)
        self._place = self._grouped_place((cut.end, cut.mark))
        return (Batch(events, attrs=self._attrs(), size=len(cut.raw)), self._place) if events else None

    _started: Place = (0, b"")  # where the earliest part began that the codec holds

    def _grouped_place(self, end: Place) -> Place:
        assert self._events is not None
        places = [end]
        if self._stateful is not None and self._stateful.unfinished:
            places.append(self._started)
        if self._events.place is not None:
            places.append(self._events.place)
        return min(places, key=lambda place: place[0])

    def _decode(self, cut: Cut, codec: Decoder) -> list[Event]:
        if self._naming is not None:
            events = self._naming.decoded(cut, codec.decode, self._one_each(cut, codec))
        elif cut.lines is None:
            events = codec.decode(cut.raw)
        else:
            events = [event for line in cut.lines for event in codec.decode(line)]
        if cut.truncated:
            for event in events:
                event["truncated"] = True
        return events

    def _one_each(self, cut: Cut, codec: Decoder) -> list[Event] | None:
        """The events of a codec that makes at most one of each line; None where parts make that unclear, and nothing done."""
        if cut.lines is not None or not getattr(codec, "one_each", False):
            return None
        if self._stateful is None:
            return codec.decode(cut.raw)
        if self._stateful.unfinished:
            return None
        fresh = self._stateful.fresh()
        events = fresh.decode(cut.raw)
        return None if fresh.unfinished else events

    def _batch(self, cut: Cut, events: list[Event]) -> Batch:
        if cut.truncated and self._codec is None and self._stateful is None:
            for event in events:
                event["truncated"] = True
        return Batch(events, attrs=self._attrs(), size=len(cut.raw))


def _text(line: bytes) -> list[Event]:
    return [{"message": line.decode("utf-8", "replace")}]
