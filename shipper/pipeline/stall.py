"""How long the event loop was held up."""

from __future__ import annotations

import asyncio
import logging
import time

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
EVERY = 0.25  # seconds between looks; idle this costs nothing that can be measured


LONG = 0.05
"""Seconds with one batch from which on it counts, and is said."""
AGAIN = 60.0
log = logging.getLogger("shipper")


class Held:
    """How often, and how long, one component held the loop with one batch: `shipper_component_stall_seconds`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.sum = 0.0
        self.longest = 0.0
        self._said = float("-inf")

    def add(self, seconds: float, events: int) -> None:
        """More than `LONG`; the log says it once a minute."""
        self.count += 1
        self.sum += seconds
        self.longest = max(self.longest, seconds)
        if time.monotonic() - self._said >= AGAIN:
            self._said = time.monotonic()
            log.warning("%s held the loop for %.2f s with a batch of %d events", self.name, seconds, events)


class Stalls:
    """A histogram of how late a timer fires: `shipper_loop_stall_seconds`."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        self.sum += seconds
        self.longest = max(self.longest, seconds)
        for index, bound in enumerate(BOUNDS):
            if seconds <= bound:
                self.counts[index] += 1
                return
        self.counts[-1] += 1

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY
            await asyncio.sleep(EVERY)
            self.add(max(loop.time() - due, 0.0))
