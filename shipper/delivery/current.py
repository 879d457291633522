"""The output as it is configured now, looked up at each try."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from shipper.batch import Piece
from shipper.component import Output


class Current:
    """Calls the `write` of the output it holds, so that a reload reaches a request in endless retry."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.busy: dict[Output, int] = {}
        self._left = asyncio.Event()
        self.closed = False

    async def __call__(self, pieces: Sequence[Piece]) -> None:
        if self.closed:  # whoever waits here is cancelled soon
            await asyncio.get_running_loop().create_future()
        output = self.output
        self.busy[output] = self.busy.get(output, 0) + 1
        try:
            await output.write(pieces)
        finally:
            self.busy[output] -= 1
            if not self.busy[output]:
                del self.busy[output]
                self._left.set()

    async def exchange(self, output: Output) -> None:
        """Put another output in its place; returns when the old one's last try has ended."""
        old, self.output = self.output, output
        while old in self.busy:
            self._left.clear()
            await self._left.wait()

    async def quiet(self, seconds: float) -> None:
        """Let no more tries begin, and wait at most so long for those under way."""
        self.closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.busy:
                    self._left.clear()
                    await self._left.wait()

    def __repr__(self) -> str:
        return f"Current({type(self.output).__name__}, {sum(self.busy.values())} tries)"
