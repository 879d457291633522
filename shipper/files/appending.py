"""Appending to files below a folder: nothing outside of it, nothing torn, nothing deleted but what `keep` says.

Everything here blocks; it is called in threads, one at a time for each file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path

FILE_MODE = 0o640
FOLDER_MODE = 0o750
MOST = 512
"""Bodies for one call; the system takes at least 1024 (IOV_MAX)."""
STAMP = r"\.(\d{8}T\d{6}Z)(?:-(\d+))?"


class Forbidden(OSError):
    """Something inside the folder stands in the way: a link, a folder or a device where a file should be."""


class Disk:
    """The two calls that a full or broken disk fails; a test hands in its own."""

    def write(self, fd: int, bodies: Sequence[bytes]) -> int:
        return os.writev(fd, bodies)

    def sync(self, fd: int) -> None:
        os.fsync(fd)


def make_base(base: str) -> None:
    """The literal folder; links in front of it and on its way are the user's own."""
    Path(base).mkdir(FOLDER_MODE, parents=True, exist_ok=True)


def open_below(base: str, segments: Sequence[str]) -> tuple[int, int]:
    """Descriptors of the file (made if need be) and of its folder. Inside `base` no link is followed.

    Raises Forbidden when something is in the way, OSError when the system does not let it.
    """
    make_base(base)
    folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in segments[:-1]:
            inner = _folder(folder, name)
            os.close(folder)
            folder = inner
        return open_file_at(folder, segments[-1]), folder
    except OSError as error:
        os.close(folder)
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
            raise Forbidden(error.errno, "a link, a folder or a device is in the way") from error
        raise


def _folder(parent: int, name: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, FOLDER_MODE, dir_fd=parent)
        os.fsync(parent)
        return os.open(name, flags, dir_fd=parent)


def open_file_at(folder: int, name: str) -> int:
    """A descriptor of a file in a folder that is open, made if need be. Raises OSError."""
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        fd = os.open(name, flags | os.O_CREAT, FILE_MODE, dir_fd=folder)
        os.fsync(folder)  # a file that is synced is lost all the same when its name is not
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EISDIR, "no regular file")
    return fd


@dataclass(frozen=True, slots=True)
class Shape:
    """How files are kept: what ends them, when they are exchanged for new ones, how many old ones stay."""

    lines: bool = True
    """Whether they are uncompressed lines, so that a torn last line can be seen and closed."""
    whole: Callable[[int], bool] | None = None
    """Whether a packed file (its descriptor) is intact to its end."""
    mark: bytes = b""
    """What several processes that append to a packed file put behind each piece: one that ends with it is intact."""
    suffix: str = ""
    size: int | None = None
    every: float | None = None
    keep: int | None = None


class Appender:
    """One open file."""

    def __init__(
        self, base: str, segments: Sequence[str], shape: Shape, now: float, disk: Disk, clean: int | None = None
    ) -> None:
        self.base, self.segments, self.shape, self.disk = base, list(segments), shape, disk
        self.name = self.segments[-1]
        self.path = "/".join([base.rstrip("/"), *segments])
        self.fd, self.folder = open_below(base, segments)
        self.written = os.fstat(self.fd).st_mtime
        self.safe = self.length = os.fstat(self.fd).st_size
        """Its length, and how much of it is known to be on the disk."""
        try:
            if self.length != clean:  # not as it was closed by us
                self._mend(now)
        except BaseException:
            self.close()
            raise

    def _mend(self, now: float) -> None:
        """A crash may have left half a line, or half a packed piece, at the end. It was never acknowledged."""
        if not self.length:
            return
        if self.shape.lines and os.pread(self.fd, 1, self.length - 1) != b"\n":
            self._write([b"\n"])
        elif self.shape.whole is not None and not self.shape.whole(self.fd):
            self._exchange(now)  # readers stop at a torn piece: nothing may come behind it

    def append(self, bodies: Sequence[bytes], now: float) -> None:
        """All of it or nothing. Raises OSError; the file is then as long as before."""
        if self.due(sum(map(len, bodies)), now):
            self._exchange(now)
        self._write(bodies)
        self.written = now

    def _write(self, bodies: Sequence[bytes]) -> None:
        """As they are: joining a megabyte costs more than writing it."""
        before = done = os.fstat(self.fd).st_size
        try:
            for at in range(0, len(bodies), MOST):
                part = bodies[at : at + MOST]
                left = sum(map(len, part))
                while left:
                    count = self.disk.write(self.fd, part)
                    done, left = done + count, left - count
                    if left:
                        part = [b"".join(part)[count:]]
        except OSError:
            os.ftruncate(self.fd, before)
            raise
        self.length = done

    def sync(self) -> None:
        """What was appended when it was called is on the disk when it returns. Raises OSError."""
        length = self.length
        self.disk.sync(self.fd)
        self.safe = length

    def cut_back(self) -> None:
        """Take back what a failed sync did not cover."""
        with contextlib.suppress(OSError):  # then it is there twice, and not torn
            os.ftruncate(self.fd, self.safe)
            self.length = self.safe

    def moved(self) -> bool:
        """Whether somebody else has renamed or deleted it."""
        mine = os.fstat(self.fd)
        try:
            there = Path(self.path).lstat()
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def close(self) -> None:
        for fd in (self.fd, self.folder):
            with contextlib.suppress(OSError):
                os.close(fd)

    def due(self, more: int, now: float) -> bool:
        """Whether a new file is begun before so many bytes more. Periods begin at multiples of `every` since 1970, so that a restart does not move them."""
        size, every = self.shape.size, self.shape.every
        if not self.length:
            return False
        if size is not None and self.length + more > size:
            return True
        return every is not None and now // every > self.written // every

    def _exchange(self, now: float) -> None:
        """The file gets a name with the time; a new one takes its place; the oldest go when there are too many."""
        self.disk.sync(self.fd)
        stem = self.name.removesuffix(self.shape.suffix)
        suffix = self.name[len(stem) :]
        stamp = f"{stem}.{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
        numbers = [number for name, number in self._rotated(stem, suffix) if name.startswith(stamp)]
        old = f"{stamp}-{numbers[-1][1] + 1}{suffix}" if numbers else stamp + suffix
        os.rename(self.name, old, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        self._switch()
        if self.shape.keep is not None:
            rotated = self._rotated(stem, suffix)
            for name, _ in rotated[: max(len(rotated) - self.shape.keep, 0)]:
                with contextlib.suppress(FileNotFoundError):  # another process has begun yet another file meanwhile
                    os.unlink(name, dir_fd=self.folder)

    def _switch(self) -> None:
        """Go on with the file that lies at the path now, made if need be."""
        fd = open_file_at(self.folder, self.name)
        os.close(self.fd)
        self.fd = fd
        self.length = self.safe = os.fstat(fd).st_size

    def _rotated(self, stem: str, suffix: str) -> list[tuple[str, tuple[str, int]]]:
        """The old files of this one with their time and number, oldest first."""
        ours = re.compile(re.escape(stem) + STAMP + re.escape(suffix))
        names = map(ours.fullmatch, os.listdir(self.folder))  # noqa: PTH208  (by its descriptor)
        return sorted([(found[0], (found[1], int(found[2] or 0))) for found in names if found], key=itemgetter(1))
