"""Lines that belong together become one event, before anything else looks at them.

A `Grouper` says where in a text events begin; a `Joiner` keeps the last one until it is complete. Both see
whole chunks of text; newlines stay in the messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import compress
from typing import Annotated, ClassVar, Protocol

from shipper.batch import Event
from shipper.files.patterned import Patterned
from shipper.files.traces import Traces
from shipper.options import Duration, Group, Meta, Size


class Grouper(Protocol):
    """Follows one stream of lines."""

    @property
    def open(self) -> bool:
        """Whether the next line may belong to the one before."""

    def begins(self, text: str) -> list[int]:
        """Where in the text events begin."""

    def cut(self, text: str) -> list[str]:
        """The events that begin in the text; first what goes on before: empty, or lines with their newline in front."""

    def close(self) -> None:
        """What follows belongs to nothing before it."""

    def slow(self) -> dict[str, str]:
        """Lines since the last call on which a pattern took too long, and why; each begins an event."""


class Joining(Group):
    """What all ways of joining lines have in common."""

    timeout: Annotated[Duration, Meta(gt=0, description="How long after its last line an event waits for more.")] = (
        Duration(1)
    )
    max_lines: Annotated[int, Meta(ge=1, description="Lines in an event; what is more goes on as another event.")] = 500
    max_bytes: Annotated[Size, Meta(ge=1, description="Bytes in an event; what is more goes on as another event.")] = (
        Size(2**20)
    )

    def grouper(self) -> Grouper:
        raise NotImplementedError


class Start(Joining):
    """A line in which the pattern is found begins an event."""

    tag: ClassVar[str] = "start"
    pattern: Annotated[re.Pattern[str], Meta(description="Found in the first line of each event.")]

    def grouper(self) -> Grouper:
        return Patterned(self.pattern, starts=True)


class Continuation(Joining):
    """A line in which the pattern is found belongs to the one before."""

    tag: ClassVar[str] = "continuation"
    pattern: Annotated[re.Pattern[str], Meta(description="Found in each line but the first of an event.")]
    negate: Annotated[bool, Meta(description="Lines in which it is not found belong to the one before.")] = False

    def grouper(self) -> Grouper:
        return Patterned(self.pattern, starts=self.negate)


class Python(Joining):
    """Tracebacks of Python, chained ones and groups included."""

    tag: ClassVar[str] = "python"

    def grouper(self) -> Grouper:
        return Traces("python")


class Java(Joining):
    """Stack traces of Java, Kotlin, Scala and C#."""

    tag: ClassVar[str] = "java"

    def grouper(self) -> Grouper:
        return Traces("java")


class Go(Joining):
    """Panics of Go with their goroutines."""

    tag: ClassVar[str] = "go"

    def grouper(self) -> Grouper:
        return Traces("go")


class Node(Joining):
    """Stack traces of Node.js and other V8 programs."""

    tag: ClassVar[str] = "node"

    def grouper(self) -> Grouper:
        return Traces("node")


class Ruby(Joining):
    """Backtraces of Ruby and Rails."""

    tag: ClassVar[str] = "ruby"

    def grouper(self) -> Grouper:
        return Traces("ruby")


class Auto(Joining):
    """Stack traces of any of these languages."""

    tag: ClassVar[str] = "auto"

    def grouper(self) -> Grouper:
        return Traces("python", "go", "node", "ruby")  # whatever is one of Java is one of Node.js


Multiline = Start | Continuation | Python | Java | Go | Node | Ruby | Auto
"""The option: `multiline: python`, or `{type: start, pattern: '^\\d{4}-'}`."""

ERROR = "shipper_error"


class Joiner:
    """Keeps the last event of one stream until it is complete; bounded in lines and bytes."""

    def __init__(
        self, options: Joining, split: Callable[[], None] = lambda: None, slow: Callable[[], None] = lambda: None
    ) -> None:
        self._options = options
        self._grouper = options.grouper()
        self._split = split
        self._count_slow = slow
        self._slow: dict[str, str] = {}
        self.held: str | None = None

    @property
    def lines(self) -> int:
        """Lines that are held: the last ones that were fed."""
        return 0 if self.held is None else self.held.count("\n") + 1

    def feed(self, text: str) -> list[str]:
        """The messages that these lines complete."""
        before, *messages = self._grouper.cut(text)
        if slow := self._grouper.slow():
            self._slow.update(slow)
        if self.held is not None:  # it began an event, and goes on, or is complete
            messages.insert(0, self.held + before)
        elif before:  # nothing was held: these lines are an event of their own
            messages.insert(0, before[1:])
        messages = self._bounded(messages)
        last = messages.pop()
        if self._grouper.open:
            self.held = last
        else:
            messages.append(last)
            self.held = None
        return messages

    def mark(self, events: list[Event]) -> None:
        """Mark the events that begin with a line on which the pattern took too long."""
        if not self._slow:
            return
        for event in events:
            if reason := self._slow.get(event["message"].partition("\n")[0]):
                event[ERROR] = f"multiline: {reason}"
                self._count_slow()
        held = self.held.partition("\n")[0] if self.held is not None else None
        self._slow = {line: reason for line, reason in self._slow.items() if line == held}

    def flush(self) -> str | None:
        """What is held, because nothing more is to come."""
        held, self.held = self.held, None
        self._grouper.close()
        return held

    def _bounded(self, messages: list[str]) -> list[str]:
        most, size = self._options.max_lines, self._options.max_bytes
        if max(map(len, messages)) * 4 <= size:
            # what has fewer characters than that has fewer lines, too
            long = compress(messages, map(most.__le__, map(len, messages)))
            if all(each.count("\n") < most for each in long):
                return messages
        return [part for message in messages for part in self._parts(message, most, size)]

    def _parts(self, message: str, most: int, size: int) -> list[str]:
        """One event as several, none with too many lines or bytes unless one line alone has."""
        parts: list[str] = []
        part: list[str] = []
        used = 0
        for line in message.split("\n"):
            length = len(line.encode("utf-8", "replace")) + 1
            if part and (len(part) == most or used + length - 1 > size):
                parts.append("\n".join(part))
                part, used = [], 0
                self._split()
            part.append(line)
            used += length
        return [*parts, "\n".join(part)]
