"""Speed and order for pull inputs: many batches in flight, the delivered prefix committed in order."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable
from typing import Any

from shipper.batch import Batch
from shipper.delivery.futures import failure
from shipper.errors import ShipperError
from shipper.pipeline.budget import Budget


class Broken(ShipperError):
    """A delivery of this window failed: its source has to say everything behind the last commit again."""


class Flight:
    """A window: bounded in bytes, below the budget of the process, but always with room for one batch.

    Counted in bytes and not in batches, and whoever waits flushes first: otherwise it starves behind a batcher
    that waits for more.
    """

    def __init__(
        self,
        send: Callable[[Batch], Future[None]],
        flush: Callable[[], None],
        budget: Budget,
        bound: int,
        commit: Callable[[Any], None],
        failed: asyncio.Event,
    ) -> None:
        self.send = send
        self.flush = flush
        self.budget = budget
        self.bound = bound
        self.commit = commit
        self.flight: deque[tuple[Future[None], Any, int]] = deque()
        self.bytes = 0
        self.waiting_since: float | None = None
        self.error: BaseException | None = None
        self.failed = failed
        self._moved = asyncio.Event()

    async def submit(self, batch: Batch, position: Any) -> None:
        """Raise `Broken` when a delivery failed meanwhile: nothing behind it will be committed."""
        size = batch.size
        while self.flight and (self.bytes + size > self.bound or not self.budget.has_room(size)):
            self.flush()  # nobody may wait for a timer while others wait for room
            await self._wait()
        self._check()
        sent = self.send(batch)
        del batch
        self.flight.append((sent, position, size))
        self.bytes += size
        sent.add_done_callback(self._advance)

    async def _wait(self) -> None:
        self._check()
        if self.waiting_since is None:
            self.waiting_since = asyncio.get_running_loop().time()
        self._moved.clear()
        moved = asyncio.ensure_future(self._moved.wait())
        given = asyncio.ensure_future(self.budget.given())
        try:
            await asyncio.wait((moved, given), return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()
            given.cancel()
            self.waiting_since = None

    def _check(self) -> None:
        if self.error is not None:
            raise Broken(f"a delivery failed: {self.error}") from self.error

    def _advance(self, _: Future[None]) -> None:
        while self.flight and self.flight[0][0].done():
            sent, position, size = self.flight.popleft()
            self.bytes -= size
            if self.error is None and (error := failure(sent)) is not None:
                self.error = error
                self.failed.set()
            if self.error is None:
                self.commit(position)
        self._moved.set()

    async def settled(self) -> None:
        """Wait until nothing is in flight; what is held back for larger requests is sent."""
        while self.flight:
            self.flush()
            self._moved.clear()
            await self._moved.wait()

    def __repr__(self) -> str:
        return f"Flight({len(self.flight)} batches, {self.bytes} of {self.bound} bytes)"
