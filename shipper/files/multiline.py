"""Lines that belong together become one event, before anything else looks at them.

A `Grouper` says where in a text events begin; a `Joiner` keeps the last one until it is complete. Both see
whole chunks of text; newlines stay in the messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, ClassVar, Protocol

from shipper.files.traces import Traces
from shipper.options import Duration, Group, Meta, Size
from shipper.text.patterns import LONGEST


class Grouper(Protocol):
    """Follows one stream of lines."""

    @property
    def open(self) -> bool:
        """Whether the next line may belong to the one before."""

    def begins(self, text: str) -> list[int]:
        """Where in the text events begin."""

    def close(self) -> None:
        """What follows belongs to nothing before it."""


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

_LOOKS_BEYOND = re.compile(r"\(\?<?[=!]|\\[AZ]|\(\?\(|\(\?[a-zA-Z]*-")
"""Constructs that see the neighbours of a line when they are searched for in the whole text."""


class Patterned:
    """Events begin at the lines in which a pattern is found (in their first 64 KiB), or at all others."""

    open: ClassVar[bool] = True

    def __init__(self, pattern: re.Pattern[str], starts: bool) -> None:
        self._search = pattern.search
        self._starts = starts
        self._whole: re.Pattern[str] | None = None
        anchored = pattern.pattern.startswith("^") and "|" not in pattern.pattern
        if anchored and not _LOOKS_BEYOND.search(pattern.pattern):
            self._whole = re.compile(pattern.pattern, pattern.flags | re.MULTILINE)

    def close(self) -> None:
        """Nothing is remembered between lines."""

    def begins(self, text: str) -> list[int]:
        bounded = len(text) <= LONGEST or max(map(len, text.split("\n"))) <= LONGEST
        if self._whole is not None and bounded:
            found = []
            for match in self._whole.finditer(text):
                if match.end() > match.start() and "\n" in match[0]:
                    break  # it ran over the end of a line, as `\s+` does: no whole-text search for this one
                found.append(match.start())
            else:
                return found if self._starts else self._others(text, found)
        found, at, search = [], 0, self._search
        for line in text.split("\n"):
            if (search(line, 0, LONGEST) is not None) is self._starts:
                found.append(at)
            at += len(line) + 1
        return found

    @staticmethod
    def _others(text: str, found: list[int]) -> list[int]:
        belongs = set(found)
        starts = [0, *(match.end() for match in re.finditer("\n", text))]
        return [start for start in starts if start not in belongs]


class Joiner:
    """Keeps the last event of one stream until it is complete; bounded in lines and bytes."""

    def __init__(self, options: Joining, split: Callable[[], None] = lambda: None) -> None:
        self._options = options
        self._grouper = options.grouper()
        self._split = split
        self.held: str | None = None

    @property
    def lines(self) -> int:
        """Lines that are held: the last ones that were fed."""
        return 0 if self.held is None else self.held.count("\n") + 1

    def feed(self, text: str) -> list[str]:
        """The messages that these lines complete."""
        begins = self._grouper.begins(text)
        if self.held is not None:
            # what is held goes on in front: the joined text begins with it, and it begins an event
            shift = len(self.held) + 1
            text = f"{self.held}\n{text}"
            begins = [0, *(at + shift for at in begins)]
        elif not begins or begins[0]:
            begins = [0, *begins]
        messages = [text[begin : end - 1] for begin, end in pairwise(begins)]
        last = text[begins[-1] :]
        messages = self._bounded(messages)
        *more, last = self._bounded([last])
        messages += more
        if self._grouper.open:
            self.held = last
        else:
            messages.append(last)
            self.held = None
        return messages

    def flush(self) -> str | None:
        """What is held, because nothing more is to come."""
        held, self.held = self.held, None
        self._grouper.close()
        return held

    def _bounded(self, messages: list[str]) -> list[str]:
        most, size = self._options.max_lines, self._options.max_bytes
        if all(len(each) * 4 <= size and each.count("\n") < most for each in messages):
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
