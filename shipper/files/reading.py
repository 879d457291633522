"""Bytes as they come, cut into whole lines: the same for files, stdin and stream sockets.

A line ends with its delimiter. Lines are given out a chunk at a time, as UTF-8 separated by newlines, and
every cut says up to which byte of the input it goes, so that a position never lies inside a line that was
not given out. Where reads begin and end makes no difference to the lines.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, cast

from shipper.files.encodings import BOMS, detect

CHUNK = 64 * 1024
"""Bytes read at a time: parsed and encoded while they are in the processor's cache."""
MARK = 64
"""Bytes kept from before a position, to know the place again."""

OnLongLine = Literal["split", "truncate", "drop"]
Count = Callable[..., None]


def not_counted(what: str, events: int = 1, **labels: str) -> None:
    """Stands where `scope.count` stands when nobody counts."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How bytes become lines."""

    delimiter: str = "\n"
    encoding: str = "utf-8"
    max_line_bytes: int = 2**20
    on_long_line: OnLongLine = "truncate"


@dataclass(slots=True)
class Cut:
    """Whole lines from one read."""

    raw: bytes
    """In UTF-8, separated by newlines, none at the end."""
    end: int
    """Where the input goes on, in bytes of the input."""
    mark: bytes
    """The last bytes of the input before `end`, at most 64."""
    lines: list[bytes] | None = None
    """The same line by line, where a line holds a newline of its own (another delimiter)."""
    truncated: bool = False
    """One line, and not all of it."""
    start: int = 0
    """Where it begins in the input."""
    source: bytes = b""
    """At most 64 bytes from before `start`, then its input (of a truncated line not even that); when `exact`."""


