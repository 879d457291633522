"""Try again until it is done."""

from __future__ import annotations

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
    bug must never throw data away.
    """

    def __init__(self, attempt: Finish, policy: RetryPolicy, aside: Aside, clock: Clock, flow: OutputFlow) -> None:
        self.attempt = attempt
        self.policy = policy
        self.aside = aside
        self.clock = clock
        self.flow = flow

    async def __call__(self, todo: list[Piece]) -> None:
        policy = self.policy
        pause: float = policy.first
        began = self.clock.monotonic()
        tries = 0
        while True:
            before = len(todo)
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
            if len(todo) < before:  # some of it went through: the destination is there
                pause = policy.first
            if policy.give_up != "never" and self.clock.monotonic() - began >= policy.give_up:
                await self.aside.pieces(todo, f"given up after {policy.give_up}: {reason}", attempts=tries)
                todo.clear()
                return
            self.flow.retries += 1
            # a time that the destination named is kept to; one so short that it would hammer is only the least
            wait = after if after >= policy.first else max(random.random() * pause, after)
            await self.clock.sleep(min(wait, max(policy.max, policy.first)))
            pause = min(pause * 2, policy.max)
