"""`drop`: what matches ends here."""

from __future__ import annotations

from dataclasses import field
from itertools import compress
from operator import not_
from typing import Annotated, ClassVar, Literal

from shipper import Batch, Condition, Filter, Meta


class Drop(Filter):
    """Drop the events that meet a condition; the others go on.

    ```yaml
    filters:
      probes: {type: drop, when: "path in ['/livez', '/readyz'] and status < 400"}
    ```
    """

    decides: ClassVar[bool] = True

    when: Annotated[Condition, Meta(description="The events that end here.")] = field()

    @property
    def needs(self) -> Literal["events"]:
        return "events"

    def apply(self, batch: Batch) -> Batch:
        chosen = self.when.select(batch)
        if chosen is True:
            batch.events = []
        elif chosen is not False and any(chosen):
            batch.events = list(compress(batch.events, map(not_, chosen)))
        return batch
