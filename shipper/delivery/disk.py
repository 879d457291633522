"""The disk as the buffer sees it: a dozen calls, so that a test can put one in their place that loses power."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

MANY = 512
"""Buffers handed to the kernel in one call (IOV_MAX is 1024)."""


class Disk:
    """The real one. Every method raises OSError; nothing follows a link in the last part of a path."""

    def make_folder(self, folder: Path) -> None:
        """The folder and those above it; each new name is durable when this returns."""
        if folder.is_dir():
            return
        self.make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        self.sync_folder(folder.parent)

    def names(self, folder: Path) -> list[str]:
        return os.listdir(folder)  # noqa: PTH208 - names, not paths

    def create(self, path: Path) -> int:
        """A new file, open for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def open(self, path: Path, *, write: bool = False) -> int:
        """A file that is there."""
        return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def read(self, fd: int, offset: int, size: int) -> bytes:
        """Fewer bytes than `size` only at the end of the file."""
        data = os.pread(fd, size, offset)
        if len(data) == size or not data:
            return data
        parts = [data]
        while data and sum(map(len, parts)) < size:
            data = os.pread(fd, size - sum(map(len, parts)), offset + sum(map(len, parts)))
            parts.append(data)
        return b"".join(parts)

    def write(self, fd: int, offset: int, parts: Sequence[bytes]) -> None:
        """All of it or OSError; after an error what lies behind `offset` is undefined."""
        for start in range(0, len(parts), MANY):
            some = parts[start : start + MANY]
            length = sum(map(len, some))
            written = os.pwritev(fd, some, offset)
            if written < length:  # the disk is filling up: what is left says why
                rest = memoryview(b"".join(some))[written:]
                while rest:
                    rest = rest[os.pwrite(fd, rest, offset + length - len(rest)) :]
            offset += length

    def cut(self, fd: int, size: int) -> None:
        """Shorten the file to `size` bytes."""
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        """What was written is durable when this returns."""
        os.fdatasync(fd)

    def sync_folder(self, folder: Path) -> None:
        """Names that were made or removed are durable when this returns."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
