"""An output that does what a test says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from shipper.batch import Batch, Event, Piece
from shipper.component import Output, split_lines
from shipper.errors import Refused
from shipper.text.jsonlines import decode_lines, encode_lines


class FakeOutput(Output):
    """Keeps what it is given. `answers` are what the next requests bring: an exception, or None for success;
    when they run out every request succeeds. `gate`, when set to an Event, holds requests until it is set."""

    def __post_init__(self) -> None:
        self.answers: deque[Exception | None] = deque()
        self.requests: list[list[Piece]] = []
        self.events_delivered: list[Event] = []
        self.gate: asyncio.Event | None = None
        self.opened = 0
        self.closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        body, count, refused = encode_lines(batch)
        if count:
            yield Piece(body, count)
        yield from refused

    async def write(self, pieces: Sequence[Piece]) -> None:
        self.requests.append(list(pieces))
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.popleft() if self.answers else None
        if answer is not None:
            raise answer
        self.events_delivered += [event for piece in pieces for event in self.events(piece)]

    def split(self, piece: Piece) -> list[Piece]:
        return [Piece(line, 1, piece.key) for line in split_lines(piece.body)]

    def events(self, piece: Piece) -> list[Event]:
        return decode_lines(piece.body)
