"""Several processes that append to one file: whole pieces, one after the other, and one of them exchanges it.

The lock is flock(2) on the file itself, so it ends with a process that is killed. Who has it looks whether the file
still lies at its path: another may have exchanged it a moment ago. Everything here blocks, as in `appending`.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Sequence

from shipper.files.appending import Appender, Disk, Shape, open_below, open_file_at


class SharedAppender(Appender):
    """One open file that others append to as well. A torn end is looked for whenever somebody else wrote."""

    def __init__(
        self, base: str, segments: Sequence[str], shape: Shape, now: float, disk: Disk, clean: int | None = None
    ) -> None:
        self._guard = threading.Lock()
        """Held while the descriptor is exchanged: a sync may run in another thread."""
        self._sure = False
        """Whether the end is whole: this process was the last that wrote."""
        self._failed: OSError | None = None
        self._exchanges = 0
        super().__init__(base, segments, shape, now, disk, clean)
        self._mine = self.length
        """Behind this everything is from this process."""

    def _mend(self, now: float) -> None:
        """Not without the lock: what looks torn may be half written."""

    def append(self, bodies: Sequence[bytes], now: float) -> None:
        while not self._appended(bodies, now):
            if self.moved():
                self._reopen()

    def _appended(self, bodies: Sequence[bytes], now: float) -> bool:
        """Append if it is still the file at its path and needs no exchange; else see that it is, and say no."""
        locked = self.fd
        fcntl.flock(locked, fcntl.LOCK_EX)
        try:
            if self.moved():
                return False
            self._look()
            whole = self._sure or self._whole()
            if not whole and self.shape.whole is not None:
                self._exchange(now)
                return False
            if self.due(sum(map(len, bodies)), now):
                self._exchange(now)
                return False
            self._sure = False
            self._write([*([] if whole else [b"\n"]), *bodies, *([self.shape.mark] if self.shape.mark else [])])
            self._sure, self.written = True, now
            return True
        finally:
            if self.fd == locked:
                fcntl.flock(locked, fcntl.LOCK_UN)

    def _look(self) -> None:
        found = os.fstat(self.fd)
        if found.st_size != self.length:
            self._sure = False
            self.length = self._mine = found.st_size
            self.written = found.st_mtime

    def _whole(self) -> bool:
        """Whether it does not end in the middle of what a process wrote that was killed."""
        if not self.length:
            return True
        shape = self.shape
        if shape.lines:
            return os.pread(self.fd, 1, self.length - 1) == b"\n"
        if shape.mark and os.pread(self.fd, len(shape.mark), self.length - len(shape.mark)) == shape.mark:
            return True
        return shape.whole is None or shape.whole(self.fd)

    def _switch(self) -> None:
        self._go_on(open_file_at(self.folder, self.name))

    def _go_on(self, fd: int) -> None:
        with self._guard:
            fcntl.flock(self.fd, fcntl.LOCK_UN)  # closing alone would not: a sync may hold a copy
            os.close(self.fd)
            self.fd = fd
            self._exchanges += 1
            self.length = self.safe = self._mine = os.fstat(fd).st_size
            self._sure = False

    def _reopen(self) -> None:
        """Somebody else has exchanged it. What could not be made durable there is said by the next sync."""
        try:
            self.disk.sync(self.fd)
        except OSError as error:
            self._failed = error
        fd, folder = open_below(self.base, self.segments)  # its folder may be another one too
        os.close(self.folder)
        self.folder = folder
        self._go_on(fd)
        self.written = os.fstat(fd).st_mtime

    def sync(self) -> None:
        with self._guard:
            failed, self._failed = self._failed, None
            if failed is not None:
                raise failed
            fd, length, exchanges = os.dup(self.fd), self.length, self._exchanges
        try:
            self.disk.sync(fd)
        finally:
            os.close(fd)
        with self._guard:
            if exchanges == self._exchanges:
                self.safe = length

    def cut_back(self) -> None:
        """Of what a failed sync did not cover, what others have not appended to; the rest is there twice."""
        locked = self.fd
        fcntl.flock(locked, fcntl.LOCK_EX)
        try:
            safe = max(self.safe, self._mine)
            if os.fstat(self.fd).st_size == self.length and safe < self.length:
                os.ftruncate(self.fd, safe)
                self.length = safe
        except OSError:
            self._sure = False
        finally:
            fcntl.flock(locked, fcntl.LOCK_UN)
