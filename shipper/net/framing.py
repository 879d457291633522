"""Syslog messages in a stream of bytes (RFC 6587): one a line, or counted, `MSG-LEN SP MSG`.

However the stream is cut into reads, the messages are the same. No more than one message of the allowed size is held.
"""

from __future__ import annotations

import re

__all__ = ["Cut", "Framer"]

LARGEST = 16 * 1024 * 1024
"""A length above this is no length: nobody waits for so many bytes."""

COUNT = re.compile(rb"\d{1,10} ")
COUNTED = re.compile(rb"[1-9]\d{0,9} <\d{1,3}>")
ODD = re.compile(rb"\n(?:\n|[1-9]\d{0,9} <\d{1,3}>)")  # three times as fast as `b"\n\n" in`
BEGUN = re.compile(rb"\d{1,10}\Z")
DIGITS = re.compile(rb"\d{1,20}( )?")
RESYNC = re.compile(rb"[\n\0]|(?<!\d)[1-9]\d{0,9} <\d{1,3}>")
BETWEEN = re.compile(rb"[\n\0]+")
TRAILER = b"\r\n\0"
TAIL = 16  # the longest `COUNTED`


class Cut(bytes):
    """A message of which only the beginning is there: too long, or its connection ended within it."""


class Framer:
    """The messages of one connection. `lines` first: where it gives None, `feed` does it, with all the care.

    - The first byte decides: a digit, and messages are counted; else each is a line. Single frames of the other kind
      are found too: where counts are usual any count or `<` begins a frame, elsewhere only a count before a priority.
    - Lines end with a newline or NUL. Trailing CR, LF and NUL belong to no message; empty messages are none.
    - What is longer than `limit` bytes is cut (`Cut`), the rest of it is skipped.
    - What cannot be the beginning of a frame is a message up to the next newline, or, where counts are usual, up to
      the next count before a priority.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._counting: bool | None = None
        self._skip = 0  # bytes left of a counted message that was cut
        self._skipping = False  # whether the end of a line that was cut is awaited
        self._resync = False  # whether a count may end this line
        self._scanned = 0  # bytes of this line that hold no end of it

    @property
    def pending(self) -> bool:
        """Whether a message has begun and not yet ended."""
        return bool(self._buffer or self._skip or self._skipping)

    def lines(self, data: bytes) -> bytes | None:
        """Whole lines joined by newlines, none at the end, when all is as usual; None, and nothing done, when it is not."""
        if self._counting or self._skip or self._skipping or b"\0" in data:
            return None
        end = data.rfind(b"\n")
        if end < 0 or data[end + 1 : end + 2].isdigit():  # what follows may be a whole counted message
            return None
        chunk = bytes(self._buffer) + data[:end] if self._buffer else data[:end]
        if not chunk or chunk[0] == 10 or chunk[-1] == 10 or b"\r" in chunk:
            return None
        if _longer(chunk, self.limit):
            return None
        if COUNTED.match(chunk) or ODD.search(chunk) or (self._counting is None and _counts(chunk)):
            return None
        self._counting = False
        self._buffer = bytearray(data[end + 1 :])
        self._scanned = 0
        return chunk

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now."""
        self._buffer += data
        found = self._run() if self._counting and not self._skip and not self._skipping and not self._scanned else []
        while (message := self._next()) is not None:
            if message:
                found.append(message)
        return found

    def _run(self) -> list[bytes]:
        """Counted messages one after another, as long as each is as usual; `_next` does the same in three times the time."""
        buffer = bytes(self._buffer)
        found: list[bytes] = []
        at, end, limit = 0, len(buffer), self.limit
        while True:
            space = buffer.find(b" ", at, at + 11)
            digits = buffer[at:space] if space > 0 else b""
            if not digits.isdigit() or (length := int(digits)) > limit:
                break
            stop = space + 1 + length
            if stop > end:
                break
            if message := buffer[space + 1 : stop].rstrip(TRAILER):
                found.append(message)
            at = stop
        del self._buffer[:at]
        return found

    def finish(self) -> list[bytes]:
        """The connection has ended: what is left, as lines; a single one is cut short if its count says so."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        if self._skip or self._skipping:
            return []
        count = COUNT.match(rest) if self._counting else COUNTED.match(rest) and COUNT.match(rest)
        body = rest[count.end() :] if count else rest
        parts = [part.rstrip(TRAILER) for part in body.replace(b"\0", b"\n").split(b"\n")]
        found = [part[: self.limit] if len(part) <= self.limit else Cut(part[: self.limit]) for part in parts if part]
        return [Cut(found[0])] if count and len(found) == 1 else found

    def _next(self) -> bytes | None:
        """The next message; empty for something that is none; None when more bytes are needed."""
        buffer = self._buffer
        if self._skip:
            step = min(self._skip, len(buffer))
            self._skip -= step
            del buffer[:step]
        if self._skipping and not self._skipped():
            return None
        if not self._scanned:
            if space := BETWEEN.match(buffer):
                del buffer[: space.end()]
            if not buffer:
                return None
            if self._counting is None and (decided := self._decide()) is not None:
                self._counting = decided
            if self._counting is None:
                return None
            if (COUNT if self._counting else COUNTED).match(buffer):
                digits = bytes(buffer[: buffer.index(b" ")])
                if int(digits) <= max(LARGEST, self.limit):
                    return self._counted(int(digits), len(digits) + 1)
            elif BEGUN.match(buffer):
                return None
            self._resync = self._counting and buffer[0] != ord("<")
        return self._line()

    def _decide(self) -> bool | None:
        """Whether messages are counted here; None when the first bytes do not yet tell."""
        found = DIGITS.match(self._buffer)
        if found is None:
            return False
        return True if found[1] else None if found.end() == len(self._buffer) else False

    def _counted(self, length: int, head: int) -> bytes | None:
        """A counted message; the trailer that some senders count as well is taken off before it is measured."""
        buffer, limit = self._buffer, self.limit
        if length <= limit + len(TRAILER):
            if len(buffer) < head + length:
                return None
            message = bytes(buffer[head : head + length]).rstrip(TRAILER)
            del buffer[: head + length]
            return message if len(message) <= limit else Cut(message[:limit])
        if len(buffer) < head + limit:
            return None
        message = bytes(buffer[head : head + limit])
        self._skip = length - limit
        del buffer[: head + limit]
        return Cut(message)

    def _line(self) -> bytes | None:
        """A line, up to its end; one CR before it is no part of it."""
        buffer, limit = self._buffer, self.limit
        end = self._end(self._scanned)
        if end < 0 and len(buffer) <= limit + 1 + TAIL:
            self._scanned = max(0, len(buffer) - TAIL)
            return None
        self._scanned = 0
        if end < 0 or end > limit + 1:
            message: bytes = Cut(buffer[:limit])
            del buffer[:limit]
            self._skipping = True
            return message
        message = bytes(buffer[:end]).removesuffix(b"\r")
        del buffer[:end]
        return message if len(message) <= limit else Cut(message[:limit])

    def _skipped(self) -> bool:
        """Whether the end of the line that was cut is there; what is before it is thrown away."""
        buffer = self._buffer
        end = self._end(0)
        self._skipping = end < 0
        del buffer[: end if end >= 0 else max(0, len(buffer) - TAIL)]
        return end >= 0

    def _end(self, begin: int) -> int:
        """Where this line ends, -1 when that is not to be seen yet. Its first byte is never the end of it."""
        buffer = self._buffer
        if self._resync:
            found = RESYNC.search(buffer, max(1, begin))
            return found.start() if found else -1
        newline, nul = buffer.find(b"\n", begin), buffer.find(b"\0", begin)
        return max(newline, nul) if newline < 0 or nul < 0 else min(newline, nul)


def _counts(chunk: bytes) -> bool:
    found = DIGITS.match(chunk)
    return found is not None and found[1] is not None


def _longer(chunk: bytes, limit: int) -> bool:
    """Whether a line has more bytes than this; looks at one place every `limit` bytes."""
    at = 0
    while len(chunk) - at > limit:
        at = chunk.rfind(b"\n", at, at + limit + 1) + 1
        if not at:
            return True
    return False
