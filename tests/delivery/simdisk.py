"""A disk in memory that forgets what was not fsynced when the power goes, and fails when it is told to."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shipper.delivery.disk import Disk

SECTOR = 512


@dataclass
class Inode:
    durable: bytes = b""
    now: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)  # writes since the last fsync


class SimDisk(Disk):
    """Names become durable by `sync_folder`, contents by `sync`; `power_cut` keeps any part of the rest."""

    def __init__(self, seed: int = 0, room: int = 10**9) -> None:
        self.random = random.Random(seed)
        self.room = room
        self.names_now: dict[Path, Inode] = {}
        self.names_durable: dict[Path, Inode] = {}
        self.open_files: dict[int, Inode] = {}
        self.next_fd = 100
        self.fail_sync = 0
        """So many fsyncs fail, and take what they were to save with them or not."""
        self.fail_write = 0
        self.fail_read = 0
        self.syncs = 0

    # names
    def make_folder(self, folder: Path) -> None:
        pass

    def names(self, folder: Path) -> list[str]:
        return [path.name for path in self.names_now if path.parent == folder]

    def create(self, path: Path) -> int:
        if path in self.names_now:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        self.names_now[path] = Inode()
        return self.open(path)

    def open(self, path: Path, *, write: bool = False) -> int:
        if path not in self.names_now:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        self.next_fd += 1
        self.open_files[self.next_fd] = self.names_now[path]
        return self.next_fd

    def remove(self, path: Path) -> None:
        self.names_now.pop(path, None)

    def set_aside(self, path: Path) -> Path:
        place = Path("/quarantine") / path.name
        self.names_now[place] = self.names_now.pop(path)
        return place

    def sync_folder(self, folder: Path) -> None:
        self._sync_fails()
        for path in [path for path in self.names_durable if path.parent == folder and path not in self.names_now]:
            del self.names_durable[path]
        for path, inode in self.names_now.items():
            if path.parent == folder:
                self.names_durable[path] = inode

    # contents
    def size(self, fd: int) -> int:
        return len(self.open_files[fd].now)

    def read(self, fd: int, offset: int, size: int) -> bytes:
        if self.fail_read:
            self.fail_read -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return bytes(self.open_files[fd].now[offset : offset + size])

    def write(self, fd: int, offset: int, parts: Sequence[bytes]) -> None:
        data = b"".join(parts)
        inode = self.open_files[fd]
        used = sum(len(each.now) for each in self.names_now.values())
        if self.fail_write or used + max(offset + len(data) - len(inode.now), 0) > self.room:
            self.fail_write = max(self.fail_write - 1, 0)
            self._put(inode, offset, data[: self.random.randrange(len(data) + 1)])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._put(inode, offset, data)

    @staticmethod
    def _put(inode: Inode, offset: int, data: bytes) -> None:
        if len(inode.now) < offset:
            inode.now.extend(b"\0" * (offset - len(inode.now)))
        inode.now[offset : offset + len(data)] = data
        inode.pending.append((offset, data))

    def cut(self, fd: int, size: int) -> None:
        del self.open_files[fd].now[size:]

    def _sync_fails(self) -> None:
        self.syncs += 1
        if self.fail_sync:
            self.fail_sync -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def sync(self, fd: int) -> None:
        inode = self.open_files[fd]
        try:
            self._sync_fails()
        except OSError:
            if self.random.random() < 0.5:  # the kernel forgets that the pages were dirty
                inode.pending.clear()
                inode.now[:] = inode.durable
            raise
        inode.durable = bytes(inode.now)
        inode.pending.clear()

    def close(self, fd: int) -> None:
        del self.open_files[fd]

    # faults
    def power_cut(self) -> None:
        """Any of the names and sectors that were not fsynced may be there, and any may not."""
        names = {path: inode for path, inode in self.names_durable.items() if path.parent != Path("/quarantine")}
        for path in set(self.names_now) ^ set(self.names_durable):
            if self.random.random() < 0.5:
                if path in self.names_now:
                    names[path] = self.names_now[path]
                else:
                    names.pop(path, None)
        for inode in {id(inode): inode for inode in names.values()}.values():
            kept = bytearray(inode.durable)
            for offset, data in inode.pending:
                for at in range(0, len(data), SECTOR):
                    place, sector = offset + at, data[at : at + SECTOR]
                    if len(kept) < place + len(sector) and self.random.random() < 0.8:
                        kept.extend(b"\0" * (place + len(sector) - len(kept)))  # the size is there, the bytes are not
                    if self.random.random() < 0.5 and place <= len(kept):
                        kept[place : place + len(sector)] = sector
            inode.durable, inode.now = bytes(kept), bytearray(kept)
            inode.pending.clear()
        self.names_now, self.names_durable = dict(names), dict(names)
        self.open_files.clear()
        self.fail_sync = self.fail_write = self.fail_read = 0
