"""Memory that a backlog took goes back to the system once it is gone."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from shipper.pipeline.budget import Budget

HIGH = 8 * 2**20
LOW = 2**20
"""Bytes of log in memory: after more than the one and at less than the other, the heap has holes worth giving back."""


class Heap:
    """Asked now and then. Without it resident memory stays for ever what the worst hour left of it: pieces of a backlog
    are freed in another order than they came, and glibc gives back only the top of its heap by itself.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._trim: Callable[[int], int] | None = None
        try:
            self._trim = ctypes.CDLL(None).malloc_trim
        except (OSError, AttributeError):  # musl and macOS give back by themselves
            return

    def look(self) -> bool:
        """Give back what a backlog left; whether there was one. It takes about a millisecond for each 10 MiB."""
        budget = self.budget
        if self._trim is None or budget.peak < HIGH or budget.used > LOW:
            return False
        budget.peak = budget.used
        self._trim(0)
        return True
