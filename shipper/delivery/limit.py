"""How many requests at a time."""

from __future__ import annotations

import asyncio

from shipper.batch import Piece
from shipper.delivery.retry import Finish


class Limit:
    """At most `slots` requests at a time, first come first served; one keeps order."""

    def __init__(self, finish: Finish, slots: int) -> None:
        self.finish = finish
        self.free = asyncio.Semaphore(slots)

    async def __call__(self, todo: list[Piece]) -> None:
        async with self.free:
            await self.finish(todo)

    def __repr__(self) -> str:
        return f"Limit({self.free!r})"
