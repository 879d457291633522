"""`keep`: what matches goes on."""

from __future__ import annotations

from dataclasses import field
from itertools import compress
from typing import Annotated, ClassVar, Literal

from shipper import Batch, Condition, Filter, Meta


class Keep(Filter):
    """Keep the events that meet a condition; the others end here.

    ```yaml
    filters:
      errors: {type: keep, when: "level in ['error', 'fatal'] or status >= 500"}
    ```
    """

    decides: ClassVar[bool] = True

    when: Annotated[Condition, Meta(description="The events that go on.")] = field()

    @property
    def needs(self) -> Literal["events"]:
        return "events"

    def apply(self, batch: Batch) -> Batch:
        chosen = self.when.select(batch)
        if chosen is False:
            batch.events = []
        elif chosen is not True and not all(chosen):
            batch.events = list(compress(batch.events, chosen))
        return batch
