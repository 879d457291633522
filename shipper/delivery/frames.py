"""How a piece lies on the disk: a header, the key, the body, under one checksum.

    magic 4 | CRC-32 of all that follows 4 | bytes of body 4 | number of its first event 8 | events 4 | numbers skipped 4 |
    bytes of key 2 | kind 1 | 0          little-endian, 32 bytes; then the key (UTF-8), then the body

Events are numbered through the life of a buffer, so whoever reads knows from two frames how many events a
damaged part between them held. No number is used twice: those of an append that failed are skipped, for what it left
on the disk may still be read one day.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from shipper.batch import Piece

crc32: Callable[[bytes, int], int]
try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this machine: slower, and otherwise the same
    crc32 = zlib.crc32

MAGIC = b"\xf1shp"
HEAD = struct.Struct("<4sIIQIIHBx")
REST = struct.Struct("<IQIIHBx")
LARGEST = 2**30
"""No body is larger: a length beyond it is damage, not a reason to read on."""
RECORD, ABOUT = 0, 1


class Frame(NamedTuple):
    """What was found at a place in a segment."""

    kind: int
    first: int
    """Number of its first event."""
    piece: Piece
    length: int
    """Bytes it takes in the segment."""
    skipped: int = 0
    """Numbers before the first that stand for no event."""

    @property
    def end(self) -> int:
        return self.first + self.piece.count


def frame(kind: int, first: int, piece: Piece, skipped: int = 0) -> list[bytes]:
    """The parts of a frame, the body as it is and not copied."""
    key = piece.key.encode("utf-8", "surrogatepass")
    rest = REST.pack(len(piece.body), first, piece.count, skipped, len(key), kind) + key
    checksum = crc32(piece.body, crc32(rest, 0))
    return [MAGIC + checksum.to_bytes(4, "little") + rest, piece.body]


class Short(Exception):
    """The data ends before the frame does; `need` bytes would hold it."""

    def __init__(self, need: int) -> None:
        super().__init__(need)
        self.need = need


def parse(data: bytes, at: int) -> Frame | None:
    """The frame that begins at `at`; None when there is no whole and undamaged one. Raise Short."""
    if len(data) - at < HEAD.size:
        if not MAGIC.startswith(data[at : at + 4]):
            return None
        raise Short(HEAD.size)
    magic, checksum, size, first, count, skipped, key_size, kind = HEAD.unpack_from(data, at)
    if magic != MAGIC or size > LARGEST:
        return None
    length = HEAD.size + key_size + size
    if len(data) - at < length:
        raise Short(length)
    body_at = at + HEAD.size + key_size
    body = data[body_at : body_at + size]
    if crc32(body, crc32(data[at + 8 : body_at], 0)) != checksum:
        return None
    try:
        key = data[at + HEAD.size : body_at].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    return Frame(kind, first, Piece(body, count, key), length, skipped)
