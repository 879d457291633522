"""Packed bodies from strangers, unpacked without trusting them: bounded in bytes and in members, one layer deep.

DEFLATE makes at most 1032 bytes of one; zstd, which can make millions, is held to 2,000, and fed so little at a time that
it cannot get far beyond the bounds, with windows of at most 8 MiB.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from shipper.errors import TooLarge

__all__ = ["known", "unpack"]

MEMBERS = 1024  # gzip members or zstd frames in one body
WINDOW = 8 * 1024 * 1024
RATIO, FREE = 2_000, 1024 * 1024  # bytes out of one that came in, beyond the first MiB: more than logs ever shrink
GZIP, ZLIB, RAW = 31, 15, -15  # `wbits` of zlib
PIECE, ZSTD_PIECE = 16 * 1024, 512  # bytes fed at a time; what is left of a piece is copied at each member's end


def known(encoding: str) -> bool:
    """Whether a `Content-Encoding` can be unpacked here: gzip, deflate, and zstd where `zstandard` is installed."""
    if encoding == "zstd":
        try:
            import zstandard  # noqa: F401
        except ImportError:
            return False
    return encoding in ("", "identity", "gzip", "x-gzip", "deflate", "zstd")


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """The bytes. Raises TooLarge beyond `limit` bytes, 1,024 members or 2,000 bytes of one, ValueError when they are broken or incomplete."""
    if encoding in ("", "identity"):
        if len(body) > limit:
            raise TooLarge(f"more than {limit} bytes")
        return body
    if encoding == "zstd":
        return _zstd(body, limit)
    if encoding == "deflate":  # RFC 9110 means zlib's format; some send bare DEFLATE
        wrapped = body[:1] == b"\x78" and int.from_bytes(body[:2], "big") % 31 == 0
        return _members(body, limit, PIECE, lambda: zlib.decompressobj(ZLIB if wrapped else RAW), zlib.error)
    return _members(body, limit, PIECE, lambda: zlib.decompressobj(GZIP), zlib.error)


def _members(body: bytes, limit: int, piece: int, make: Callable[[], Any], broken: type[Exception]) -> bytes:
    """Members one after another; `make` gives a decompressor as `zlib.decompressobj` does."""
    found: list[bytes] = []
    room, at, members = limit, 0, 0
    view = memoryview(body)
    reader: Any = None
    while at < len(body):
        if reader is None:
            members += 1
            if members > MEMBERS:
                raise TooLarge(f"more than {MEMBERS} members")
            reader = make()
        fed = view[at : at + piece]
        try:
            out = reader.decompress(fed, room + 1)
        except broken as error:
            raise ValueError(f"broken: {error}") from error
        room -= len(out)
        if room < 0:
            raise TooLarge(f"more than {limit} bytes when unpacked")
        found.append(out)
        at += len(fed) - len(reader.unused_data)
        if limit - room > max(FREE, RATIO * at):
            raise TooLarge(f"more than {RATIO} bytes of each that came")
        if reader.eof:
            reader = None
    if reader is not None or not members:
        raise ValueError("incomplete")
    return b"".join(found)


class _Zstd:
    """A zstandard decompressor in the shape of zlib's. It takes no bound for what comes out."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def decompress(self, data: memoryview, _: int) -> bytes:
        out: bytes = self._reader.decompress(data)
        return out

    @property
    def eof(self) -> bool:
        return bool(self._reader.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._reader.unused_data)


def _zstd(body: bytes, limit: int) -> bytes:
    import zstandard

    made = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    return _members(body, limit, ZSTD_PIECE, lambda: _Zstd(made.decompressobj()), zstandard.ZstdError)
