"""An output for tests of the core that wants ids, and shows them."""

from collections import defaultdict
from typing import ClassVar

from shipper import BatchPolicy, Delivery, Duration, Event, EventOutput


class Named(EventOutput):
    """Keeps events in memory, each with its id as it came."""

    delivery = Delivery(batch=BatchPolicy(wait=Duration(0.01)), concurrency=1)
    kept: ClassVar[dict[str, list[Event]]] = defaultdict(list)

    @property
    def wants_ids(self) -> bool:
        return True

    async def deliver(self, events: list[Event]) -> None:
        self.kept[self.scope.name] += events
