"""Ids of the events of one file: its own, and where in it the lines begin of which an event is made."""

from __future__ import annotations

from collections.abc import Callable

from shipper.batch import Event
from shipper.files.reading import Cut, Lines
from shipper.text.ids import carried, distinct, labels, put

__all__ = ["Naming"]


class Naming:
    """Names events by their places, which are the same however the file is cut into reads.

    An id is used again only for the very same lines. So it says how many lines were joined, and when a line had no end
    yet: these can be others when they are read again after a crash.
    """

    def __init__(self, identity: str, lines: Lines) -> None:
        self.identity = identity
        self.lines = lines
        self.last = False
        """The cut that is looked at has no end, for the file ends here."""
        self._starts: list[int] = []  # of lines that were fed to a joiner and not given out
        self._endless = 0  # bytes of the last of them, when it has no end
        self._torn = ""  # where parts were given out before their end came

    def starts(self, cut: Cut) -> list[int]:
        """Where each line of a cut begins."""
        found = self.lines.starts(cut)
        if self.lines.transcodes:
            count = cut.raw.count(b"\n") + 1 if cut.lines is None else len(cut.lines)
            if len(found) != count:  # broken characters: the whole cut has one place
                return [cut.start] * count
        return found

    def ids(self, cut: Cut) -> list[str]:
        """One for each line of a cut."""
        starts = self.starts(cut)
        ids = labels(self.identity, starts)
        if self.last:
            ids[-1] += f"_{cut.end - starts[-1]:x}"
        if self._torn:
            ids = [text + self._torn for text in ids]
        return distinct(ids) if self.lines.transcodes else ids

    def decoded(self, cut: Cut, decode: Callable[[bytes], list[Event]], at_once: list[Event] | None) -> list[Event]:
        """The events of a cut, named; `at_once` are those of a codec that makes one of each line, if it made as many."""
        ids = self.ids(cut)
        if at_once is not None and len(at_once) == len(ids):
            put(at_once, ids)
            return at_once
        lines = cut.raw.split(b"\n") if cut.lines is None else cut.lines
        return [event for line, text in zip(lines, ids, strict=True) for event in carried(text, decode(line))]

    def fed(self, cut: Cut) -> None:
        """These lines went to a joiner."""
        self._starts += self.starts(cut)
        self._endless = cut.end - self._starts[-1] if self.last else 0

    def joined(self, events: list[Event]) -> None:
        """Name what a joiner gave out, from the lines that each event was joined of."""
        at, ids = 0, []
        for event in events:
            lines = event["message"].count("\n") + 1
            ids.append(f"{self.identity}-{self._starts[at]:x}" + (f".{lines:x}" if lines > 1 else ""))
            at += lines
        if self._endless and ids and at == len(self._starts):
            ids[-1] += f"_{self._endless:x}"
            self._endless = 0
        del self._starts[:at]
        put(events, ids)

    def flushed(self, events: list[Event], torn: bool) -> None:
        """Name parts of lines that a codec gave out unfinished; `torn`: what is read whole later may be joined otherwise."""
        place = f"{self.lines.at:x}"
        put(events, distinct([f"{self.identity}-{place}.0{self._torn}"] * len(events)))
        self.last = False
        if torn:
            self._torn = f"+{place}"
