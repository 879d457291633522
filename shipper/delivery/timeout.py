"""Too long is unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shipper.batch import Piece, Write
from shipper.errors import Unavailable
from shipper.options import Duration


class Timeout:
    """Bounds one request; one that takes longer is cancelled and counts as unavailable."""

    def __init__(self, write: Write, seconds: float) -> None:
        self.write = write
        self.seconds = seconds

    async def __call__(self, pieces: Sequence[Piece]) -> None:
        try:
            async with asyncio.timeout(self.seconds) as limit:
                await self.write(pieces)
        except TimeoutError as error:
            if not limit.expired():
                raise Unavailable(f"timed out: {error}") from error
            raise Unavailable(f"no answer within {Duration(self.seconds)}") from None