class Lines:
    """Cuts a stream of bytes into whole lines; holds at most one line, and of that at most `max_line_bytes`.

    `offset` is where the stream begins, `before` the bytes in front of it, `head` its first four bytes when it
    does not begin at 0. `exact` keeps each cut's input, for `starts` and `mark`.
    """

    def __init__(
        self,
        reading: Reading,
        count: Count = not_counted,
        *,
        offset: int = 0,
        before: bytes = b"",
        head: bytes = b"",
        exact: bool = False,
    ) -> None:
        self.reading = reading
        self.at = offset  # behind the last line that was given out
        self.read = offset  # behind the last byte that was taken
        self.tail = before  # the last bytes that were taken
        self._count = count
        self._exact = exact
        self.before = before  # the last bytes in front of `at`
        self._rest = b""
        self._skipped = 0  # bytes of a long line of which only the head is kept
        self._head = b""
        self._started = offset > 0
        self._limit = reading.max_line_bytes
        self._use(detect(head, reading.encoding)[0])
        self._midline = bool(before) and not before.endswith(self.delimiter)  # `at` is inside a line

    def _use(self, encoding: str) -> None:
        self._encoding = encoding
        self.delimiter = self.reading.delimiter.encode(encoding)
        self.width = {"utf-16": 2, "utf-32": 4}.get(encoding[:6], 1)
        self._newline = self.reading.delimiter == "\n"
        self._cr = "\r".encode(encoding)
        self._slack = len(self._cr) + len(self.delimiter)
        self._usual = self.delimiter == b"\n" and encoding == "utf-8" and not self._exact

    @property
    def held(self) -> int:
        """Bytes of the input taken and not given out."""
        return self.read - self.at

    @property
    def transcodes(self) -> bool:
        """Whether its bytes are not what `raw` has; then broken characters may hide the end of a line."""
        return self._encoding != "utf-8"

    def feed(self, data: bytes | memoryview) -> list[Cut]:
        """The lines that these bytes complete; a view is of the end of `bytes`."""
        earlier = self.tail
        self.read += len(data)
        self.tail = bytes(data[-MARK:]) if len(data) >= MARK else (earlier + data)[-MARK:]
        if self._skipped:
            return self._skip(bytes(data), earlier)
        if not self._started:
            data = self._rest + data
            if len(data) < 4 and any(bom.startswith(data) for bom, _ in BOMS):
                self._rest = data
                return []
            data = self._begin(data)
        if self._usual and not self._midline and len(self._rest) + len(data) <= self._limit:
            return self._at_once(data)
        return self._feed(data)

    def start_at(self, offset: int) -> None:
        """Begin here: what lies before is a hole, and no line."""
        self.at = self.read = offset

    def finish(self) -> list[Cut]:
        """What is held, as a line: nothing more is to come. What does come is another line."""
        if not self._started:
            self._rest = self._begin(self._rest)
        cuts = []
        if self._skipped:
            head, self._head, self._skipped, self._rest = self._head, b"", 0, b""
            cuts = self._shortened(head, self.read, self.tail)
        elif self._rest:
            chunk, self._rest = self._rest, b""
            cuts = self._checked(chunk, [len(chunk)])
        self._midline = self._midline or bool(cuts)
        return cuts

    def starts(self, cut: Cut) -> list[int]:
        """Where the lines of an exact cut begin, in bytes of the input."""
        if cut.truncated:
            return [cut.start]
        if self._plainly(cut):
            sums = accumulate(map(len, cut.raw.split(b"\n")), initial=cut.start)
            return [begin + newlines for newlines, begin in enumerate(sums)][:-1]
        front = len(cut.source) - (cut.end - cut.start)
        ends = [cut.start + end for end in self._ends(cut.source[front:])]
        return [cut.start, *(end for end in ends if end < cut.end)]

    def start_of_last(self, lines: int, cut: Cut) -> int | None:
        """Where the last so many lines of an exact cut begin; None when it has fewer. Without looking at the others where it can."""
        if not self._plainly(cut):
            starts = self.starts(cut)
            return starts[-lines] if lines <= len(starts) else None
        at = len(cut.raw)
        for _ in range(lines):
            if at < 0:
                return None
            at = cut.raw.rfind(b"\n", 0, at)
        return cut.start + at + 1

    def _plainly(self, cut: Cut) -> bool:
        """Whether its input is what `raw` has, and one newline more."""
        plain = cut.end - cut.start == len(cut.raw) + 1 and self._encoding == "utf-8"
        return plain and cut.lines is None and not cut.truncated

    def mark(self, cut: Cut, offset: int) -> bytes:
        """The last bytes of the input before a place in an exact cut."""
        place = len(cut.source) - (0 if cut.truncated else cut.end - offset)
        return cut.source[max(0, place - MARK) : place]

    def _begin(self, data: bytes) -> bytes:
        encoding, mark = detect(data, self.reading.encoding)
        self._use(encoding)
        self._started, self._rest = True, b""
        self._move(data[:mark])
        return data[mark:]

    def _move(self, passed: bytes) -> None:
        self.at += len(passed)
        self.before = passed[-MARK:] if len(passed) >= MARK else (self.before + passed)[-MARK:]

    def _at_once(self, data: bytes | memoryview) -> list[Cut]:
        """What `_feed` does with whole lines of UTF-8 of which none is too long, copying them once and not three times."""
        whole = data if isinstance(data, bytes) else cast(bytes, data.obj)
        front = len(whole) - len(data)
        end = whole.rfind(b"\n", front) - front
        if end < 0:
            self._rest += data
            return []
        raw = self._rest + data[:end]
        self._rest = bytes(data[end + 1 :])
        start, size = self.at, len(raw) + 1
        self.at += size
        self.before = ((b"" if size >= MARK else self.before) + raw[1 - MARK :] + b"\n")[-MARK:]
        if broken := _broken(raw):
            self._count("decoding_errors", broken)
        return [Cut(_plain(raw, True) if b"\r" in raw else raw, self.at, self.before, start=start)]

    def _feed(self, data: bytes | memoryview) -> list[Cut]:
        searched = len(self._rest)
        whole = self._rest + data if self._rest else bytes(data)
        if self._midline and (passed := self._orphan(whole)):
            self._move(whole[:passed])
            whole, searched = whole[passed:], 0
        if len(self.delimiter) == 1:
            cut = whole.rfind(self.delimiter, searched) + 1
        else:  # from the left: of "|||" the first two are the delimiter "||"
            ends = self._ends(whole)
            cut = ends[-1] if ends else 0
        out = []
        if cut:
            chunk = whole[:cut]
            if cut <= self._limit:  # then no line in it can be too long
                out.append(self._whole(chunk))
            else:
                out = self._checked(chunk, self._ends(chunk))
            self._midline = False
        self._rest = whole[cut:]
        if len(self._rest) > self._limit + self._slack:  # too long, however it goes on
            out += self._overflow()
        return out

    def _overflow(self) -> list[Cut]:
        out = []
        if self.reading.on_long_line == "split":
            while len(self._rest) > self._limit + self._slack:
                piece, self._rest = self._piece(self._rest)
                out.append(piece)
        else:
            self._head = self._rest[: self._boundary(self._rest)]
            self._skipped = len(self._rest)
            self._rest = self._overlap(self._rest)
        return out

    def _ends(self, data: bytes) -> list[int]:
        """Behind each delimiter, from left to right, on whole characters."""
        found, size, at = [], len(self.delimiter), 0
        find, width, delimiter = data.find, self.width, self.delimiter
        while (at := find(delimiter, at)) >= 0:
            if at % width:
                at += 1
                continue
            at += size
            found.append(at)
        return found

    def _orphan(self, data: bytes) -> int:
        """The delimiter of a line that was given out before it came is no line of its own."""
        for end in (self.delimiter, self._cr + self.delimiter)[: 1 + self._newline]:
            if data.startswith(end):
                self._midline = False
                return len(end)
        return 0

    def _whole(self, chunk: bytes) -> Cut:
        """Lines of which none is too long; the last may have no delimiter."""
        start, before = self.at, self.before
        self._move(chunk)
        cut = Cut(b"", self.at, self.before, start=start, source=before + chunk if self._exact else b"")
        body = chunk.removesuffix(self.delimiter)
        if self._encoding != "utf-8":
            self._transcode(cut, body, len(body) < len(chunk))
            return cut
        if broken := _broken(body):
            self._count("decoding_errors", broken)
        if self._newline:
            cut.raw = _plain(body, len(body) < len(chunk)) if b"\r" in body else body
        elif b"\n" in body:
            cut.lines = body.split(self.delimiter)
            cut.raw = b"\n".join(cut.lines)
        else:
            cut.raw = body.replace(self.delimiter, b"\n")
        return cut

    def _transcode(self, cut: Cut, body: bytes, finished: bool) -> None:
        text = body.decode(self._encoding, "replace")
        parts = text.split(self.reading.delimiter)
        ends = self._ends(body)
        if len(parts) != len(ends) + 1:  # a broken character swallowed a delimiter
            size = len(self.delimiter)
            bounds = zip([0, *ends], [*(end - size for end in ends), len(body)], strict=True)
            parts = [body[begin:end].decode(self._encoding, "replace") for begin, end in bounds]
        if "\ufffd" in text:
            self._count("decoding_errors", sum(part.count("\ufffd") for part in parts))
        if self._newline:
            cut.raw = _plain("\n".join(parts).encode("utf-8", "replace"), finished)
        else:
            lines = [part.encode("utf-8", "replace") for part in parts]
            cut.raw = b"\n".join(lines)
            cut.lines = lines if "\n" in text else None

    def _checked(self, chunk: bytes, ends: list[int]) -> list[Cut]:
        """Lines of which some may be too long."""
        out, good, start = [], 0, 0
        for end in ends:
            line = chunk[start:end].removesuffix(self.delimiter)
            if self._too_long(line):
                if good < start:
                    out.append(self._whole(chunk[good:start]))
                out += self._long(line, chunk[start:end])
                good = end
            self._midline = False
            start = end
        if good < start:
            out.append(self._whole(chunk[good:start]))
        return out

    def _too_long(self, line: bytes) -> bool:
        if self._newline:  # the CR of a CRLF is not part of the line
            line = line.removesuffix(self._cr)
        return len(line) > self._limit

    def _long(self, line: bytes, source: bytes) -> list[Cut]:
        """A whole line that is too long; `source` is the line with its delimiter."""
        if self.reading.on_long_line != "split":
            mark = (self.before + source)[-MARK:]
            return self._shortened(line[: self._boundary(line)], self.at + len(source), mark)
        out = []
        while self._too_long(source.removesuffix(self.delimiter)):
            piece, source = self._piece(source)
            out.append(piece)
        return [*out, self._whole(source)]

    def _shortened(self, head: bytes, end: int, mark: bytes) -> list[Cut]:
        """What is given out of a long line that ends at `end`."""
        action = self.reading.on_long_line
        self._count("long_lines", action=action)
        start, before = self.at, self.before
        self.at, self.before = end, mark
        if action == "drop":
            self._count("dropped_events", reason="long_line")
            return []
        broken = _broken(head)
        if self._encoding != "utf-8":
            text = head.decode(self._encoding, "replace")
            head, broken = text.encode("utf-8", "replace"), text.count("\ufffd")
        if broken:
            self._count("decoding_errors", broken)
        cut = Cut(head, end, mark, truncated=True, start=start, source=before if self._exact else b"")
        cut.lines = [head] if b"\n" in head else None
        return [cut]

    def _piece(self, line: bytes) -> tuple[Cut, bytes]:
        if not self._midline:  # once a line
            self._count("long_lines", action="split")
        at = self._boundary(line)
        piece = self._whole(line[:at])
        self._midline = True
        return piece, line[at:]

    def _boundary(self, line: bytes) -> int:
        """Where to cut so that no character is cut: at most the limit."""
        decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        decoder.decode(line[: self._limit])
        return (min(self._limit, len(line)) - len(decoder.getstate()[0])) or self._limit

    def _overlap(self, data: bytes) -> bytes:
        """The end of what is skipped, in which the first part of a delimiter may lie; begins with a whole character."""
        if len(self.delimiter) == 1:
            return b""
        start = max(0, self._skipped - len(self.delimiter) + 1)
        return data[len(data) - (self._skipped - start + start % self.width) :]

    def _skip(self, data: bytes, earlier: bytes) -> list[Cut]:
        whole = self._rest + data
        self._skipped += len(data)
        ends = self._ends(whole)
        if not ends:
            self._rest = self._overlap(whole)
            return []
        rest = whole[ends[0] :]
        mark = (earlier + data[: len(data) - len(rest)])[-MARK:]
        head, self._head, self._skipped, self._rest = self._head, b"", 0, b""
        return [*self._shortened(head, self.read - len(rest), mark), *self._feed(rest)]


def _broken(data: bytes) -> int:
    """How many characters of UTF-8 will be replaced because they are broken; those replaced before it was written are none."""
    if data.isascii():
        return 0
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").count("\ufffd") - data.count("\ufffd".encode())
    return 0


def _plain(body: bytes, finished: bool) -> bytes:
    """Without the CR of each CRLF; that of the last line only when its LF was there."""
    body = body.replace(b"\r\n", b"\n")
    return body.removesuffix(b"\r") if finished else body
