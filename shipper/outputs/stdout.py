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
from shipper.files.turns import Turn
from shipper.options import Duration, Meta, Size, option
from shipper.policy import BatchPolicy, Delivery

ATOM = 4096
"""Bytes that a pipe takes without blocking once it is writable (PIPE_BUF of Linux; pipe(7))."""
GIVEN_UP = 60.0
"""Seconds after which what was begun is not coming again, and other workers have their turn."""
CLOSED = "standard output is closed: nobody reads it any more, and nothing can be delivered until a restart"


class Stdout(Output):
    """Print events on standard output, in order.

    A slow reader slows the pipeline down and nothing else. When the reader has gone away the events wait, as for
    any destination that is down. Several `workers` print in turn, request by request.
    """

    delivery: ClassVar[Delivery] = Delivery(
        batch=BatchPolicy(bytes=Size(256 * 1024), wait=Duration(0.1)), concurrency=1
    )

    codec: Annotated[Codec, Meta(description="How events are written.", extra={"default": "ndjson"})]

    _fd: int = 1
    _waits: bool = False
    _begun: tuple[bytes, int] = option((b"", 0))
    _turn: Turn | None = None
    _left: float | None = None

    async def open(self) -> None:
        kind = os.fstat(self._fd).st_mode
        # Its O_NONBLOCK would be shared with other processes (and the terminal's keyboard), so it is never set:
        # a pipe, socket or terminal gets no more at a time than it is known to have room for.
        self._waits = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(self._fd)
        common = self.scope.common
        if self._turn is None and common is not None and self.scope.share.divided:
            self._turn = Turn(common / "stdout.lock", self.scope.clock)

    async def close(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.close(done=not self._begun[1])

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        return self.codec.encode(batch)

    async def idle(self) -> None:
        if self._turn is not None and self._left is not None and self.scope.clock.monotonic() - self._left > GIVEN_UP:
            self._turn.give(done=False)
            self._begun, self._left = (b"", 0), None

    async def write(self, pieces: Sequence[Piece]) -> None:
        body = self.codec.document([piece.body for piece in pieces])
        turn = self._turn
        if turn is None:
            await self._print(body)
            return
        broken = not turn.held and await turn.take()
        self._left = None
        try:
            if broken and self.codec.framed:  # another process was killed in the middle of a line
                await self._print(b"\n")
                broken = False
            await self._print(body)
        finally:
            if self._begun[1]:  # the rest comes first, when it is tried again
                self._left = self.scope.clock.monotonic()
            else:
                turn.give(done=not broken)

    async def _print(self, body: bytes) -> None:
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
