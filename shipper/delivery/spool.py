"""Where pieces wait while the destination is behind: in memory for a moment, then on disk."""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from shipper.batch import Piece, Put
from shipper.clock import Clock, Timer
from shipper.delivery.batcher import outcome
from shipper.delivery.futures import settle
from shipper.delivery.held import Health, Held
from shipper.delivery.marks import TIDY, Marks
from shipper.delivery.store import Record, Store
from shipper.errors import Unavailable
from shipper.pipeline.budget import Budget
from shipper.pipeline.observe import OutputFlow, log
from shipper.policy import Delivery

GROUP = 8 * 2**20
"""Bytes in one append: one fsync for all who wait."""
OVERHEAD = 32
"""Bytes of a frame besides key and body."""
READS = 3
"""Times that a read may fail before its segment is set aside."""
T = TypeVar("T")


class Spool:
    """Disk-assisted: while the output keeps up, pieces pass without touching the disk.

    What is not delivered after `spill_after` is appended in order, fsynced and acknowledged. Below wait at most
    `concurrency` + 1 requests, which stay in memory; what comes later goes to disk only and is read back in order. A
    disk that is full or fails is back-pressure: pieces wait in memory, those who sent them wait for them.
    """

    def __init__(
        self, put: Put, flush: Callable[[], None], store: Store, policy: Delivery, budget: Budget, clock: Clock, flow: OutputFlow
    ) -> None:  # fmt: skip
        self.put = put
        self.flush = flush
        self.store = store
        self.budget = budget
        self.clock = clock
        self.flow = flow
        self.configure(policy)
        self.below: dict[Held, None] = {}
        self.below_bytes = self.below_events = 0
        self.below_unsafe = 0
        """How many of those below are in memory only: counted, for there may be tens of thousands."""
        self.waiting: deque[Held] = deque()
        self.behind = store.unread
        """Whether something on disk has to be read back before anything else may pass."""
        self.hurried = False
        self.closing = False
        self.stopped = False
        self.marks = Marks(clock)
        self.health = Health(flow)
        self._reads = 0
        self._timer: Timer | None = None
        self._worker: Task[None] | None = None
        self._thread: Task[Any] | None = None
        self._again = asyncio.Event()

    def configure(self, policy: Delivery) -> None:
        """Take over what a reload changed."""
        self.policy = policy
        self.store.limit = int(policy.buffer.disk)
        self.room_bytes = (policy.concurrency + 1) * policy.batch.bytes
        self.room_events = (policy.concurrency + 1) * policy.batch.events

    # in
    def __call__(self, piece: Piece) -> Future[None]:
        safe: Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(Held(piece, self.clock.monotonic(), safe))
        self._pump()
        return safe

    def start(self) -> None:
        """Go on with what an earlier run left. Nothing is counted before: a reload may be rolled back."""
        self.flow.buffer_bytes = lambda: self.store.bytes
        self.flow.opened_buffer(self.store.waiting, self.store.take_lost())
        self._pump()

    def _pump(self) -> None:
        """Pass down what may pass, and have the worker do what the disk is needed for."""
        if self.closing:
            return
        while self.waiting and not self.behind and self._has_room():
            self._down(self.waiting.popleft())
        if self.behind or self.marks:
            self._kick()
        if self.waiting and len(self.below) and not self._has_room():
            self.flush()  # pieces of many keys are held back for larger requests: they take up all the room
        if self._timer is None and (self.waiting or self.below_unsafe):
            self._arm()

    def _has_room(self) -> bool:
        return not self.below or (self.below_bytes < self.room_bytes and self.below_events < self.room_events)

    def _down(self, held: Held) -> None:
        if self.closing and held.record is not None:  # after a bug, when it is too late
            self.flow.spilled(held.piece.count)
            self.budget.give(len(held.piece.body))
            return
        held.below = True
        self.below[held] = None
        self.below_bytes += len(held.piece.body)
        self.below_events += held.piece.count
        self.below_unsafe += held.record is None
        self.put(held.piece).add_done_callback(lambda done: self._back(held, done))

    def _back(self, held: Held, done: Future[None]) -> None:
        """The request that a piece was in has ended."""
        error = outcome(done, held.piece)
        size = len(held.piece.body)
        self.below.pop(held, None)
        self.below_bytes -= size
        self.below_events -= held.piece.count
        self.below_unsafe -= held.record is None
        held.below = False
        if error is not None and held.record is not None:
            if self.closing:  # it stays on disk
                self.flow.again(held.piece.count)
                self.flow.spilled(held.piece.count)
                self.budget.give(size)
            else:  # nothing but a bug below
                self.flow.again(held.piece.count)
                self.clock.call_later(1.0, lambda: self._down(held))
            return
        held.over = True
        if held.record is not None:
            self.marks.add(held.record)
            self.budget.give(size)
        if held.safe is not None:
            settle(held.safe, error)
        self._pump()

    # when
    @property
    def patience(self) -> float:
        """Seconds for which a piece may be on its way before it goes to disk."""
        spill = float(self.policy.buffer.spill_after)
        return spill if self.hurried else spill + float(self.policy.batch.wait)

    def _unsafe(self) -> list[Held]:
        """What is in memory only, in order."""
        return [*(held for held in self.below if held.record is None), *self.waiting]

    def _due(self) -> bool:
        oldest = next((held for held in self.below if held.record is None), None)
        if oldest is None:
            oldest = self.waiting[0] if self.waiting else None
        if oldest is None:
            return False
        # behind what is on disk already there is nothing to hope for
        return bool(self.behind and self.waiting) or self.clock.monotonic() - oldest.born >= self.patience

    def _arm(self) -> None:
        oldest = next((held for held in self.below if held.record is None), None) or next(iter(self.waiting), None)
        if oldest is not None:
            after = max(oldest.born + self.patience - self.clock.monotonic(), 0.01)
            self._timer = self.clock.call_later(after, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due():
            self._kick()
        elif not self.closing:
            self._arm()

    def hurry(self) -> None:
        """The process stops: what is not delivered soon goes to disk, whatever batches it was held back for."""
        if not self.hurried:
            self.hurried = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._pump()

    # the disk
    def _kick(self) -> None:
        if not self.health.failing:
            self._again.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        pause = 0.1
        while not self.stopped:
            self._again.clear()
            moved, failed = False, None
            # each of them whatever befell the others: a full disk must not keep it from draining
            for step in (self._spill_due, self._read_more, self._tidy_due):
                try:
                    moved = await step() or moved
                except Exception as error:
                    failed = error
            self._note_lost()
            self._pump_more()
            if failed is not None:
                self.health.fails(failed)
                await self._rest(pause, whatever_comes=True)  # tries are counted
                pause = min(pause * 2, 1.0)
                continue
            pause = 0.1
            self.health.works()
            if moved or self._again.is_set():
                continue
            if self.marks:  # saved with others, a little later
                await self._rest(TIDY)
                continue
            if not self._due():
                return
            if self.health.full:  # room comes with deliveries
                await self._rest(0.2)

    async def _spill_due(self) -> bool:
        return await self._spill() if self._due() else False

    async def _read_more(self) -> bool:
        if not self.behind or not self._has_room() or self.closing:
            return False
        try:
            moved = await self._read_back()
        except OSError as error:
            self._reads += 1
            if self._reads > READS:
                self._reads = 0
                await self._disk(partial(self.store.give_up, error))
            raise
        self._reads = 0
        return moved

    async def _tidy_due(self) -> bool:
        if not (self.marks.due(self.room_events, self.room_bytes) or (self.marks and not self.behind)):
            return False
        await self._tidy()
        return self.health.full

    async def _rest(self, seconds: float, whatever_comes: bool = False) -> None:
        if whatever_comes and not self.stopped:
            self._again.clear()
        timer = self.clock.call_later(seconds, self._again.set)
        await self._again.wait()
        timer.cancel()

    def _pump_more(self) -> None:
        while self.waiting and not self.behind and not self.closing and self._has_room():
            self._down(self.waiting.popleft())
        if self._timer is None and not self.closing and not self._due():
            self._arm()

    async def _disk(self, call: Callable[[], T]) -> T:
        """Run in a thread; what is done is marked first."""
        while self._thread is not None and not self._thread.done():  # of somebody who was cancelled
            await asyncio.wait([self._thread])
        marks = self.marks.take()

        def work() -> T:
            for first, end in marks:
                self.store.mark(first, end)
            return call()

        self._thread = asyncio.get_running_loop().create_task(asyncio.to_thread(work))
        return await asyncio.shield(self._thread)

    async def _tidy(self) -> None:
        events, size = self.marks.events, self.marks.bytes
        await self._disk(self.store.tidy)
        self.marks.saved(events, size)

    async def _spill(self) -> bool:
        """Append what is in memory only, oldest first; whether anything was."""
        unsafe = self._unsafe()
        if not unsafe:
            return False
        group: list[Held] = []
        size = 0
        for held in unsafe:
            length = len(held.piece.body) + len(held.piece.key) + OVERHEAD
            if not self.store.has_room(size + length) and not await self._make_room(size + length):
                break
            group.append(held)
            size += length
            if size >= min(GROUP, self.store.segment):
                break
        self.health.is_full(not group, self.policy.buffer.disk, self.policy.buffer.when_full == "block")
        if not group:
            return self._drop_newest()
        records = await self._disk(lambda: self.store.append([held.piece for held in group]))
        down = 0  # those that are below need not be read back
        for held, record in zip(group, records, strict=True):
            held.record = record
            self.below_unsafe -= held.below
            if held.over:
                self.marks.add(record)
            elif held.below:
                self.budget.take(len(held.piece.body))
            else:
                self.flow.spilled(held.piece.count)
            if held.over or held.below:
                down = record.end
        if down and not self.behind:
            self.store.cursor = down
        on_disk = [held for held in group if not held.over and not held.below]
        for _ in on_disk:  # what is below has left `waiting` before
            self.waiting.popleft()
        self.behind = self.store.unread
        for held in group:
            if held.safe is not None:
                settle(held.safe)
        return True

    async def _make_room(self, size: int) -> bool:
        if self.marks:
            await self._tidy()
        while not self.store.has_room(size):
            if self.policy.buffer.when_full != "drop_oldest":
                return False
            dropped = await self._disk(self.store.drop_oldest)
            if not dropped:
                return False
            self.flow.unspilled(dropped)
            self.flow.dropped("buffer_full", dropped)
            self.behind = self.store.unread
        return True

    def _drop_newest(self) -> bool:
        if self.policy.buffer.when_full != "drop_newest" or not self.waiting:
            return False
        while self.waiting:
            held = self.waiting.pop()
            self.flow.dropped("buffer_full", held.piece.count)
            if held.safe is not None:
                settle(held.safe)
        return True

    async def _read_back(self) -> bool:
        size = max(self.room_bytes - self.below_bytes, 1)
        events = max(self.room_events - self.below_events, 1)
        records: Sequence[Record] = await self._disk(lambda: self.store.read(min(size, GROUP), events))
        self._note_lost()
        now = self.clock.monotonic()
        for record in records:
            self.flow.unspilled(record.piece.count)
            self.budget.take(len(record.piece.body))
            self._down(Held(record.piece, now, None, record))
        self.behind = self.store.unread
        return True

    def _note_lost(self) -> None:
        lost = self.store.take_lost()
        if lost is None:
            return
        self.flow.found -= lost.never
        self.flow.buffered -= lost.never
        self.flow.unspilled(lost.events)
        self.flow.damaged(lost)

    # out
    @property
    def idle(self) -> bool:
        """Whether nothing is left, in memory or on disk."""
        return not (self.below or self.waiting or self.behind)

    async def stop(self) -> None:
        """No more goes down; what is in memory only is put on disk, if that is possible now."""
        self.closing = self.hurried = True
        if self._timer is not None:
            self._timer.cancel()
        if self._worker is not None and not self._worker.done():
            self.stopped = True
            self._again.set()
            await asyncio.wait([self._worker])  # its thread could not be ended anyway
        self.stopped = True
        try:
            while self._unsafe() and await self._spill():
                pass
        except OSError as error:
            log.error("output %s: its buffer cannot be used: %s", self.flow.name, error)

    async def close(self) -> None:
        """Once nothing is below any more: those who still wait get an error, the progress is saved."""
        for held in self.waiting:
            self.flow.returned_events(held.piece.count)
            if held.safe is not None:
                settle(held.safe, Unavailable("stopped"))
        self.waiting.clear()
        try:
            await self._disk(self.store.close)
        except OSError as error:
            log.error("output %s: the progress of its buffer cannot be saved: %s", self.flow.name, error)

    def __repr__(self) -> str:
        return f"Spool({len(self.below)} below, {len(self.waiting)} waiting, {self.store!r})"
