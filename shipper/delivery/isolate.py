"""What was said of a whole request becomes what is true of its events."""

from __future__ import annotations

from collections.abc import Sequence

from shipper.batch import Piece, Write
from shipper.component import Output
from shipper.delivery.aside import Aside
from shipper.errors import Partial, Rejected, TooLarge, Unavailable
from shipper.pipeline.observe import OutputFlow

SAME = 32
"""Single events refused in a row for the same reason, after which the rest of the request follows them."""


class Isolate:
    """Halves what is refused until one event is left, which is set aside.

    Above it there is only `Unavailable`: what was delivered or set aside has left the list by then.
    """

    def __init__(self, write: Write, output: Output, aside: Aside, flow: OutputFlow) -> None:
        self.write = write
        self.output = output
        self.aside = aside
        self.flow = flow

    async def __call__(self, todo: list[Piece]) -> None:
        part = len(todo)  # pieces of the head of `todo` that go out next
        row, last = 0, ""
        while todo:
            part = min(part, len(todo))
            request = todo[:part]
            try:
                await self.write(request)
            except Partial as answer:
                await self._partial(todo, request, answer)
                row, part = 0, part * 2
            except Rejected as refusal:
                if _events(request) > 1:
                    todo[:part] = halves = self._halves(request)
                    part = (len(halves) + 1) // 2
                    continue
                await self.aside.pieces(request, refusal.reason, refusal.status)
                del todo[:part]
                row = row + 1 if refusal.reason == last and not isinstance(refusal, TooLarge) else 1
                last = refusal.reason
                if row >= SAME and todo and self.aside.keeps:
                    # a mistake such as a wrong mapping refuses everything: do not ask once for each event
                    await self.aside.pieces(todo, refusal.reason, refusal.status)
                    todo.clear()
                part = 1 if row > 1 else max(part, 1)
            else:
                self.flow.delivered(request)
                del todo[:part]
                row, part = 0, part * 2

    async def _partial(self, todo: list[Piece], request: Sequence[Piece], answer: Partial) -> None:
        if answer.refused:
            await self.aside.refused(answer.refused)
        self.flow.delivered_events(_events(request) - _events(answer.rest) - len(answer.refused))
        todo[: len(request)] = answer.rest
        if answer.rest:
            raise Unavailable(answer.reason or "partly unavailable", answer.after)

    def _halves(self, request: list[Piece]) -> list[Piece]:
        """The same events in at least two pieces: whole ones first, else one piece an event."""
        if len(request) > 1:
            return request
        pieces = self.output.split(request[0])
        if len(pieces) < 2 or _events(pieces) != request[0].count:
            raise RuntimeError(f"split gave {len(pieces)} pieces with {_events(pieces)} events for {request[0].count}")
        return pieces


def _events(pieces: Sequence[Piece]) -> int:
    return sum(piece.count for piece in pieces)
