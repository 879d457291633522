"""A drop-in output: syslog over TCP. The first release has none of its own, and this is all it takes."""

from __future__ import annotations

import asyncio
from typing import Annotated

from shipper import Event, EventOutput, Meta, Unavailable


class SyslogTcp(EventOutput):
    """Send events as RFC 5424 messages with octet counting (RFC 6587) over TCP.

    TCP syslog has no acknowledgement: what was handed to the kernel counts as delivered.
    """

    host: Annotated[str, Meta(description="Where the receiver is.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="Its port.")]

    _writer: asyncio.StreamWriter | None = None

    async def deliver(self, events: list[Event]) -> None:
        frames = [
            f"<134>1 {event['timestamp']} {event['host']} {event['app']} - - - {event['message']}".encode()
            for event in events
        ]
        try:
            if self._writer is None:
                _, self._writer = await asyncio.open_connection(self.host, self.port)
            self._writer.write(b"".join(b"%d %b" % (len(frame), frame) for frame in frames))
            await self._writer.drain()
        except OSError as error:
            self._writer = None
            raise Unavailable(str(error)) from error

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()
            self._writer = None
