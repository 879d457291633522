"""Time that stands still until it is moved."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from shipper.clock import Clock


class FakeTimer:
    """What `call_later` gives: it can be cancelled."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class FakeClock(Clock):
    """`advance` moves it and runs what became due; nothing ever really waits."""

    def __init__(self, start: float = 1_795_348_800.0) -> None:  # 2026-11-22T12:00:00Z
        self.start = start
        self.elapsed = 0.0
        self.timers: list[tuple[float, int, FakeTimer]] = []
        self._count = itertools.count()
        self.slept: list[float] = []

    def time(self) -> float:
        return self.start + self.elapsed

    def monotonic(self) -> float:
        return self.elapsed

    def call_later(self, seconds: float, call: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(call)
        heapq.heappush(self.timers, (self.elapsed + max(seconds, 0), next(self._count), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved so far; `slept` remembers what was asked for."""
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    async def advance(self, seconds: float) -> None:
        """Move the clock; what becomes due on the way runs in order, and so does what that brings about."""
        until = self.elapsed + seconds
        await turns()
        while self.timers and self.timers[0][0] <= until:
            due, _, timer = heapq.heappop(self.timers)
            self.elapsed = max(self.elapsed, due)
            if timer.call is not None:
                timer.call()
                await turns()
        self.elapsed = until
        await turns()


async def turns(count: int = 20) -> None:
    """Let everything run that can, without waiting for anything."""
    for _ in range(count):
        await asyncio.sleep(0)
