"""What was delivered of what lies on disk, until the progress says so: a crash before that sends it again."""

from __future__ import annotations

from shipper.clock import Clock
from shipper.delivery.store import Record

TIDY = 1.0
"""Seconds for which saves wait for others."""


class Marks:
    """Records that are done. `if marks` asks whether any of them are not saved."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.events = self.bytes = 0
        """Done, and the progress on disk does not know."""
        self._new: list[tuple[int, int]] = []
        self._saved = clock.monotonic()

    def __bool__(self) -> bool:
        return self.events > 0

    def add(self, record: Record) -> None:
        self._new.append((record.first, record.end))
        self.events += record.piece.count
        self.bytes += len(record.piece.body)

    def take(self) -> list[tuple[int, int]]:
        """Numbers that the store was not told of."""
        new, self._new = self._new, []
        return new

    def due(self, events: int, size: int) -> bool:
        """Whether it is time to save them: a second has passed, or there are so many that a crash would repeat."""
        many = self.events >= events or self.bytes >= size
        return self.events > 0 and (many or self.clock.monotonic() - self._saved >= TIDY)

    def saved(self, events: int, size: int) -> None:
        """So many are known on disk now."""
        self.events -= events
        self.bytes -= size
        self._saved = self.clock.monotonic()
