"""An output for tests of the core: keeps what it gets, in the class, by name."""

from collections import defaultdict
from typing import ClassVar

from shipper import BatchPolicy, Delivery, Duration, Event, EventOutput, Unavailable


class Memory(EventOutput):
    """Keeps events in memory."""

    delivery = Delivery(batch=BatchPolicy(wait=Duration(0.01)), concurrency=1)
    broken_until: int = 0
    label: str = ""
    cannot_open: bool = False

    kept: ClassVar[dict[str, list[Event]]] = defaultdict(list)
    tries: ClassVar[dict[str, int]] = defaultdict(int)

    async def open(self) -> None:
        if self.cannot_open:
            raise OSError(13, "Permission denied", "/somewhere")

    async def deliver(self, events: list[Event]) -> None:
        name = self.scope.name
        self.tries[name] += 1
        if self.tries[name] <= self.broken_until:
            raise Unavailable("not yet")
        self.kept[name] += [{**event, "label": self.label} if self.label else event for event in events]
