"""How many requests at a time."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque

from shipper.batch import Piece
from shipper.delivery.retry import Finish


class Limit:
    """At most `slots` requests at a time, first come first served; one keeps order."""

    def __init__(self, finish: Finish, slots: int) -> None:
        self.finish = finish
        self.slots = slots
        self.running = 0
        self._queue: deque[Future[None]] = deque()

    async def __call__(self, todo: list[Piece]) -> None:
        turn: Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._admit()
        try:
            await turn
            await self.finish(todo)
        finally:
            if turn.done() and not turn.cancelled():
                self.running -= 1
                self._admit()

    def _admit(self) -> None:
        while self._queue and self.running < self.slots:
            turn = self._queue.popleft()
            if not turn.done():  # its request may have been given up meanwhile
                self.running += 1
                turn.set_result(None)

    def resize(self, slots: int) -> None:
        """Another number of slots; fewer from when requests end."""
        self.slots = slots
        self._admit()

    def __repr__(self) -> str:
        return f"Limit({self.running} of {self.slots} slots, {len(self._queue)} waiting)"
