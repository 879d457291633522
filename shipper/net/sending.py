"""Large bodies handed to aiohttp as they lie in memory.

Of a `BytesIO` aiohttp makes a copy when it asks for its size, and another of each part: the first touches as much fresh
memory as the body is long. Plain `bytes` would go out in one go, with the loop held meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import Payload

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

__all__ = ["Body"]

FIRST = 4 << 10  # bytes of the part that is joined with the headers, which copies it
PART = 256 << 10  # bytes that are handed over at a time


class Body(Payload):
    """A body that goes out part by part, so that the loop turns between them; `sent` is how far it has come."""

    _value: bytes
    _autoclose = True  # nothing but memory

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._size = len(data)
        self.sent = 0
        """Bytes handed to the connection."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Begins anew each time: aiohttp says a PUT again when the connection turns out to be closed."""
        whole = memoryview(self._value)[:content_length]
        self.sent, size = 0, FIRST
        while self.sent < len(whole):
            if self.sent > FIRST:
                await asyncio.sleep(0)
            part = whole[self.sent : self.sent + size]
            self.sent += len(part)  # before it is written: an answer may come before this goes on
            await writer.write(part)
            size = PART
