"""Many pieces, one request."""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Callable, Sequence

from shipper.batch import Piece
from shipper.clock import Clock, Timer
from shipper.delivery.futures import all_of, failure, settle
from shipper.delivery.retry import Finish
from shipper.errors import Unavailable
from shipper.pipeline.observe import OutputFlow
from shipper.policy import BatchPolicy


class Interrupted(Unavailable):
    """A request was ended before it was settled; some of its pieces may be done."""

    def __init__(self, pieces: Sequence[Piece], left: Sequence[Piece]) -> None:
        super().__init__("stopped")
        known = {id(piece): piece for piece in pieces}
        rest = {id(piece) for piece in left}
        # parts of pieces are no pieces of the request: nobody knows what is left of which
        self.done = {key: piece for key, piece in known.items() if key not in rest} if rest <= known.keys() else {}
        """By `id`: there may be tens of thousands, and each is asked for."""


def outcome(done: Future[None], piece: Piece) -> BaseException | None:
    """What the request that a piece was in failed with, for this piece."""
    error = failure(done)
    spared = isinstance(error, Interrupted) and id(piece) in error.done
    return None if spared else error


class _Held:
    """What is collected for one request."""

    __slots__ = ("bytes", "events", "pieces", "sent", "timer")

    def __init__(self, timer: Timer) -> None:
        self.pieces: list[Piece] = []
        self.bytes = 0
        self.events = 0
        self.timer = timer
        self.sent: Future[None] = asyncio.get_running_loop().create_future()


class Batcher:
    """Collects pieces of the same key; everyone whose piece went out in a request waits for the same future."""

    def __init__(
        self, finish: Finish, policy: BatchPolicy, split: Callable[[Piece], list[Piece]], clock: Clock, flow: OutputFlow
    ) -> None:
        self.finish = finish
        self.policy = policy
        self.split = split
        self.clock = clock
        self.flow = flow
        self.held: dict[str, _Held] = {}
        self.running: dict[Task[None], list[Piece]] = {}

    def __call__(self, piece: Piece) -> Future[None]:
        policy = self.policy
        size = len(piece.body)
        over = piece.count > 1 and (size > policy.bytes or piece.count > policy.events)
        if over and (singles := self._singles(piece)):
            # done when all of them are, each in the request that has room for it
            return all_of(list(dict.fromkeys(self(single) for single in singles)))
        held = self.held.get(piece.key)
        if held and (held.bytes + size > policy.bytes or held.events + piece.count > policy.events):
            self._flush(piece.key)
            held = None
        if held is None:
            key = piece.key
            held = self.held[key] = _Held(self.clock.call_later(policy.wait, lambda: self._flush(key)))
        held.pieces.append(piece)
        held.bytes += size
        held.events += piece.count
        if held.bytes >= policy.bytes or held.events >= policy.events:
            self._flush(piece.key)
        return held.sent

    def _singles(self, piece: Piece) -> list[Piece]:
        """A piece that alone is over a limit, event by event. After a bug in `split` none: it goes out as it is."""
        try:
            singles = self.split(piece)
            if len(singles) < 2 or sum(single.count for single in singles) != piece.count:
                raise RuntimeError(f"split gave {len(singles)} pieces for {piece.count} events")
        except Exception as error:
            self.flow.bug(error)
            return []
        return singles

    def flush(self) -> None:
        """Send what is held without waiting for more: somebody upstream has no room left."""
        for key in list(self.held):
            self._flush(key)

    def _flush(self, key: str) -> None:
        held = self.held.pop(key, None)
        if held is None:
            return
        held.timer.cancel()
        pieces, todo = held.pieces, held.pieces.copy()
        task = asyncio.get_running_loop().create_task(self._finish(todo))
        self.running[task] = todo
        task.add_done_callback(lambda done: self._settle(done, held.sent, pieces))

    async def _finish(self, todo: list[Piece]) -> None:
        await self.finish(todo)

    def _settle(self, done: Task[None], sent: Future[None], pieces: list[Piece]) -> None:
        todo = self.running.pop(done)
        if done.cancelled():
            self.flow.returned(todo)
            settle(sent, Interrupted(pieces, todo))
        elif error := done.exception():
            self.flow.returned(todo)
            self.flow.bug(error)
            settle(sent, error)
        else:
            settle(sent)

    async def stop(self) -> None:
        """Give up on everything that is not settled; those who wait get an error."""
        self.flush()
        tasks = list(self.running)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def __repr__(self) -> str:
        return f"Batcher({sum(len(h.pieces) for h in self.held.values())} held, {len(self.running)} requests)"
