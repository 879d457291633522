"""How a body is packed before it is sent: `none`, `gzip` (RFC 1952) or `zstd` (RFC 8878)."""

from __future__ import annotations

import asyncio
from typing import Annotated, ClassVar

from shipper.options import Group, Meta

__all__ = ["Compression", "Gzip", "Plain", "Zstd", "content_headers", "pack"]

# Handing over to a thread costs about 60 us of CPU; a log body of this size takes about a millisecond to pack.
OFF_LOOP = 256 * 1024


class Plain(Group):
    """Bodies go out as they are."""

    tag: ClassVar[str] = "none"
    encoding: ClassVar[str] = ""
    """Value of `Content-Encoding`; empty for none."""
    suffix: ClassVar[str] = ""
    """What is added to the name of a file packed this way."""

    def problem(self) -> str | None:
        """Why it cannot be used here, as a sentence; None when it can."""
        return None

    def compress(self, data: bytes) -> bytes:
        """The packed bytes; outputs of several calls can be joined."""
        return data


class Gzip(Plain):
    """gzip by the ISA-L library: several hundred MB/s at nearly zlib's ratio."""

    tag: ClassVar[str] = "gzip"
    encoding: ClassVar[str] = "gzip"
    suffix: ClassVar[str] = ".gz"

    level: Annotated[int, Meta(ge=0, le=3, description="0 is the fastest, 3 the smallest.")] = 1

    def compress(self, data: bytes) -> bytes:
        from isal import igzip

        packed: bytes = igzip.compress(data, self.level)
        return packed


class Zstd(Plain):
    """Zstandard, by the optional package `zstandard`."""

    tag: ClassVar[str] = "zstd"
    encoding: ClassVar[str] = "zstd"
    suffix: ClassVar[str] = ".zst"

    level: Annotated[int, Meta(ge=1, le=19, description="1 is the fastest, 19 the smallest.")] = 3

    def problem(self) -> str | None:
        try:
            import zstandard  # noqa: F401
        except ImportError:
            return 'zstd needs the package zstandard: pip install "shipper[zstd]"'
        return None

    def compress(self, data: bytes) -> bytes:
        import zstandard

        # A compressor must not be shared by threads, and making one costs little beside a body.
        packed: bytes = zstandard.ZstdCompressor(level=self.level).compress(data)
        return packed


Compression = Plain | Gzip | Zstd


async def pack(compression: Compression, data: bytes) -> bytes:
    """The packed bytes; a large body is packed in a thread, so that the loop turns meanwhile."""
    if not compression.encoding:
        return data
    if len(data) <= OFF_LOOP:
        return compression.compress(data)
    return await asyncio.to_thread(compression.compress, data)


def content_headers(content_type: str, compression: Compression) -> dict[str, str]:
    """The headers that say what a body is and how it is packed."""
    headers = {"Content-Type": content_type}
    if compression.encoding:
        headers["Content-Encoding"] = compression.encoding
    return headers
