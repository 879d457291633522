"""One input while it runs: opened, run, run again when it fails, stopped, closed."""

from __future__ import annotations

import asyncio

from shipper.clock import Clock
from shipper.component import Input
from shipper.config.model import Spec
from shipper.pipeline.feed import Feed
from shipper.pipeline.observe import log
from shipper.pipeline.window import Broken

LONGEST_PAUSE = 30.0
HEALTHY = 60.0  # seconds after which a run counts as having worked


class Source:
    """Runs an input; no input contains retry code.

    When `run` raises, it is called again and goes on behind what was submitted last, in the same window. When
    a delivery failed, the input is closed and opened, and goes on at its last commit in a new window.
    """

    def __init__(self, spec: Spec, component: Input, feed: Feed, clock: Clock) -> None:
        self.spec = spec
        self.input = component
        self.feed = feed
        self.clock = clock
        self.task: asyncio.Task[None] | None = None

    def start(self, is_open: bool = True) -> None:
        """Run in the background; one that is not open yet is opened first, again and again if need be."""
        work = self._run(is_open)
        self.task = asyncio.get_running_loop().create_task(work, name=f"input {self.spec.name}")

    async def _run(self, is_open: bool) -> None:
        flow = self.feed.flow
        pause = 1.0
        while True:
            began = self.clock.monotonic()
            try:
                if not is_open:
                    await self.input.open()
                    is_open = True
                flow.state = "running"
                if await self._once():
                    flow.state = "ended"
                    return
                await self._close_after_failure()
                is_open = False
                await self.clock.sleep(min(pause, 1))  # whatever failed at once would fail again at once
                continue
            except Exception as error:
                flow.last_error = f"{type(error).__name__}: {error}"
                expected = isinstance(error, OSError)
                log.error("input %s: %s", self.spec.name, flow.last_error, exc_info=None if expected else error)
            flow.state = "failed"
            pause = 1.0 if self.clock.monotonic() - began > HEALTHY else pause
            await self.clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _once(self) -> bool:
        """One call of `run`: True when it ended by itself, False when a delivery failed."""
        loop = asyncio.get_running_loop()
        run = loop.create_task(self.input.run(self.feed))
        failed = loop.create_task(self.feed.failed.wait())
        try:
            await asyncio.wait((run, failed), return_when=asyncio.FIRST_COMPLETED)
            if not self.feed.failed.is_set():
                run.result()
                return True
            return False
        except Broken:
            return False
        finally:
            for task in (run, failed):
                task.cancel()
            await asyncio.wait((run, failed))  # not `await run`: who is cancelled here must hear of it
            if not run.cancelled():
                run.exception()  # what it raises once it is told to stop is of no more interest

    async def _close_after_failure(self) -> None:
        """What is still in flight is settled first, so that a line is not in flight twice."""
        log.warning("input %s: a delivery failed; going on at the last position that is safe", self.spec.name)
        if self.feed.flight is not None:
            await self.feed.flight.settled()
        await self.input.close()
        self.feed.failed.clear()
        self.feed.flight = None

    async def stop(self) -> None:
        """Stop reading; deliveries go on and still move the position until `close`."""
        if self.task is not None:
            if not self.task.cancelling():  # told twice it would leave behind what it still does
                self.task.cancel()
            await asyncio.wait((self.task,))  # not `await self.task`: who is cancelled here must hear of it
        self.feed.draining = True  # only now: what it still held when it was stopped is let in
        if self.feed.flow.state != "ended":
            self.feed.flow.state = "stopped"

    async def resume(self) -> None:
        """After `stop` and `close`: go on, in a new window, at the last position that is safe."""
        self.feed.draining = False
        self.feed.flight = None
        self.feed.failed.clear()
        self.start(is_open=False)

    async def close(self) -> None:
        try:
            await self.input.close()
        except Exception as error:
            log.error("input %s: close failed: %s: %s", self.spec.name, type(error).__name__, error, exc_info=error)
        self.feed.flow.state = "closed"

    def __repr__(self) -> str:
        return f"Source({self.spec.name}, {self.feed.flow.state}, {self.feed.flow.in_flight} in flight)"
