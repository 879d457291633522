"""Drive an input by answers, not by time: take the next batch, accept it or refuse it, see what it commits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from shipper.batch import Batch, Event, Window, merged
from shipper.clock import Clock
from shipper.component import Input, Scope
from shipper.errors import Unavailable
from shipper.share import WHOLE, Share

PATIENCE = 10.0  # seconds; only a test that fails waits that long


class Refusal(Exception):
    """Ends `run` inside the driver when a delivery was refused, as the runner does it."""


class _Taken:
    def __init__(self, batch: Batch, commit: Callable[[], None] | None, generation: int) -> None:
        self.batch = batch
        self.commit = commit
        self.generation = generation
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class DriveWindow:
    """Stands where the core's window stands: hands batches to the test, commits those it accepts, in order."""

    def __init__(self, driver: Driver, commit: Callable[[Any], None]) -> None:
        self.driver = driver
        self.commit = commit

    async def submit(self, batch: Batch, position: Any) -> None:
        while len(self.driver.pending) >= self.driver.room:
            self.driver.moved.clear()
            await self.driver.moved.wait()
        self.driver.push(batch, lambda: self.commit(position))


class Driver:
    """An input under test, from outside."""

    def __init__(self, source: Input, scope: Scope, room: int) -> None:
        self.source = source
        self.scope = scope
        self.room = room
        self.pending: deque[_Taken] = deque()
        self.unread: deque[_Taken] = deque()
        self.moved = asyncio.Event()
        self.arrived = asyncio.Event()
        self.busy: Unavailable | None = None
        self.generation = 0
        self.task: asyncio.Task[None] | None = None

    # what the input sees
    def __call__(self, batch: Batch, /) -> asyncio.Future[None]:
        if self.busy:
            raise self.busy
        return self.push(batch, None).future

    def window(self, commit: Callable[[Any], None]) -> Window:
        return DriveWindow(self, commit)

    def push(self, batch: Batch, commit: Callable[[], None] | None) -> _Taken:
        taken = _Taken(batch, commit, self.generation)
        self.pending.append(taken)
        self.unread.append(taken)
        self.arrived.set()
        return taken

    # what the test says
    async def next(self) -> Batch:
        """The next batch that the input sent; fails after ten seconds, or when the input ended."""
        async with asyncio.timeout(PATIENCE):
            while not self.unread:
                if self.task is not None and self.task.done():
                    self.task.result()
                    raise AssertionError("the input ended and sent nothing more")
                self.arrived.clear()
                waits = [asyncio.ensure_future(self.arrived.wait())]
                if self.task is not None:
                    waits.append(self.task)  # type: ignore[arg-type]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                waits[0].cancel()
        return self.unread.popleft().batch

    async def events(self, count: int) -> list[Event]:
        """The next `count` events, attributes merged in, each batch accepted as it comes."""
        found: list[Event] = []
        while len(found) < count:
            batch = await self.next()
            found += [merged(event, batch.attrs) for event in batch.events]
            self.accept()
        return found

    async def nothing(self, seconds: float = 0.3) -> None:
        """Fail when the input sends anything within this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                batch = await self.next()
                raise AssertionError(f"it sent {batch.events}")

    def accept(self) -> None:
        """The oldest open batch is safe: its future is done, its position is committed."""
        taken = self.pending.popleft()
        if not taken.future.done():
            taken.future.set_result(None)
        if taken.commit:
            taken.commit()
        self.moved.set()

    def refuse(self, error: Exception) -> None:
        """The oldest open batch failed. A pull input is closed, opened and run again; a push input gets the error."""
        taken = self.pending.popleft()
        self.moved.set()
        if taken.commit is None:
            taken.future.set_exception(error)
            return
        self.pending.clear()
        self.unread.clear()
        self.generation += 1
        old = self.task
        self.task = asyncio.get_running_loop().create_task(self._again(old))

    async def _again(self, old: asyncio.Task[None] | None) -> None:
        if old is not None:
            old.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await old
        await self.source.close()
        await self.source.open()
        await self.source.run(self)

    async def ended(self) -> None:
        """Wait until `run` returned by itself; what it raised is raised here."""
        assert self.task is not None
        async with asyncio.timeout(PATIENCE):
            await asyncio.shield(self.task)

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task


@asynccontextmanager
async def drive(
    source: Input,
    state: Path | None = None,
    *,
    clock: Clock | None = None,
    room: int = 1000,
    name: str = "driven",
    share: Share = WHOLE,
    common: Path | None = None,
) -> AsyncIterator[Driver]:
    """Open and run an input with a driver in the place of the core; stop and close it at the end.

    `state` is the folder for its positions; `room` how many batches a window takes before it waits; `share` and `common`
    are for one of several workers.
    """
    scope = Scope(name, state, clock, checkpoint_interval=0.02, share=share, common=common)
    source.scope = scope
    driver = Driver(source, scope, room)
    await source.open()
    try:
        driver.task = asyncio.get_running_loop().create_task(source.run(driver))
        yield driver
    finally:
        try:
            await driver.stop()
        finally:
            await source.close()
