"""Standard output, at the pace of whoever reads it."""

from __future__ import annotations

import asyncio
import os
import select
import stat
from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

from shipper.batch import Batch, Event, Piece
from shipper.component import Codec, Output
from shipper.errors import Refused, Unavailable
from shipper.options import Duration, Meta, Size, option
from shipper.policy import BatchPolicy, Delivery

ATOM = 4096
"""Bytes that a pipe takes without blocking once it is writable (PIPE_BUF of Linux; pipe(7))."""
CLOSED = "standard output is closed: nobody reads it any more, and nothing can be delivered until a restart"


class Stdout(Output):
    """Print events on standard output, in order.

    A slow reader slows the pipeline down and nothing else. When the reader has gone away the events wait, as for
    any destination that is down.
    """

    delivery: ClassVar[Delivery] = Delivery(
        batch=BatchPolicy(bytes=Size(256 * 1024), wait=Duration(0.1)), concurrency=1
    )

    codec: Annotated[Codec, Meta(description="How events are written.", extra={"default": "ndjson"})]

    _fd: int = 1
    _waits: bool = False
    _begun: tuple[bytes, int] = option((b"", 0))

    async def open(self) -> None:
        kind = os.fstat(self._fd).st_mode
        # Its O_NONBLOCK would be shared with other processes (and the terminal's keyboard), so it is never set:
        # a pipe, socket or terminal gets no more at a time than it is known to have room for.
        self._waits = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(self._fd)

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        return self.codec.encode(batch)

    async def write(self, pieces: Sequence[Piece]) -> None:
        body = self.codec.document([piece.body for piece in pieces])
        before, done = self._begun
        if done and before != body:
            if self.codec.framed and before[done - 1 : done] != b"\n":
                body = b"\n" + body  # what was begun before is not coming any more: do not glue two lines together
            done = 0
        try:
            while done < len(body):
                self._begun = (body, done)
                if self._waits and not self._ready():
                    await self._room()
                done += os.write(self._fd, body[done : done + ATOM] if self._waits else body[done:])
        except BrokenPipeError:
            raise Unavailable(CLOSED, after=5) from None
        except OSError as error:
            raise Unavailable(f"standard output: {error.strerror}") from error
        self._begun = (b"", 0)

    def _ready(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0))

    async def _room(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_writer(self._fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_writer(self._fd)

    def split(self, piece: Piece) -> list[Piece]:
        return self.codec.split(piece)

    def events(self, piece: Piece) -> list[Event]:
        return self.codec.events(piece)
