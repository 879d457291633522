"""The stable handle that an input sends to; behind it pipelines are exchanged between two batches."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any

from shipper.batch import Batch
from shipper.delivery.futures import all_of, settled
from shipper.errors import Unavailable
from shipper.pipeline.budget import Budget
from shipper.pipeline.chain import Pipeline
from shipper.pipeline.observe import InputFlow
from shipper.pipeline.window import Flight
from shipper.text.ids import Counted

BUSY = 1.0  # seconds after which a turned-away sender may come again


class Feed:
    """`Send` for one input: counts what comes in and hands it to every pipeline that takes it."""

    def __init__(self, flow: InputFlow, budget: Budget, bound: int) -> None:
        self.flow = flow
        self.budget = budget
        self.bound = bound
        self.pipelines: Sequence[Pipeline] = ()
        self.flight: Flight | None = None
        self.failed = asyncio.Event()
        """Set when a delivery in the window failed: the source has to begin again at its last commit."""
        self.draining = False
        self.ids: Counted | None = None
        """Makes ids at receipt, where an output wants some and the input gives none."""

    def __call__(self, batch: Batch, /) -> Future[None]:
        """Raise `Unavailable` when there is no room or the process is stopping."""
        if self.draining:
            raise Unavailable("stopping", after=BUSY)
        # an input that has nothing in flight always has room for one chunk
        if self.flow.in_flight and not self.budget.has_room(batch.size):
            raise Unavailable("no room", after=BUSY)
        return self.hand(batch)

    def hand(self, batch: Batch) -> Future[None]:
        count = len(batch)
        if self.ids is not None:
            batch.label(self.ids(count))
        flow = self.flow
        flow.received(batch, count)
        flow.in_flight += count
        future = deliver(self.pipelines, batch)

        def done(_: Future[None]) -> None:
            flow.in_flight -= count

        future.add_done_callback(done)
        return future

    def window(self, commit: Callable[[Any], None]) -> Flight:
        """The window in front of this feed; a restarted input gets the same one unless a delivery failed."""
        if self.flight is None or self.flight.error is not None:
            self.failed.clear()
            self.flight = Flight(self.hand, self.flush, self.budget, self.bound, commit, self.failed)
        self.flight.commit = commit
        return self.flight

    def flush(self) -> None:
        for pipeline in self.pipelines:
            pipeline.flush()


def deliver(pipelines: Sequence[Pipeline], batch: Batch) -> Future[None]:
    """To every pipeline; one that may change events gets events of its own.

    Those that change none share them, and come first: these events are encoded before any are changed, so that the last
    one that does may take the originals.
    """
    if len(pipelines) == 1:
        return pipelines[0](batch)
    if not pipelines:
        return settled()
    readers = [pipeline for pipeline in pipelines if not pipeline.changes]
    writers = [pipeline for pipeline in pipelines if pipeline.changes]
    if sum(pipeline.looks for pipeline in readers) > 1:
        _ = batch.events  # made once for all of them
    batches = [*(batch.copy() for _ in writers[1:]), batch]  # before any of them has begun to change things
    waits = [pipeline(batch.share()) for pipeline in readers]
    waits += [pipeline(each) for pipeline, each in zip(writers, batches, strict=False)]
    return all_of(waits)
