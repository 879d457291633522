"""An input for tests of the core: hands on what it holds when it is told to stop, as sockets and pipes do."""

import asyncio
from typing import ClassVar

from shipper import Batch, Input, Send


class Parting(Input):
    """Says its one line when it is stopped, after `pause` seconds, and keeps what became of it."""

    pause: float = 0

    deliveries: ClassVar[list[asyncio.Future[None]]] = []

    async def run(self, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(self.pause)
            self.deliveries.append(send(Batch([{"n": 1}])))
            raise
