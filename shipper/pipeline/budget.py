"""One budget of log bytes for the whole process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Budget:
    """Counts the bytes of log held in memory against `memory_limit`.

    Nothing that is already in the house is refused: `take` always works, and what comes next waits (`room`)
    or is turned away. Whoever meets a full budget flushes all who hold bytes back for larger requests.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.on_full: set[Callable[[], None]] = set()
        self._given = asyncio.Event()

    def has_room(self, size: int) -> bool:
        """Whether so many bytes fit; when not, those who hold some back are told to send."""
        if self.used + size <= self.limit or not self.used:
            return True
        for flush in list(self.on_full):
            flush()
        return False

    def take(self, size: int) -> None:
        self.used += size

    def give(self, size: int) -> None:
        self.used -= size
        self._given.set()

    async def given(self) -> None:
        """Wait until somebody gave something back."""
        self._given.clear()
        await self._given.wait()

    def __repr__(self) -> str:
        return f"Budget({self.used} of {self.limit} bytes)"
