"""The disk part of a buffer: append, read back in order, mark done. All of it synchronous, one call at a time.

Segments are appended to and never changed. A failed append leaves nothing behind that counts: what it wrote is
written over, and after a failed fsync in a new segment, because nobody knows what the kernel kept of the old one.
Opening reads the last segment only; whatever it finds, it ends with a buffer that works.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipper.batch import Piece
from shipper.delivery.disk import Disk
from shipper.delivery.frames import RECORD, frame
from shipper.delivery.progress import MOST, Done, Progress
from shipper.delivery.segments import VERSION, Damage, Lost, Reader, Segment, about, first_of, heading, name_of

SEGMENT = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Record:
    """A piece with its place in the buffer."""

    first: int
    piece: Piece

    @property
    def end(self) -> int:
        return self.first + self.piece.count


class Store:
    """One output's records below `folder`. Not safe for two threads at a time."""

    def __init__(
        self, folder: Path, limit: int, set_aside: Callable[[Path], Path], *,
        said: dict[str, Any] | None = None, disk: Disk | None = None, segment: int = SEGMENT,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.limit = limit
        self.set_aside = set_aside
        self.said = said or {}
        """What each segment says of where its records go: `type`, `destination` and so on, for people."""
        self.disk = disk or Disk()
        self.segment = max(min(segment, limit // 8), 4096)
        self.progress = Progress(folder / "progress", self.disk)
        self.segments: list[Segment] = []
        self.done = Done()
        self.epoch = ""
        self.end = 0
        """Number that the next event gets."""
        self.cursor = 0
        """Number of the next event to be read back."""
        self.lost = Lost()
        self._active: int | None = None  # the last segment, open for appending
        self._reading: tuple[Segment, int, Reader] | None = None
        self._moved = False  # done, and not saved
        self._skipped = 0  # numbers that an append which failed may have left on the disk

    # opening
    def open(self) -> None:
        """Find out what is there. Raises OSError when the folder cannot be used."""
        self.disk.make_folder(self.folder)
        numbers = sorted(n for name in self.disk.names(self.folder) if (n := first_of(name)) is not None)
        found = [Segment(self.folder / name_of(first), first, first) for first in numbers]
        for segment, following in itertools.pairwise(found):
            segment.end = following.first
        epochs = [self._look(segment) for segment in found]
        self._load(next((epoch for epoch in reversed(epochs) if epoch), None), numbers[0] if numbers else 0)
        self.segments = [segment for segment, epoch in zip(found, epochs, strict=True) if epoch is not None]
        if self.segments:
            self._scan(self.segments[-1])
            self.end = max(segment.end for segment in found)
        if found and found[-1] not in self.segments:  # its name may still be taken
            self.end = max(self.end, found[-1].first + 1)
        self.end = max([self.end, self.done.to, *(end for _, end in self.done.beyond)])
        self.cursor = self.done.to
        for segment in found:
            if segment not in self.segments:
                self._gone(segment)
        with suppress(OSError):  # saved later; a full disk is no reason not to start
            self.tidy(force=True)

    def _load(self, known: str | None, first: int) -> None:
        """What is done, if that was said of the segments that are here; else what is before the `first` of them."""
        self.done = Done(first)
        try:
            saved = self.progress.load()
        except OSError as error:
            saved = None
            self.lost.add(f"the progress cannot be read ({error.strerror or error}): what is there is sent again", 0)
        if self.progress.damaged:
            self.lost.add("a slot of the progress is damaged: some of what is done may be sent again", 0)
        if saved is not None and known in (None, saved["epoch"]):
            self.done = Done(saved["to"], [(first, end) for first, end in saved["beyond"]])
            known = saved["epoch"]
        self.epoch = known or os.urandom(8).hex()

    def _look(self, segment: Segment) -> str | None:
        """The epoch of a segment; empty when it does not say; None when it was set aside or removed."""
        try:
            fd = self.disk.open(segment.path)
            try:
                segment.size = self.disk.size(fd)
                said = about(self.disk, fd)
            finally:
                self.disk.close(fd)
        except OSError as error:
            self._away(segment, f"cannot be read ({error.strerror or error})")
            return None
        if said is None:
            if segment.size == 0:
                with suppress(OSError):
                    self.disk.remove(segment.path)  # made, and then the power went
                return None
            return ""  # its beginning is damaged: the records behind may be whole
        if said.get("version") != VERSION:
            self._away(segment, f"is of version {said.get('version')}, which this release cannot read")
            return None
        return str(said.get("epoch", ""))

    def _away(self, segment: Segment, why: str) -> None:
        try:
            place = f"it is kept as {self.set_aside(segment.path)}"
        except OSError as error:
            place = f"it stays where it is ({error.strerror or error})"
        self.lost.add(f"{segment.path.name} {why}; {place}", 0)

    def _gone(self, segment: Segment) -> None:
        """What a segment held that was set aside is settled: nobody waits for it here."""
        end = max(segment.end, segment.first + 1) if segment.end == segment.first else segment.end
        if end <= self.end:
            self.lost.events += max(segment.end - segment.first - self.done.within(segment.first, segment.end), 0)
            self.mark(segment.first, end)

    def _scan(self, segment: Segment) -> None:
        """How far the last segment goes: the only one of which no name tells."""
        tail: Damage | None = None
        try:
            fd = self.disk.open(segment.path)
            try:
                for each in Reader(self.disk, fd).frames(segment.size):
                    if isinstance(each, Damage):
                        tail = each
                    else:
                        segment.end, tail = max(segment.end, each.end), None
            finally:
                self.disk.close(fd)
        except OSError as error:
            self._away(segment, f"cannot be read ({error.strerror or error})")
            self.segments.remove(segment)
        if tail is not None and not tail.torn:
            segment.hurt = True
            self.lost.add(f"{segment.path.name}: the last {tail.length} bytes are damaged", 0)

    # what is there
    @property
    def bytes(self) -> int:
        """On disk, what is done and not yet removed included."""
        return sum(segment.size for segment in self.segments)

    @property
    def waiting(self) -> int:
        """Events that are on disk and not done."""
        return self.end - self.done.to - sum(last - first for first, last in self.done.beyond)

    @property
    def unread(self) -> bool:
        """Whether there is something that was not read back yet."""
        return self.cursor < self.end

    def has_room(self, size: int) -> bool:
        return self.bytes + size <= self.limit

    # appending
    def append(self, pieces: Sequence[Piece]) -> list[Record]:
        """Durable when it returns; raises OSError, and then it is as if it had not been tried."""
        records: list[Record] = []
        parts: list[bytes] = []
        skipped = self._skipped
        number = self.end + skipped
        for piece in pieces:
            records.append(Record(number, piece))
            parts += frame(RECORD, number, piece, skipped if not parts else 0)
            number += piece.count
        active = self._current()
        assert self._active is not None
        self._skipped = number - self.end  # until it is known to be there, nobody else gets these
        try:
            self.disk.write(self._active, active.size, parts)
        except OSError:
            # what was written of it lies behind the end: it is written over, or cut off
            with suppress(OSError):
                self.disk.cut(self._active, active.size)
            raise
        try:
            self.disk.sync(self._active)
        except OSError:
            self._seal()  # what the kernel kept of it is not known: never append to it again
            raise
        active.size += sum(map(len, parts))
        self.mark(self.end, self.end + skipped)
        if self.cursor == self.end:
            self.cursor += skipped
        active.end = self.end = number
        self._skipped = 0
        return records

    def _current(self) -> Segment:
        """The segment to append to; a new one when the last is full or not ours."""
        if self._active is not None and self.segments[-1].size < self.segment:
            return self.segments[-1]
        self._seal()
        segment = Segment(self.folder / name_of(self.end), self.end, self.end)
        if self.segments and self.segments[-1].first == self.end:  # nothing in it counts: left by a failure
            self._forget_reader(self.segments.pop())
        self.disk.remove(segment.path)  # what a failure left under this name counts for nothing either
        fd = self.disk.create(segment.path)
        try:
            head = heading(self.end, {**self.said, "epoch": self.epoch})
            self.disk.write(fd, 0, head)
            self.disk.sync(fd)
            self.disk.sync_folder(self.folder)
        except BaseException:
            self.disk.close(fd)
            with suppress(OSError):
                self.disk.remove(segment.path)
            raise
        segment.size = sum(map(len, head))
        self._active = fd
        self.segments.append(segment)
        return segment

    def _seal(self) -> None:
        if self._active is not None:
            self.disk.close(self._active)
            self._active = None

    # reading
    def read(self, size: int, events: int) -> list[Record]:
        """The next records in order, about so many bytes or events, at least one; empty when there are no more.

        What is damaged is stepped over, counted as done, and told in `lost`. Raises OSError: ask again.
        """
        found: list[Record] = []
        try:
            for record in self._records():
                found.append(record)
                size, events = size - len(record.piece.body), events - record.piece.count
                if size <= 0 or events <= 0:
                    break
        except OSError:
            if not found:  # else the cursor is behind them, and whoever asks again meets it again
                raise
        return found

    def _records(self) -> Iterator[Record]:
        while self.cursor < self.end:
            opened = self._reader()
            if opened is None:
                self._gap(self.end)
                return
            segment, reader = opened
            place = ""
            for each in reader.frames(segment.size):
                if self.cursor >= segment.end:  # left by an append that failed
                    break
                if isinstance(each, Damage):
                    if not each.torn and each.offset >= segment.told:
                        segment.hurt = True
                        segment.told = each.offset + each.length
                        place = f"{segment.path.name}: {each.length} bytes at {each.offset} are damaged"
                    continue
                if each.first < self.cursor:  # below already, or done
                    continue
                if (whole := each.first - each.skipped) > self.cursor or place:
                    self._gap(max(whole, self.cursor), place)
                self.lost.never += each.first - self.cursor - self.done.within(self.cursor, each.first)
                self.mark(self.cursor, each.first)
                place = ""
                self.cursor = each.end
                if not self.done.has(each.first, each.end):
                    yield Record(each.first, each.piece)
            if segment.end > self.cursor or place:
                self._gap(max(segment.end, self.cursor), place)

    def _reader(self) -> tuple[Segment, Reader] | None:
        """The segment that holds the cursor, open, or None when there is none."""
        if self._reading is not None:
            segment, _, reader = self._reading
            if segment.end > self.cursor:
                return segment, reader
            self._stop_reading()
        following = next((s for s in self.segments if s.end > self.cursor), None)
        if following is None:
            return None
        if following.first > self.cursor:
            self._gap(following.first)
        fd = self.disk.open(following.path)
        self._reading = (following, fd, Reader(self.disk, fd))
        return following, self._reading[2]

    def _gap(self, to: int, place: str = "") -> None:
        """Events from the cursor up to `to` cannot be read."""
        missing = to - self.cursor - self.done.within(self.cursor, to)
        if missing or place:
            self.lost.add(place or f"a segment is missing before number {to}", missing)
        self.mark(self.cursor, to)
        self.cursor = to

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self.disk.close(self._reading[1])
            self._reading = None

    def _forget_reader(self, segment: Segment) -> None:
        if self._reading is not None and self._reading[0] is segment:
            self._stop_reading()

    def give_up(self, error: OSError) -> None:
        """The segment at the cursor cannot be read, again and again: it is set aside, and what it held is told."""
        segment = next((s for s in self.segments if s.end > self.cursor), None)
        if segment is None:
            return
        self._forget_reader(segment)
        if segment is self.segments[-1]:
            self._seal()
        segment.hurt = True
        self._gap(segment.end, f"{segment.path.name} cannot be read: {error.strerror or error}")

    def take_lost(self) -> Lost | None:
        """What could not be read since this was asked last."""
        lost, self.lost = self.lost, Lost()
        return lost if lost != Lost() else None

    # done
    def mark(self, first: int, end: int) -> None:
        """These events are delivered, or settled otherwise."""
        if end > first:
            self.done.add(first, end)
            self._moved = True

    def drop_oldest(self) -> int:
        """Give up the oldest segment of which nothing was read yet; how many events that were. 0: there is none."""
        self.tidy()  # whoever cannot remove what was given up before gives up no more
        segment = next((s for s in self.segments if s.first >= self.cursor and s.end > s.first), None)
        if segment is None:
            return 0
        events = segment.end - segment.first - self.done.within(segment.first, segment.end)
        self.mark(segment.first, segment.end)
        if self.cursor == segment.first:
            self.cursor = segment.end
        with suppress(OSError):  # they are given up all the same, and to be counted
            self.tidy()
        return events

    def tidy(self, *, force: bool = False) -> None:
        """Save the progress and remove what is done. Raises OSError; nothing is lost by that."""
        if self._moved or force:
            self._moved = False
            try:
                self.progress.save(self.epoch, self.done)
            except OSError as error:
                self._moved = True
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                # what is done makes room for it; a crash before it is saved would miss a segment, and lose nothing
        saved = Done(self.done.to, self.done.beyond[:MOST])
        for segment in [s for s in self.segments if s.end > s.first and saved.has(s.first, s.end)]:
            if segment is self.segments[-1]:
                self._seal()
            self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        self._forget_reader(segment)
        if segment.hurt:
            with suppress(OSError):  # else it is found again at the next start
                self.lost.notes.append(f"{segment.path.name} is kept as {self.set_aside(segment.path)}")
        else:
            self.disk.remove(segment.path)
        self.segments.remove(segment)

    def close(self) -> None:
        """Save the progress; harmless when called twice."""
        try:
            self.tidy()
        finally:
            self._seal()
            self._stop_reading()

    def __repr__(self) -> str:
        return f"Store({self.waiting} events, {self.bytes} bytes in {len(self.segments)} segments)"
