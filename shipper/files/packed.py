"""Whether packed files are whole: a torn member at the end makes everything that comes behind it unreadable."""

from __future__ import annotations

import os
import zlib

CHUNK = 1 << 20
MARKS = {
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0" + bytes(8),
    "zstd": b"\x28\xb5\x2f\xfd\x20\0\x01\0\0",
}
"""A member (RFC 1952) and a frame (RFC 8878) in which there is nothing: behind a piece they say that all of it is there."""


def gzip_whole(fd: int) -> bool:
    """Whether a file of gzip members ends with a whole one."""
    at, fresh, member = 0, True, zlib.decompressobj(31)
    while data := os.pread(fd, CHUNK, at):
        at += len(data)
        while data:
            try:
                member.decompress(data)
            except zlib.error:
                return False
            fresh, data = member.eof, member.unused_data
            if fresh:
                member = zlib.decompressobj(31)
    return fresh


def zstd_whole(fd: int) -> bool:
    """Whether a file of zstd frames ends with a whole one."""
    import zstandard

    at, fresh = 0, True
    frame = zstandard.ZstdDecompressor().decompressobj()
    while data := os.pread(fd, CHUNK, at):
        at += len(data)
        while data:
            try:
                frame.decompress(data)
            except zstandard.ZstdError:
                return False
            fresh = frame.eof
            data = frame.unused_data if fresh else b""
            if fresh:
                frame = zstandard.ZstdDecompressor().decompressobj()
    return fresh
