"""Reads standard input until it ends."""

from __future__ import annotations

import asyncio
import os
import stat
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Annotated, ClassVar, Literal

from shipper.batch import Attrs, Send
from shipper.component import Codec, Input
from shipper.files.assembling import Assembler, Ready, own
from shipper.files.reading import CHUNK, Lines, Reading
from shipper.options import Meta, Size, option


class Stdin(Input):
    """Read lines from standard input: `app | shipper run`. At its end the input ends, and Shipper with it.

    While outputs are behind, nothing is read, so that the program in front waits; what was read and not
    delivered when Shipper is killed is lost, as standard input cannot say a line again.
    """

    codec: Annotated[Codec | None, Meta(description="What the lines are; without one each is a `message`.")] = None
    max_line_bytes: Annotated[Size, Meta(ge=1, description="Longest line, without its end.")] = Size(2**20)
    on_long_line: Annotated[
        Literal["split", "truncate", "drop"],
        Meta(description="What becomes of a longer line: several events, its beginning alone, or nothing."),
    ] = "truncate"

    repeatable: ClassVar[bool] = False
    _fd: int = 0
    _assembler: Assembler | None = None
    _ready: deque[Ready] = option(deque)
    _ended: bool = False

    async def open(self) -> None:
        if self._assembler is None:  # opened again, it goes on: standard input has no other position
            clock = self.scope.clock

            def attrs() -> Attrs:
                return {"timestamp": clock.now()}

            stateful = own(self.codec)
            reading = Reading(max_line_bytes=int(self.max_line_bytes), on_long_line=self.on_long_line)
            lines = Lines(reading, self.scope.count, exact=stateful is not None)
            codec = None if stateful else self.codec
            self._assembler = Assembler(
                lines, attrs, clock.monotonic, codec=codec, stateful=stateful, count=self.scope.count
            )

    async def run(self, send: Send) -> None:
        assert self._assembler is not None, "opened first"
        window = send.window(lambda place: None)
        wait = self._waiter()
        while True:
            while self._ready:  # also what an earlier run could not hand on
                await window.submit(*self._ready[0])
                self._ready.popleft()
            if self._ended:
                return
            await wait()
            data = os.read(self._fd, CHUNK)
            if data:
                self._ready += self._assembler.feed(data)
            else:
                self._ended = True
                self._ready += self._assembler.finish()

    @property
    def held(self) -> int:
        begun = self._assembler is not None and self._assembler.holding
        return sum(len(batch) for batch, _ in self._ready) + begun

    def _waiter(self) -> Callable[[], Awaitable[None]]:
        """What waits until a read does not block. Files and some devices never do, and cannot be waited for."""
        mode = os.fstat(self._fd).st_mode
        if stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(self._fd)):
            return _turn
        return Readable(self._fd)


async def _turn() -> None:
    """Let the others have their turn."""
    await asyncio.sleep(0)


class Readable:
    """Waits for a pipe, a terminal or a socket. The descriptor stays blocking: others may share it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def __call__(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(self._fd, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(self._fd)
