"""Dead letters as an input: sent again, and taken out of their files once they are safe elsewhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from shipper.batch import ID, Batch, Event, Send
from shipper.clock import Clock, Timer
from shipper.component import Input
from shipper.delivery.letters import decode_letter
from shipper.delivery.shelf import Sheet, Shelf, Span, some_lines
from shipper.pipeline.observe import log

Accepts = Callable[[dict[str, Any]], bool]
BATCH = 100  # letters that are safe together or not at all: what comes twice after a stop is a few of these
SHARE = 10  # taking letters out means writing the rest anew: at most a tenth of the time goes into that


class _Leaf:
    """One file of letters. What was delivered is remembered in places of the file as it was when it was opened."""

    def __init__(self, sheet: Sheet, handle: int) -> None:
        self.sheet = sheet
        self.handle = handle
        self.size = os.fstat(handle).st_size
        self.done: list[Span] = []
        self.saved = 0
        self.open_batches = 0
        self.reading = True


class Stock:
    """The letters of a component that there were when a replay began; newer ones are left for the next."""

    def __init__(self, shelf: Shelf, component: str, clock: Clock, interval: float) -> None:
        self.shelf = shelf
        self.clock = clock
        self.interval = self.pause = interval
        self.component = component
        self.sheets: list[Sheet] | None = None
        self.sent = 0
        """Letters that were delivered."""
        self.leaves: set[_Leaf] = set()
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        self._saving = asyncio.Lock()

    async def take(self) -> None:
        """Set apart what there is now, once: letters that come back belong to the next replay."""
        if self.sheets is None:
            self.sheets = await asyncio.to_thread(self.shelf.set_apart, self.component)

    async def open(self, sheet: Sheet) -> _Leaf | None:
        """A file to read; None when it made room for newer letters meanwhile."""
        try:
            leaf = _Leaf(sheet, await asyncio.to_thread(self.shelf.open, sheet))
        except FileNotFoundError:
            return None
        self.leaves.add(leaf)
        return leaf

    def safe(self, leaf: _Leaf, spans: Sequence[Span]) -> None:
        """These letters were delivered: they leave the file soon, together with those that follow."""
        leaf.done += spans
        leaf.open_batches -= 1
        self.sent += len(spans)
        if self._timer is None:
            self._timer = self.clock.call_later(self.pause, self._save_soon)

    def _save_soon(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._save_now())

    async def _save_now(self) -> None:
        began = self.clock.monotonic()
        try:
            await self.save()
        except OSError as error:
            log.error("letters that were delivered stay in the dead letters for now: %s", error)
            self._timer = self._timer or self.clock.call_later(self.interval, self._save_soon)
        self.pause = max(self.interval, SHARE * (self.clock.monotonic() - began))

    async def save(self) -> None:
        """Take out of the files what was delivered; raise OSError when the disk refuses."""
        async with self._saving:
            for leaf in list(self.leaves):
                count = len(leaf.done)
                if count > leaf.saved:
                    rest = without(leaf.size, leaf.done[:count])
                    await asyncio.to_thread(self.shelf.keep, leaf.sheet, leaf.handle, rest)
                    leaf.saved = count
                if not leaf.reading and not leaf.open_batches and len(leaf.done) == leaf.saved:
                    self._forget(leaf)

    def _forget(self, leaf: _Leaf) -> None:
        self.leaves.discard(leaf)
        os.close(leaf.handle)

    async def close(self) -> None:
        """What was delivered until now leaves the files; what was not is read anew next time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            await self.save()
        finally:
            for leaf in list(self.leaves):
                self._forget(leaf)


class Replay(Input):
    """Says dead letters again, in the order in which they were set aside. Made by `shipper dlq replay` only."""

    repeatable: ClassVar[bool] = True
    names: ClassVar[bool] = True  # letters keep the ids that they were set aside with

    stock: Any
    accepts: Any
    """Which letters: a function of one."""

    _sheet: int = 0
    _leaf: _Leaf | None = None
    _at: int = 0
    _safe: int = 0

    async def open(self) -> None:
        await self.stock.take()
        # files begin anew: what was delivered of them is no longer there
        self._sheet, self._leaf, self._at = self._safe, None, 0

    async def run(self, send: Send) -> None:
        window = send.window(self._commit)
        stock: Stock = self.stock
        sheets = stock.sheets or []
        while self._sheet < len(sheets):
            if self._leaf is None:
                self._leaf, self._at = await stock.open(sheets[self._sheet]), 0
            leaf = self._leaf
            while leaf is not None:
                lines, end = await asyncio.to_thread(some_lines, leaf.handle, self._at, leaf.size)
                if not lines:
                    break
                for first in range(0, len(lines), BATCH):
                    some = lines[first : first + BATCH]
                    events, spans = self._chosen(some, leaf.size)
                    if events:
                        leaf.open_batches += 1
                        size = sum(end - begin for begin, end in spans)
                        await window.submit(Batch(events, size=size), (self._sheet, leaf, spans))
                    self._at = lines[first + BATCH][0] if first + BATCH < len(lines) else end
            if leaf is not None:
                leaf.reading = False
            self._leaf = None
            self._sheet += 1

    def _chosen(self, lines: Sequence[tuple[int, bytes]], size: int) -> tuple[list[Event], list[Span]]:
        events: list[Event] = []
        spans: list[Span] = []
        for begin, line in lines:
            letter = decode_letter(line)
            if letter is not None and self.accepts(letter):
                if not self._ids:
                    letter["event"].pop(ID, None)
                events.append(letter["event"])
                spans.append((begin, min(begin + len(line) + 1, size)))
        return events, spans

    def _commit(self, position: tuple[int, _Leaf, list[Span]]) -> None:
        self._safe, leaf, spans = position
        self.stock.safe(leaf, spans)

    async def close(self) -> None:
        self._leaf = None
        try:
            await self.stock.close()
        except OSError as error:
            log.error("letters that were delivered are still in the dead letters: %s", error)


def without(size: int, done: Sequence[Span]) -> list[Span]:
    """What is left of so many bytes without these spans."""
    left: list[Span] = []
    at = 0
    for begin, end in sorted(done):
        if begin > at:
            left.append((at, begin))
        at = max(at, end)
    if at < size:
        left.append((at, size))
    return left
