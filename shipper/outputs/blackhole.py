"""Nowhere: for benchmarks, and for trying out what comes before an output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

from shipper.batch import Batch, Event, Piece
from shipper.component import Codec, Output
from shipper.errors import Refused
from shipper.options import Meta
from shipper.policy import Delivery


class Blackhole(Output):
    """Take events and forget them; they count as delivered.

    Without a `codec` events are only counted, lines are not even decoded. With one they are encoded first, so
    that its cost is real. `rate` makes it a slow destination.
    """

    delivery: ClassVar[Delivery] = Delivery(concurrency=1)

    rate: Annotated[float | None, Meta(gt=0, description="Events a second at most; unlimited by default.")] = None
    codec: Annotated[Codec | None, Meta(description="How events are encoded before they are forgotten.")] = None

    _due: float | None = None

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        if self.codec is not None:
            return self.codec.encode(batch)
        return [Piece(b"", len(batch))] if batch else []

    async def write(self, pieces: Sequence[Piece]) -> None:
        if self.rate is None:
            return
        clock = self.scope.clock
        if self._due is None:  # a request that is given up goes on where it was when it comes again
            self._due = clock.monotonic() + sum([piece.count for piece in pieces]) / self.rate
        await clock.sleep(self._due - clock.monotonic())
        self._due = None

    def split(self, piece: Piece) -> list[Piece]:
        return self.codec.split(piece) if self.codec is not None else [Piece(b"", 1, piece.key)] * piece.count

    def events(self, piece: Piece) -> list[Event]:
        return self.codec.events(piece) if self.codec is not None else [{} for _ in range(piece.count)]
