"""`rename`: move fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from shipper import Attrs, Batch, Event, FieldPath, Filter, Meta, option


class Rename(Filter):
    """Move fields to another name or another place; one that is missing is passed over.

    All fields are taken first and put afterwards, so two can be exchanged. What was at the new place is replaced.
    Where a text or a list is in the way of the new place, the event goes on as it came and `on_error` decides.

    ```yaml
    filters:
      ecs: {type: rename, fields: {msg: message, lvl: log.level, http.request.verb: method}}
    ```
    """

    one_each: ClassVar[bool] = True

    fields: Annotated[dict[str, FieldPath], Meta(min_length=1, description="Field path: new field path.")]

    _plan: list[tuple[FieldPath, FieldPath]] = option(list)
    _plain: list[tuple[str, str]] = option(list)
    """The same as keys, when all are at the top and none is both taken from and put to: one can be moved after the other."""
    _problems: list[str] = option(list)

    def __post_init__(self) -> None:
        for name, target in self.fields.items():
            try:
                self._plan.append((FieldPath(name), target))
            except ValueError as error:
                self._problems.append(f"{name}: {error}")
        paths = [path for pair in self._plan for path in pair]
        if all(len(path.keys) == 1 for path in paths) and len({path.first for path in paths}) == len(paths):
            self._plain = [(source.first, target.first) for source, target in self._plan]

    def check(self) -> Iterable[tuple[str, str]]:
        return [("fields", problem) for problem in self._problems]

    def apply(self, batch: Batch) -> Batch:
        attrs = dict(batch.attrs)
        if not any(path.within(batch) for pair in self._plan for path in pair):
            if any(source.has({}, attrs) for source, _ in self._plan):
                self._move(attrs)  # nothing but attributes is concerned
                batch.attrs = attrs
            return batch
        folded = {top: attrs.pop(top) for top in self._concerned(attrs)}
        if self._plain and not folded:
            batch.events = self._moved(batch.events)
            return batch
        events: list[Event] = []
        for event in batch.events:
            whole = {**folded, **event} if folded else event
            changed = whole.copy()
            try:
                self._move(changed)
            except ValueError as error:
                self.fault(whole, str(error))
                changed = whole
            events.append(changed)
        batch.events, batch.attrs = events, attrs
        return batch

    def _moved(self, events: list[Event]) -> list[Event]:
        """What `_move` makes of each, in a quarter of the time."""
        events = [event.copy() for event in events]
        for source, target in self._plain:
            for event in events:
                if source in event:
                    event[target] = event.pop(source)
        return events

    def _concerned(self, attrs: Attrs) -> set[str]:
        """The attributes that a move takes from, or puts something into: these become each event's own."""
        found: set[str] = set()
        for source, target in self._plan:
            if source.has({}, attrs):
                found.update(top for top in source.tops if top in attrs)
            if len(target.keys) > 1 and target.first in attrs:
                found.add(target.first)
        return found

    def _move(self, event: Event) -> None:
        taken = [(target, source.pop(event)) for source, target in self._plan if source.has(event)]
        for target, value in taken:
            target.set(event, value)
