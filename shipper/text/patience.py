"""How long patterns of users may hold the event loop: a budget for one text, and one for all of them together.

A pattern whose time grows faster than the text (`risk`) runs against the clock; any other runs as it is. While all
goes well the clock is set once for a chunk of lines. When it rings, the lines are tried one by one, and those that
take too long are named to the caller. What slow texts take comes out of one budget for the process, so that a thousand
of them hold the loop no longer than two do: when it is spent, a text gets as much time as good ones need, and after
hundreds of slow ones none, until time has gone by.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from shipper.text.alarm import Ticking, TimeUp, within
from shipper.text.patterns import LONGEST, TooSlow
from shipper.text.risk import risk

__all__ = [
    "BOUND", "LONG", "PATIENCE", "SLOW", "UNTRIED",
    "Guard", "Patience", "Ticking", "TooSlow", "has_longer", "warning",
]  # fmt: skip

R = TypeVar("R")

ONE = 0.025
"""Seconds for one text."""
ALL = 0.05
"""Seconds for all slow texts together, as long as nothing of them is given back."""
SHARE = 0.25
"""How much of the time that goes by is given back."""
CHUNK = 0.01
"""Seconds for a chunk of lines in one go, besides `PER_CHARACTER`."""
FREE, PER_CHARACTER = 50e-6, 100e-9
"""What a text may take in any case: ten times as much as good ones need."""
SHAKY = 0.001
"""A search that was given less is tried once more."""
DEBT = -0.06
"""How far slow texts may overdraw it: some five hundred of them, after which none is tried until time has gone by."""
SHORT = 1024
"""Characters of a text that is still tried when the budget is spent: in these `re` looks for signals often enough."""
BOUND = 8 * 1024
"""Characters of a text that risky patterns are tried on: one step over all of it, 4096 times, takes 60 ms."""

SLOW = "the pattern took too long"
UNTRIED = "the pattern was not tried: it took too long on others just before"
LONG = f"more than the {BOUND} characters that this pattern is tried on"


class Patience:
    """The budget: `left` seconds, filled up again as time goes by between searches (within them, a busy machine would
    give more the longer it lets us wait)."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._left = ALL
        self._at = now()
        self._together = False

    @property
    def left(self) -> float:
        now = self._now()
        self._left = min(self._left + (now - self._at) * SHARE, ALL)
        self._at = now
        return self._left

    def chunk(self, size: int, work: Callable[[], R]) -> R:
        """Work on many texts of so many characters; TooSlow means that they must be tried one by one (`with Ticking():`)."""
        if self.left < 2 * CHUNK:
            raise TooSlow(UNTRIED)
        budget = CHUNK + size * PER_CHARACTER
        began = time.thread_time()
        try:
            self._together = True
            return within(budget, work)
        except TimeUp:
            self._left -= time.thread_time() - began
            raise TooSlow(SLOW) from None
        finally:
            self._together = False
            self._at = self._now()

    def one(self, search: Callable[[str], R], text: str) -> R:
        """Search one text, or TooSlow; as part of a `chunk` it has no time of its own."""
        if self._together:
            return search(text)
        left, free = self.left, FREE + len(text) * PER_CHARACTER
        if left <= 0 and (left < DEBT or len(text) > SHORT):
            raise TooSlow(UNTRIED)
        budget = free + max(min(left, ONE), 0.0)
        began = time.thread_time()
        try:
            try:
                return within(budget, search, text)
            except TimeUp:
                if budget > SHAKY:
                    raise
            # so little time can be gone by a whim of the machine
            return within(budget, search, text)
        except TimeUp:
            free = 0.0
            raise TooSlow(SLOW) from None
        finally:
            self._left -= max(time.thread_time() - began - free, 0.0)
            self._at = self._now()


PATIENCE = Patience()
"""The process's own: there is one event loop to hold up."""


class Guard:
    """One pattern of a user: whether it is risky, and how to run it when it is.

    `whole`: it must fit all of the text, it is not searched for.
    """

    __slots__ = ("longest", "patience", "risky")

    def __init__(self, pattern: re.Pattern[str], whole: bool = False, patience: Patience = PATIENCE) -> None:
        self.risky = risk(pattern, whole).superlinear
        self.longest = BOUND if self.risky else LONGEST
        self.patience = patience

    def one(self, search: Callable[[str], R], text: str) -> R:
        """Run on one text; TooSlow when that took too long, or the text is too long for a risky pattern."""
        if not self.risky:
            return search(text)
        if len(text) > self.longest:
            raise TooSlow(LONG)
        return self.patience.one(search, text)

    def chunk(self, search: Callable[[str], R], text: str) -> R:
        """Run on a chunk of lines; TooSlow means that they must be tried one by one."""
        if not self.risky:
            return search(text)
        return self.patience.chunk(len(text), lambda: search(text))


def warning(pattern: re.Pattern[str], whole: bool = False, guarded: bool = True) -> str:
    """What `validate` says of the pattern: nothing, or how bad it can be and what happens then."""
    found = risk(pattern, whole)
    if not found.grave:
        return ""
    what = f"found `{shown(pattern.pattern)}`, which {found}; expected a pattern that can read a text in one way only"
    if not guarded:
        return f"{what}; nothing ends it in a plugin, it holds up everything"
    return (
        f"{what}; it is tried on {BOUND} characters, for {ONE * 1000:.0f}ms at most: events that need more are marked"
    )


def shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def has_longer(text: str, limit: int) -> bool:
    """Whether a line of the text has more characters than this; looks at one place every `limit` characters."""
    at, end = 0, len(text)
    while end - at > limit:
        newline = text.rfind("\n", at, at + limit + 1)
        if newline < 0:
            return True
        at = newline + 1
    return False
