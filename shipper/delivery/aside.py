"""Where one output's refused events go: to the dead letters, or, if the user wrote so, nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from shipper.batch import Piece
from shipper.component import Output
from shipper.delivery.dead_letters import DeadLetters, Letter
from shipper.errors import Refused
from shipper.pipeline.observe import OutputFlow


class Aside:
    """Sets events of one output aside; returning means that they are safe, and counted."""

    def __init__(self, output: Output, dead_letters: DeadLetters, flow: OutputFlow, keeps: bool) -> None:
        self.output = output
        self.dead_letters = dead_letters
        self.flow = flow
        self.keeps = keeps

    async def pieces(self, pieces: Sequence[Piece], reason: str, status: int | None = None, attempts: int = 1) -> None:
        """All events of these pieces, for one reason."""
        count = sum(piece.count for piece in pieces)
        if not self.keeps:
            self.flow.dropped("refused", count)
            return
        letters = [Letter(event, reason, status, attempts) for piece in pieces for event in self.output.events(piece)]
        await self.dead_letters.put(self.flow.name, letters)
        self.flow.dead_lettered(reason, count)

    async def refused(self, refused: Sequence[Refused]) -> None:
        """Events that the destination, or the encoder, refused one by one."""
        if not self.keeps:
            self.flow.dropped("refused", len(refused))
            return
        letters = [Letter(each.event, each.reason, each.status) for each in refused]
        await self.dead_letters.put(self.flow.name, letters)
        for each in refused:
            self.flow.dead_lettered(each.reason, 1)
