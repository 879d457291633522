"""How many requests at a time."""

from __future__ import annotations

import asyncio

from shipper.batch import Piece
from shipper.delivery.retry import Finish


class Limit:
    """At most `slots` requests at a time, first come first served; one keeps order."""

    def __init__(self, finish: Finish, slots: int) -> None:
        self.finish = finish
        self.slots = slots
        self.free = asyncio.Semaphore(slots)
        self._over = 0  # slots that are to go when a request ends

    async def __call__(self, todo: list[Piece]) -> None:
        await self.free.acquire()
        try:
            await self.finish(todo)
        finally:
            if self._over:
                self._over -= 1
            else:
                self.free.release()

    def resize(self, slots: int) -> None:
        """Another number of slots; fewer from when requests end."""
        more, self.slots = slots - self.slots, slots
        kept = min(more, self._over)  # fewer slots: negative, and so many more are to go
        self._over -= kept
        for _ in range(more - kept):
            self.free.release()

    def __repr__(self) -> str:
        return f"Limit({self.slots} slots, {self.free!r})"
