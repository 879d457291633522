"""`remove`: take fields out."""

from __future__ import annotations

from typing import Annotated, ClassVar

from shipper import Batch, Event, FieldPath, Filter, Meta


class Remove(Filter):
    """Take fields out of the events, be they the event's own or of the whole batch; one that is missing is passed over.

    ```yaml
    filters:
      slim: {type: remove, fields: [debug, kubernetes.annotations, 'labels."app.kubernetes.io/hash"']}
    ```
    """

    one_each: ClassVar[bool] = True

    fields: Annotated[list[FieldPath], Meta(min_length=1, description="Fields to take out.")]

    def apply(self, batch: Batch) -> Batch:
        attrs = _without(dict(batch.attrs), self.fields)
        own = [path for path in self.fields if path.within(batch)]
        if own:
            batch.events = [_without(event.copy(), own) for event in batch.events]
        if len(attrs) < len(batch.attrs) or attrs != batch.attrs:
            batch.attrs = attrs
        return batch


def _without(event: Event, paths: list[FieldPath]) -> Event:
    for path in paths:
        if len(path.keys) > 1:
            path.pop(event)
        event.pop(path.tops[-1], None)  # or what is literally called so
    return event
