"""One file that is followed: where it lies, its open handle, how far it was read."""

from __future__ import annotations

from shipper.files.assembling import Assembler
from shipper.files.checkpoints import Entry
from shipper.files.handles import GzipHandle, Handle
from shipper.files.identity import HEAD, Digest, Key
from shipper.files.reading import CHUNK


class Changed(Exception):
    """What lies before the position is not what was read: the file was truncated or written anew."""


class Unreadable(Exception):
    """The file's trouble, not ours: it is tried again later. Its cause is the OSError."""


class Tailed:
    """A file, known by (device, inode) as long as it is open; times are monotonic seconds."""

    __slots__ = (
        "after", "assembler", "busy", "copied", "due", "entry", "flushed", "gone", "grown", "handle", "key", "looked",
        "moved", "path", "pause", "reached", "seen", "settled", "since", "suspected", "truncated", "weighed",
    )  # fmt: skip

    def __init__(self, path: str, key: Key, handle: Handle | None, entry: Entry | None, now: float) -> None:
        self.path = path
        self.key = key
        self.handle = handle
        self.entry = entry
        """None until it is clear whether it is a copy of another file."""
        self.assembler: Assembler | None = None
        self.busy = False
        self.due = now
        self.pause = 0.0
        self.seen = (-1, -1)
        """Size and time of change at the last look."""
        self.gone = False
        """No pattern finds it any more: removed, or renamed to something else."""
        self.moved = False
        """It has another name than before: what has no end of line gets none."""
        self.since = now
        """When that was noticed."""
        self.grown = now
        self.flushed = False
        """It was given out to its very end."""
        self.settled = False
        """There is nothing more to come: a compressed file, or `follow: false`."""
        self.truncated = False
        """It may begin with a hole that a writer left who went on at the old position."""
        self.suspected: float | None = None
        """Since when it looks like a copy in the making of another file, and does not grow."""
        self.weighed = -1
        """Its size when that was last considered."""
        self.looked = float("-inf")
        """When its last turn began."""
        self.reached = float("-inf")
        """When there was nothing more to read of it, or it could not be read."""
        self.after: list[Tailed] = []
        """Files that were written under its name before it: they are read to their ends first."""
        self.copied: Entry | None = None
        """Of a gzip file: what it is a copy of, as long as that is there too."""

    def read(self) -> bytes | memoryview | None:
        """The next bytes, at most a chunk; raises Changed when those before are not the ones read before, and Unreadable.

        None: a part of a packed file that held nothing, and there is more.

        The bytes before the position are read again with the next ones: that a file was truncated and has
        grown beyond its old size is seen at no further cost.
        """
        assert self.handle is not None and self.assembler is not None
        lines = self.assembler.lines
        size = 0 if self.handle.compressed else len(lines.tail)
        try:
            if not size and self.truncated and (data := self._behind_hole()) is not None:
                return data
            if isinstance(self.handle, GzipHandle) and self.handle.length == lines.read:
                return self.handle.read_on(CHUNK)
            data = self.handle.read(lines.read - size, CHUNK + size)
        except OSError as error:
            raise Unreadable from error
        if not size:
            return data
        if not data.startswith(lines.tail):
            raise Changed
        return memoryview(data)[size:]

    def _behind_hole(self) -> bytes | None:
        assert self.handle is not None and self.assembler is not None
        lines = self.assembler.lines
        if not self.handle.stat().st_size:
            return b""
        start = self.handle.first_data()
        data = self.handle.read(start, CHUNK)
        while data and not data.strip(b"\0"):
            start += len(data)
            data = self.handle.read(start, CHUNK)
        if not data:
            return b""
        self.truncated = False
        zeros = len(data) - len(data.lstrip(b"\0"))
        zeros -= zeros % lines.width  # the first half of a character may be zero too
        start += zeros
        if not start:
            return None
        lines.start_at(start)
        return data[zeros:]

    def verify(self) -> bool:
        """See that it still begins as it did, and take a longer digest of that while there is one to take.

        Whether there was one; raises Changed, and Unreadable. The bytes before the position alone can be the same
        in new content whose lines are as long and end alike.
        """
        assert self.handle is not None and self.entry is not None
        known = self.entry.head
        try:
            head = self.handle.head(HEAD)
        except OSError as error:
            raise Unreadable from error
        if known.length and Digest.of(head[: known.length]) != known:
            raise Changed
        if len(head) <= known.length:
            return False
        self.entry.head = Digest.of(head)
        return True

    def finished(self) -> bool:
        """Whether it is a packed file that was read and delivered whole, and is as long as it was then. Raises Unreadable."""
        handle, entry = self.handle, self.entry
        if handle is None or entry is None or not handle.compressed or not entry.ends[0]:
            return False
        try:
            return entry.offset >= entry.ends[1] and handle.stat().st_size == entry.ends[0]
        except OSError as error:
            raise Unreadable from error

    @property
    def committed(self) -> bool:
        """Whether all that was handed on is delivered."""
        return self.entry is None or self.entry.place is None or self.entry.offset >= self.entry.place[0]

    def close(self) -> None:
        if self.handle is not None:
            self.handle.close()
            self.handle = None

    def __repr__(self) -> str:
        state = "gone" if self.gone else "moved" if self.moved else "there"
        return f"Tailed({self.path}, {state}, {self.entry and self.entry.place})"
