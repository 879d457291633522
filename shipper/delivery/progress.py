"""How far a buffer was delivered: numbers of events, kept over a crash.

Two slots in one file are written in turn, in place: `CRC-32 in hexadecimal, space, JSON, newline` in 4 KiB each. A
torn slot leaves the other, and what that forgets is sent again, never left out.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from pathlib import Path
from typing import Any

import orjson

from shipper.delivery.disk import Disk
from shipper.delivery.frames import crc32

SLOT = 4096
MOST = 100
"""Ranges that find room in a slot; further ones are forgotten, which repeats what they stand for after a crash."""


class Done:
    """Numbers that are done: all below `to`, and some ranges beyond."""

    def __init__(self, to: int = 0, beyond: list[tuple[int, int]] | None = None) -> None:
        self.to = to
        self.beyond: list[tuple[int, int]] = sorted(beyond or [])

    def add(self, first: int, end: int) -> None:
        """`first` up to `end`, without it, are done."""
        if first > self.to:
            touched = [each for each in self.beyond if each[0] <= end and first <= each[1]]
            for each in touched:
                self.beyond.remove(each)
                first, end = min(first, each[0]), max(end, each[1])
            insort(self.beyond, (first, end))
            return
        self.to = max(self.to, end)
        while self.beyond and self.beyond[0][0] <= self.to:
            self.to = max(self.to, self.beyond.pop(0)[1])

    def has(self, first: int, end: int) -> bool:
        """Whether all of a record is done."""
        if end <= self.to:
            return True
        at = bisect_right(self.beyond, (first, 2**64)) - 1
        return at >= 0 and self.beyond[at][0] <= first and end <= self.beyond[at][1]

    def within(self, first: int, end: int) -> int:
        """How many of these numbers are done."""
        ranges = [(0, self.to), *self.beyond]
        return sum(max(min(end, last) - max(first, start), 0) for start, last in ranges)

    def __repr__(self) -> str:
        return f"Done(to {self.to}, {len(self.beyond)} ranges beyond)"


class Progress:
    """The file that holds it. Synchronous."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path = path
        self.disk = disk
        self.sequence = 0
        self.damaged = 0
        """Slots that could not be read at the last `load`."""
        self._named = False  # whether its name is known to be durable

    def load(self) -> dict[str, Any] | None:
        """What was saved last and is whole."""
        try:
            fd = self.disk.open(self.path)
        except FileNotFoundError:
            return None
        try:
            data = self.disk.read(fd, 0, 2 * SLOT)
        finally:
            self.disk.close(fd)
        found = [saved for at in (0, SLOT) if (saved := self._parse(data[at : at + SLOT]))]
        if not found:
            return None
        newest = max(found, key=lambda saved: saved["sequence"])
        self.sequence = newest["sequence"]
        return newest

    def _parse(self, slot: bytes) -> dict[str, Any] | None:
        if not slot.strip(b"\0"):
            return None
        line, newline, _ = slot.partition(b"\n")
        crc, _, body = line.partition(b" ")
        if newline and crc == b"%08x" % crc32(body, 0):
            saved: dict[str, Any] = orjson.loads(body)
            return saved
        self.damaged += 1
        return None

    def save(self, epoch: str, done: Done) -> None:
        """Durable when it returns; after OSError what was saved before still holds."""
        sequence = self.sequence + 1
        body = orjson.dumps({"sequence": sequence, "epoch": epoch, "to": done.to, "beyond": done.beyond[:MOST]})
        try:
            fd = self.disk.open(self.path, write=True)
        except FileNotFoundError:
            fd = self.disk.create(self.path)
        try:
            if not self._named:
                self.disk.sync_folder(self.path.parent)
                self._named = True
            self.disk.write(fd, SLOT * (sequence % 2), [(b"%08x %b\n" % (crc32(body, 0), body)).ljust(SLOT, b"\0")])
            self.disk.sync(fd)
        finally:
            self.disk.close(fd)
        self.sequence = sequence
