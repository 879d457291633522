"""What was said of a whole request becomes what is true of its events."""

from __future__ import annotations

from collections.abc import Sequence

from shipper.batch import Piece, Write
from shipper.component import Output
from shipper.delivery.aside import Aside
from shipper.delivery.request_size import RequestSize
from shipper.errors import Partial, Rejected, TooLarge, Unavailable
from shipper.pipeline.observe import OutputFlow

SAME = 32
"""Single events refused in a row for the same reason, after which the rest of the request follows them."""


class Isolate:
    """Makes smaller what is refused until one event is left, which is set aside.

    What is rejected is halved; what is too large goes in requests of a size that is learned. Above it there is
    only `Unavailable`: what was delivered or set aside has left the list by then.
    """

    def __init__(self, write: Write, output: Output, aside: Aside, flow: OutputFlow) -> None:
        self.write = write
        self.output = output
        self.aside = aside
        self.flow = flow
        self.size = RequestSize()

    async def __call__(self, todo: list[Piece]) -> None:
        part = len(todo)  # pieces of the head of `todo` that go out next, unless they are too large together
        row, last = 0, ""
        while todo:
            request, part = self._request(todo, part)
            try:
                await self.write(request)
            except Partial as answer:
                self.size.went(_bytes(request))
                await self._partial(todo, request, answer)
                row, part = 0, part * 2
            except Rejected as refusal:
                if _events(request) > 1:
                    if isinstance(refusal, TooLarge):
                        self.size.refused(_bytes(request))
                    else:
                        part = self._halve(todo, request)
                    continue
                await self.aside.pieces(request, refusal.reason, refusal.status)
                del todo[: len(request)]
                row = row + 1 if refusal.reason == last and not isinstance(refusal, TooLarge) else 1
                last = refusal.reason
                if row >= SAME and todo and self.aside.keeps:
                    # a mistake such as a wrong mapping refuses everything: do not ask once for each event
                    await self.aside.pieces(todo, refusal.reason, refusal.status)
                    todo.clear()
                if row > 1:
                    part = 1
            else:
                self.flow.delivered(request)
                self.size.went(_bytes(request))
                del todo[: len(request)]
                row, part = 0, part * 2

    def _request(self, todo: list[Piece], part: int) -> tuple[list[Piece], int]:
        """The head of `todo`, at most `part` pieces and at most what the destination takes, and at least one."""
        part = min(part, len(todo))
        count, size = self._fitting(todo[:part])
        if count < part and todo[count].count > 1 and size * 4 < self.size.most * 3:
            singles = self._singles(todo[count])
            todo[count : count + 1] = singles
            part += len(singles) - 1
            count, _ = self._fitting(todo[:part])
        return todo[: max(count, 1)], part

    def _fitting(self, pieces: Sequence[Piece]) -> tuple[int, int]:
        """How many of the first of them fit into one request, and their bytes."""
        total = 0
        for count, piece in enumerate(pieces):
            if total + len(piece.body) > self.size.most:
                return count, total
            total += len(piece.body)
        return len(pieces), total

    async def _partial(self, todo: list[Piece], request: Sequence[Piece], answer: Partial) -> None:
        if answer.refused:
            await self.aside.refused(answer.refused)
        self.flow.delivered_events(_events(request) - _events(answer.rest) - len(answer.refused))
        todo[: len(request)] = answer.rest
        if answer.rest:
            raise Unavailable(answer.reason or "partly unavailable", answer.after)

    def _halve(self, todo: list[Piece], request: Sequence[Piece]) -> int:
        """How many pieces of the head of `todo` are half of the request; a single piece is split for that."""
        if len(request) > 1:
            return (len(request) + 1) // 2
        todo[:1] = singles = self._singles(request[0])
        return (len(singles) + 1) // 2

    def _singles(self, piece: Piece) -> list[Piece]:
        """The same events in at least two pieces, one piece an event."""
        pieces = self.output.split(piece)
        if len(pieces) < 2 or _events(pieces) != piece.count:
            raise RuntimeError(f"split gave {len(pieces)} pieces with {_events(pieces)} events for {piece.count}")
        return pieces


def _events(pieces: Sequence[Piece]) -> int:
    return sum(piece.count for piece in pieces)


def _bytes(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.body) for piece in pieces)
