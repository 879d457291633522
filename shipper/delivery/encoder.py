"""Batch to pieces, at once."""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Iterable
from time import monotonic

from shipper.batch import Batch, Piece, Put, merged
from shipper.component import Output
from shipper.delivery.aside import Aside
from shipper.delivery.futures import all_of, settle, settled
from shipper.errors import Refused, Unavailable
from shipper.pipeline.budget import Budget
from shipper.pipeline.observe import OutputFlow
from shipper.pipeline.stall import LONG

PIECE = 2048
"""Bytes of memory that a piece on its way takes besides its body; an event may be a piece of its own."""


class Encoder:
    """Encodes when it is called; no frame that waits for the delivery keeps the batch alive.

    The pieces' bytes stand in the budget until they are safe.
    """

    def __init__(self, output: Output, put: Put, aside: Aside, budget: Budget, flow: OutputFlow) -> None:
        self.output = output
        self.put = put
        self.aside = aside
        self.budget = budget
        self.flow = flow
        self.refusing: set[Task[None]] = set()

    def __call__(self, batch: Batch) -> Future[None]:
        self.flow.handed(len(batch))
        waits: list[Future[None]] = []
        refused: list[Refused] = []
        for each in self._encode(batch):
            if isinstance(each, Piece):
                waits.append(self._put(each))
            else:
                refused.append(each)
        if refused:
            waits.append(self._refuse(refused))
        return all_of(waits) if waits else settled()

    def _encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        began = monotonic()
        found = self._encoded(batch)
        if (took := monotonic() - began) > LONG:
            self.flow.held.add(took, len(batch))
        return found

    def _encoded(self, batch: Batch) -> Iterable[Piece | Refused]:
        try:
            return list(self.output.encode(batch))
        except Exception as error:
            self.flow.bug(error)
        found: list[Piece | Refused] = []  # a bug met one of the events: find it, spare the others
        for event in batch.events:
            try:
                found += self.output.encode(Batch([event], attrs=batch.attrs))
            except Exception as error:
                found.append(Refused(merged(event, batch.attrs), f"encode: {type(error).__name__}: {error}"))
        return found

    def _put(self, piece: Piece) -> Future[None]:
        size = len(piece.body) + PIECE
        self.budget.take(size)
        future = self.put(piece)
        future.add_done_callback(lambda _: self.budget.give(size))
        return future

    def _refuse(self, refused: list[Refused]) -> Future[None]:
        loop = asyncio.get_running_loop()
        future: Future[None] = loop.create_future()

        def done(task: Task[None]) -> None:
            self.refusing.discard(task)
            if task.cancelled() or task.exception():
                self.flow.returned_events(len(refused))
                settle(future, Unavailable("the dead letters cannot be written"))
            else:
                settle(future)

        task = loop.create_task(self.aside.refused(refused))
        self.refusing.add(task)
        task.add_done_callback(done)
        return future

    async def stop(self) -> None:
        """Give up on dead letters that cannot be written."""
        for task in self.refusing:
            task.cancel()
        if self.refusing:
            await asyncio.wait(self.refusing)
