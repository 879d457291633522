"""Where one output's refused events go: to the dead letters, or, if the user wrote so, nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from shipper.batch import Event, Piece
from shipper.component import Output
from shipper.delivery.dead_letters import DeadLetters
from shipper.delivery.letters import Letter
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
        await self._put([Letter(event, reason, status, attempts) for piece in pieces for event in self._events(piece)])
        self.flow.dead_lettered(reason, count)

    async def refused(self, refused: Sequence[Refused]) -> None:
        """Events that the destination, or the encoder, refused one by one."""
        if not self.keeps:
            self.flow.dropped("refused", len(refused))
            return
        await self._put([Letter(each.event, each.reason, each.status) for each in refused])
        for each in refused:
            self.flow.dead_lettered(each.reason, 1)

    async def _put(self, letters: list[Letter]) -> None:
        await self.dead_letters.put(self.flow.name, letters, self._waits)

    def _waits(self, reason: str) -> None:
        self.flow.last_error = reason

    def _events(self, piece: Piece) -> list[Event]:
        """What was to be sent; after a bug as it was encoded, for what nobody can read must not stay in the way."""
        try:
            return self.output.events(piece)
        except Exception as error:
            self.flow.bug(error)
            return [
                {"message": piece.body.decode("utf-8", "replace"), "shipper_error": f"{type(error).__name__}: {error}"}
            ]
