"""Which file is which: numbers that the file system gives, and what is in the file.

(device, inode) says it while a handle is open. After that the inode may have gone to another file (ext4 does
that at once), so the time of birth, a digest of the beginning and one of the bytes before the position have
to agree as well. The two digests alone know a copy of a file, wherever it lies.
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, Protocol

HEAD = 1024
"""Bytes of the beginning that are compared; fewer while the file has fewer."""

Key = tuple[int, int]
"""(device, inode)."""


class Digest(NamedTuple):
    """Some bytes, told by how many they are and a hash of them; log text never goes into a state file."""

    length: int = 0
    hash: str = ""

    @classmethod
    def of(cls, data: bytes) -> Digest:
        return cls(len(data), blake2b(data, digest_size=8).hexdigest()) if data else cls()


class Readable(Protocol):
    """An open file as identity sees it."""

    compressed: bool

    def reaches(self, offset: int) -> bool: ...

    def head(self, size: int) -> bytes: ...

    def read(self, offset: int, size: int) -> bytes: ...


def same_head(file: Readable, head: Digest) -> bool:
    """Whether the file begins with what was digested."""
    return not head.length or Digest.of(file.head(head.length)) == head


def same_content(file: Readable, head: Digest, offset: int, mark: Digest) -> bool:
    """Whether the file is what was read up to `offset`: long enough, the same beginning, the same bytes before.

    Of a compressed file only the beginning is compared: the rest would have to be decompressed first.
    """
    if not file.reaches(offset) or not same_head(file, head):
        return False
    if file.compressed or not mark.length:
        return True
    return Digest.of(file.read(offset - mark.length, mark.length)) == mark


_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800


class _Statx(ctypes.Structure):
    """`struct statx` of linux/stat.h, as far as it is used."""

    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("unused", ctypes.c_ubyte * 76),
        ("birth_seconds", ctypes.c_int64),
        ("birth_nanoseconds", ctypes.c_uint32),
        ("rest", ctypes.c_ubyte * 164),
    )


@lru_cache
def _statx() -> ctypes._NamedFuncPointer | None:
    try:
        return ctypes.CDLL(None, use_errno=True).statx
    except (OSError, AttributeError):  # another system, or a C library without it
        return None


def born(fd: int) -> int:
    """When the file was made, in nanoseconds since 1970; 0 where nobody knows. statx(2)."""
    statx = _statx()
    if statx is None:
        birth: float = getattr(os.fstat(fd), "st_birthtime", 0)  # BSD and macOS
        return int(birth * 1e9)
    found = _Statx()
    if statx(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, ctypes.byref(found)) or not found.mask & _STATX_BTIME:
        return 0
    return int(found.birth_seconds) * 10**9 + int(found.birth_nanoseconds)
