"""Events that will never be delivered, kept with the reason: one JSON line each, on disk before it counts as safe."""

from __future__ import annotations

import asyncio
import sys
from asyncio import Future
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from shipper.clock import Clock
from shipper.delivery.futures import settle, settled
from shipper.delivery.letters import Letter, encode_letter
from shipper.delivery.shelf import Full, Shelf
from shipper.pipeline.budget import Budget
from shipper.pipeline.observe import LetterFlow
from shipper.policy import DeadLetterPolicy

FIRST, LONGEST = 0.1, 2.0  # seconds between two tries, so that it goes on soon after there is room again

Tell = Callable[[str], None]


def nobody(reason: str) -> None:
    """Who does not want to hear why letters wait."""


class DeadLetters:
    """One file a component below `folder`, rotated and bounded; what waits is written and fsynced together, off the loop.

    A disk that refuses, and files that are full, are back-pressure: the letters wait, and so do those who wrote
    them, but no other component.
    """

    def __init__(
        self, folder: Path, clock: Clock, policy: DeadLetterPolicy | None = None, budget: Budget | None = None
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.policy = policy or DeadLetterPolicy()
        self.budget = budget or Budget(sys.maxsize)
        """What waits stands in it: senders that cannot be made to wait are turned away before there is too much."""
        self.shelf = Shelf(folder)
        self.writers: dict[str, _Writer] = {}
        self.unbounded: set[str] = set()
        """Components whose letters are being replayed: what comes back takes the place of what is about to leave."""

    def put(self, component: str, letters: Sequence[Letter], tell: Tell = nobody) -> Future[None]:
        """The future is done when the letters are on disk; `tell` hears why that has to wait."""
        if not letters:
            return settled()
        now = self.clock.now()
        body = b"".join([encode_letter(now, component, letter) for letter in letters])
        writer = self.writers.get(component)
        if writer is None:
            writer = self.writers[component] = _Writer(component, self)
        return writer.put(body, tell)

    def path(self, component: str) -> Path:
        """The file that is written to now."""
        return self.folder / f"{component}.ndjson"

    @property
    def flows(self) -> list[LetterFlow]:
        """Of every component that has set something aside since the start."""
        return [writer.flow for writer in self.writers.values()]

    async def close(self, grace: float = 5.0) -> None:
        """Wait for what is being written; what cannot be, or not within `grace` seconds, fails for those who wait."""
        writers = self.writers.values()
        if going := [writer.task for writer in writers if writer.task and not writer.flow.trouble]:
            await asyncio.wait(going, timeout=grace)
        for writer in writers:
            await writer.stop()

    def __repr__(self) -> str:
        waiting = sum(len(writer.waiting) for writer in self.writers.values())
        return f"DeadLetters({self.folder}, {waiting} waiting)"


@dataclass(slots=True)
class _Waiting:
    body: bytes
    future: Future[None]
    tell: Tell


class _Writer:
    """Writes the letters of one component, in order."""

    def __init__(self, component: str, house: DeadLetters) -> None:
        self.component = component
        self.house = house
        self.flow = LetterFlow(component)
        self.waiting: deque[_Waiting] = deque()
        self.task: asyncio.Task[None] | None = None

    def put(self, body: bytes, tell: Tell) -> Future[None]:
        loop = asyncio.get_running_loop()
        entry = _Waiting(body, loop.create_future(), tell)
        self.waiting.append(entry)
        size, budget = len(body), self.house.budget
        budget.take(size)
        entry.future.add_done_callback(lambda _: budget.give(size))
        if self.flow.trouble:
            tell(self.flow.trouble)
        if self.task is None or self.task.done():
            self.task = loop.create_task(self._write())
        return entry.future

    async def _write(self) -> None:
        pause = FIRST
        while self.waiting:
            try:
                written, torn = await asyncio.to_thread(self._append, self._together())
            except Exception as error:  # whatever it is, those who wait must not wait for ever
                kind = "" if isinstance(error, OSError | Full) else f"{type(error).__name__}: "
                self._stuck(f"dead letters: {kind}{error}")
                await self.house.clock.sleep(pause)
                pause = min(pause * 2, LONGEST)
            else:
                pause = FIRST
                self.flow.written(torn)
                self._done(written)

    def _append(self, body: bytes) -> tuple[int, bool]:
        house = self.house
        bounded = self.component not in house.unbounded
        return house.shelf.append(self.component, body, house.policy, bounded, self.flow.lost)

    def _together(self) -> bytes:
        """What waits, as far as it can go into one file."""
        room = int(self.house.policy.rotate)

        def fits(entry: _Waiting) -> bool:
            nonlocal room
            room -= len(entry.body)
            return room >= 0

        first, *more = self.waiting
        room -= len(first.body)
        return b"".join([first.body, *(entry.body for entry in takewhile(fits, more))])

    def _stuck(self, reason: str) -> None:
        self.flow.stuck(reason)
        for entry in self.waiting:
            entry.tell(reason)

    def _done(self, written: int) -> None:
        while written:
            entry = self.waiting[0]
            if written < len(entry.body):
                entry.body = entry.body[written:]
                return
            written -= len(entry.body)
            self.waiting.popleft()
            settle(entry.future)

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
        for entry in self.waiting:
            entry.future.cancel()
        self.waiting.clear()
