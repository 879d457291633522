"""Open files: read at a position, never blocking, closed when let go."""

from __future__ import annotations

import os
import stat
import zlib
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from shipper.files.identity import Key
from shipper.files.reading import CHUNK

isal_zlib: ModuleType
try:
    from isal import isal_zlib
except ImportError:  # no wheel for this machine: slower, and otherwise the same
    isal_zlib = zlib

BROKEN = (zlib.error, isal_zlib.error)
"""What a damaged gzip file raises."""


class NotRegular(OSError):
    """A FIFO, a device, a socket or a folder: nothing that is tailed."""


class Handle:
    """A regular file. `OSError` from its methods is the file's trouble, not a bug."""

    compressed = False

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def stat(self) -> os.stat_result:
        return os.fstat(self.fd)

    def reaches(self, offset: int) -> bool:
        """Whether it is long enough for this position."""
        return os.fstat(self.fd).st_size >= offset

    def head(self, size: int) -> bytes:
        """Its first bytes."""
        return os.pread(self.fd, size, 0)

    def key(self) -> Key:
        info = os.fstat(self.fd)
        return info.st_dev, info.st_ino

    def removed(self) -> bool:
        """Whether it has no name any more, as far as the file system says: nobody can open it again."""
        try:
            return not os.fstat(self.fd).st_nlink
        except OSError:
            return False

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self.fd, size, offset)

    def first_data(self) -> int:
        """Where a file that begins with a hole has its first byte (a writer that went on behind a truncation)."""
        try:
            return os.lseek(self.fd, 0, os.SEEK_DATA)
        except OSError:  # nothing but a hole, or a file system that does not say
            return 0

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    __del__ = close


class Unpacked:
    """What is in a gzip file, from its beginning on, with all its members; it is never all in memory."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.at = 0
        """Decompressed bytes given out."""
        self.between = True
        """No member has begun that has not ended: nothing is missing."""
        self.over = False
        """When nothing was given out: there is nothing more."""
        self.taken = 0
        """Compressed bytes taken."""
        self._input = b""
        self._stream: Any = isal_zlib.decompressobj(wbits=31)
        self._damage: Exception | None = None  # not every stream that has raised raises again

    def next(self, size: int, briefly: bool = False) -> bytes:
        """At most `size` more bytes; nothing at the end of what there is. Raises OSError, and BROKEN.

        With `briefly` also nothing when the next `CHUNK` of the file holds none (a million empty members): see `over`.
        """
        if self._damage is not None:
            raise self._damage
        self.over, read = False, False
        while True:
            if not self._input:
                if briefly and read:
                    return b""
                read = True
                self._input = os.pread(self.fd, CHUNK, self.taken)
                self.taken += len(self._input)
            if self.between:
                padded, self._input = bool(self._input), self._input.lstrip(b"\0")  # between members
                if not self._input:
                    if padded:
                        continue
                    self.over = True
                    return b""
                self._stream, self.between = isal_zlib.decompressobj(wbits=31), False
            more = bool(self._input)
            try:
                data: bytes = self._stream.decompress(self._input, size)
            except BROKEN as error:
                self._damage = error
                raise
            self._input = self._stream.unconsumed_tail
            if self._stream.eof:
                self._input, self.between = self._stream.unused_data, True
            if data:
                self.at += len(data)
                return data
            if not more:
                self.over = True
                return b""

    def skip(self, offset: int) -> bool:
        """Go on to this position; whether it is there."""
        while self.at < offset:
            if not self.next(min(2**20, offset - self.at)):
                return False
        return True

    def take(self, size: int, briefly: bool = False) -> bytes:
        """The next `size` bytes; fewer at the end of what there is, before damage, or `briefly` of a bounded part of the file."""
        parts: list[bytes] = []
        until = self.taken + CHUNK
        try:
            while size and not (briefly and self.taken > until) and (part := self.next(size, briefly)):
                parts.append(part)
                size -= len(part)
        except BROKEN:
            if not parts:  # else whoever reads on is told
                raise
        return b"".join(parts)


class GzipHandle(Handle):
    """A gzip file, read as what is in it: offsets are those of the decompressed bytes."""

    compressed = True

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._stream = Unpacked(fd)
        self._head = b""
        self._looking: Unpacked | None = None

    def reaches(self, offset: int) -> bool:
        return True  # nobody knows before it is read

    def head(self, size: int) -> bytes:
        """The first bytes of what is in it, as far as they are there and whole; none yet while much in front holds none."""
        if len(self._head) < size:
            stream = self._looking = self._looking or Unpacked(self.fd)
            parts = []
            with suppress(*BROKEN):  # whoever reads on is told
                while size > stream.at and (part := stream.next(size - stream.at, briefly=True)):
                    parts.append(part)
                if not parts and not stream.over:
                    return self._head
            self._head, self._looking = b"".join(parts), None
        return self._head[:size]

    def read(self, offset: int, size: int) -> bytes:
        """Less than `size` only at the end of what there is; going back reads from the beginning again."""
        if offset < self._stream.at:
            self._stream = Unpacked(self.fd)
        return self._stream.take(size) if self._stream.skip(offset) else b""

    def read_on(self, size: int) -> bytes | None:
        """The same behind what was read last, but of a bounded part of the file; None: nothing in that, and more to come."""
        data = self._stream.take(size, briefly=True)
        return data if data or self._stream.over else None

    @property
    def whole(self) -> bool:
        """Whether the end is the end of a member: nothing is missing."""
        return self._stream.between

    @property
    def length(self) -> int:
        """Decompressed bytes read so far."""
        return self._stream.at


UNREAD = {
    ".xz": (b"\xfd7zXZ\0", "xz"),
    ".zst": (b"\x28\xb5\x2f\xfd", "zstd"),
    ".bz2": (b"BZh", "bzip2"),
    ".lz4": (b"\x04\x22\x4d\x18", "lz4"),
}
"""How packed files end and begin that would be read as if they were text."""


def open_file(path: str) -> Handle:
    """Open what is a regular file, following links; a FIFO or a device is not even touched."""
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise NotRegular(f"{path} is no regular file")
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # exchanged meanwhile
            raise NotRegular(f"{path} is no regular file")
        magic, name = UNREAD.get(os.path.splitext(path)[1], (b"", ""))  # noqa: PTH122 (for every file: no Path for that)
        if magic and os.pread(fd, len(magic), 0) == magic:
            raise NotRegular(f"it is packed with {name}; of packed files only gzip is read")
        packed = path.endswith(".gz") and b"\x1f\x8b".startswith(os.pread(fd, 2, 0))  # an empty one will be filled
        return GzipHandle(fd) if packed else Handle(fd)
    except BaseException:
        os.close(fd)
        raise
