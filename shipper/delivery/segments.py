"""One segment of a buffer, read from a place on: frames, and what is damaged between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from shipper.batch import Piece
from shipper.delivery.disk import Disk
from shipper.delivery.frames import ABOUT, HEAD, MAGIC, RECORD, Frame, Short, frame, parse

VERSION = 1
READ = 2**20
ENDING = ".seg"


@dataclass(eq=False)
class Segment:
    """A file of frames; the number of its first event is its name."""

    path: Path
    first: int
    end: int
    """Number behind its last event, as far as is known: where the next segment begins, or how far was appended."""
    size: int = 0
    hurt: bool = False
    """Something in it could not be read: it goes to the quarantine, not away."""
    told: int = 0
    """Place up to which damage was told, for it may be read from its beginning again."""

    def __repr__(self) -> str:
        return f"Segment({self.first} to {self.end}, {self.size} bytes)"


def name_of(first: int) -> str:
    return f"{first:020d}{ENDING}"


def first_of(name: str) -> int | None:
    """The number in a segment's name, or None: no segment."""
    stem = name.removesuffix(ENDING)
    usual = name != stem and len(stem) == 20 and stem.isascii() and stem.isdigit()
    return int(stem) if usual and int(stem) < 2**62 else None


def heading(first: int, about: dict[str, Any]) -> list[bytes]:
    """The frame that a segment begins with."""
    return frame(ABOUT, first, Piece(orjson.dumps({"version": VERSION, **about}), 0))


def about(disk: Disk, fd: int) -> dict[str, Any] | None:
    """What a segment says of itself; None when that cannot be read."""
    try:
        found = parse(disk.read(fd, 0, READ), 0)
    except Short:
        return None
    if found is None or found.kind != ABOUT:
        return None
    said: dict[str, Any] = orjson.loads(found.piece.body)
    return said


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that hold no readable frame."""

    offset: int
    length: int
    torn: bool
    """At the end of the file and never finished: nobody was told that it is safe."""


@dataclass
class Lost:
    """What could not be read: said once, by whoever asks for it."""

    records: int = 0
    """Damaged places, each at least one record."""
    events: int = 0
    never: int = 0
    """Numbers that a start took for events, and that an append which failed had skipped."""
    notes: list[str] = field(default_factory=list)

    def add(self, note: str, events: int) -> None:
        self.records += 1
        self.events += events
        self.notes.append(note)


class Reader:
    """Goes through the frames of an open segment; what is damaged is stepped over and told."""

    def __init__(self, disk: Disk, fd: int, offset: int = 0) -> None:
        self.disk = disk
        self.fd = fd
        self.offset = offset
        """Where the next frame is looked for."""
        self._data = b""
        self._base = offset  # place of `_data` in the file

    def frames(self, until: int) -> Iterator[Frame | Damage]:
        """Records up to the place `until`, in order. `offset` moves as they are taken."""
        while self.offset < until:
            found = self._at(self.offset, until)
            if found is None:
                start = self.offset
                self.offset = self._next(start + 1, until)
                lost = self.offset - start
                yield Damage(start, lost, self.offset >= until and self._unfinished(start, until))
                continue
            self.offset += found.length
            if found.kind == RECORD:
                yield found

    def _at(self, offset: int, until: int) -> Frame | None:
        need = HEAD.size
        while True:
            self._fill(offset, need, until)
            try:
                return parse(self._data, offset - self._base)
            except Short as short:
                if offset + short.need > until:
                    return None
                need = short.need

    def _fill(self, offset: int, need: int, until: int) -> None:
        if self._base <= offset and offset + need <= self._base + len(self._data):
            return
        self._data = self.disk.read(self.fd, offset, min(max(need, READ), until - offset))
        self._base = offset
        if not self._data:  # shorter than it was thought to be
            self._data = b"\0" * need

    def _next(self, offset: int, until: int) -> int:
        """Where the next whole frame begins, or `until`."""
        while offset < until:
            data = self.disk.read(self.fd, offset, min(READ, until - offset))
            if not data:
                return until
            at = data.find(MAGIC)
            if at < 0:
                offset += max(len(data) - len(MAGIC) + 1, 1)
                continue
            if self._at(offset + at, until) is not None:
                return offset + at
            offset += at + 1
        return until

    def _unfinished(self, start: int, until: int) -> bool:
        """Whether what is left looks like an append that was cut off: too short for what it says, or zeros."""
        head = self.disk.read(self.fd, start, HEAD.size)
        if len(head) < HEAD.size or not head.strip(b"\0"):
            return True
        magic, _, size, _, _, _, key_size, _ = HEAD.unpack(head)
        if magic != MAGIC:
            return False
        body_at = start + HEAD.size + key_size
        if body_at + size > until:
            return True
        return not self.disk.read(self.fd, max(body_at + size - 512, body_at), min(size, 512)).strip(b"\0")
