"""Try again until it is done."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from shipper.batch import Piece
from shipper.clock import Clock
from shipper.delivery.aside import Aside
from shipper.errors import Unavailable
from shipper.pipeline.observe import OutputFlow
from shipper.policy import RetryPolicy

Finish = Callable[[list[Piece]], Awaitable[None]]
"""Settle every piece of the list. What is settled is taken out of it, so whoever is interrupted knows what is left."""


class Retry:
    """Again after a pause with full jitter that doubles, or when the destination asked (at most `max` later).

    An exception nobody foresaw is a bug in the output: it is logged with its traceback and retried, for a
    bug must never throw data away. After a reload whatever waits is tried at once, with the new options.
    """

    def __init__(self, attempt: Finish, policy: RetryPolicy, aside: Aside, clock: Clock, flow: OutputFlow) -> None:
        self.attempt = attempt
        self.policy = policy
        self.aside = aside
        self.clock = clock
        self.flow = flow
        self._version = 0
        self._pausing: set[asyncio.Task[None]] = set()

    def renew(self) -> None:
        """The output was exchanged: what the old one was told, such as how long to wait, is true no more."""
        self._version += 1
        for pausing in self._pausing:
            pausing.cancel()

    async def __call__(self, todo: list[Piece]) -> None:
        policy, version = self.policy, self._version
        pause: float = policy.first
        began = self.clock.monotonic()
        tries = left = 0
        while True:
            tries += 1
            try:
                await self.attempt(todo)
            except Unavailable as error:
                after, reason = error.after, error.reason or "unavailable"
                self.flow.unavailable(reason)
            except Exception as error:
                after, reason = 0.0, f"{type(error).__name__}: {error}"
                self.flow.bug(error)
            else:
                self.flow.available()
                return
            events = sum(piece.count for piece in todo)  # a piece may have been split
            if events < left:  # some of it went through: the destination is there
                pause = policy.first
            left = events
            if policy.give_up != "never" and self.clock.monotonic() - began >= policy.give_up:
                await self.aside.pieces(todo, f"given up after {policy.give_up}: {reason}", attempts=tries)
                todo.clear()
                return
            self.flow.retries += 1
            # a time that the destination named is kept to; one so short that it would hammer is only the least
            wait = after if after >= policy.first else max(random.random() * pause, after)
            if version == self._version:
                await self._pause(min(wait, max(policy.max, policy.first)))
            pause = min(pause * 2, policy.max)
            if version != self._version:
                policy, version = self.policy, self._version
                pause = policy.first

    async def _pause(self, seconds: float) -> None:
        """Until the time is over or the output was exchanged."""
        pausing = asyncio.ensure_future(self.clock.sleep(seconds))
        self._pausing.add(pausing)
        try:
            await asyncio.wait([pausing])
        finally:
            self._pausing.discard(pausing)
            pausing.cancel()
