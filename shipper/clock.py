"""Time as an argument, so that a test can move it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock:
    """The machine's clock. `shipper.testing.FakeClock` stands still until it is moved."""

    def time(self) -> float:
        """Seconds since 1970, UTC; it can jump."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only grow; durations are measured with it."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, call)

    def now(self) -> str:
        """The time of reading as an event carries it: RFC 3339, UTC, microseconds."""
        return rfc3339(self.time())


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as `2026-11-22T12:00:00.000000Z`."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{_second(whole)}.{micros:06}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """It is asked for each chunk that is read, thousands of times a second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
