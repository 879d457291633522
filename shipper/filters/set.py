"""`set`: give fields a value."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import repeat
from typing import Annotated, Any, ClassVar

from shipper import Batch, Event, FieldPath, Filter, Meta, Template, option

LEFT_OUT: Any = object()


class Set(Filter):
    """Set fields to a text with fields in it, or to a value as it stands.

    A text is a template; where it reads a field that is missing and has no default, the field is left as it is. All
    templates read the event as it came. Numbers, booleans, null, lists and mappings are set as they are written.
    Mappings in between are made; where something else is in the way (`a.b` where `a` is a text) the event goes on
    as it came and `on_error` decides.

    ```yaml
    filters:
      label: {type: set, fields: {service: "{app:unknown}", labels.env: prod, version: 2}}
    ```
    """

    one_each: ClassVar[bool] = True

    fields: Annotated[dict[str, Any], Meta(min_length=1, description="Field path: template or value.")]

    _plan: list[tuple[FieldPath, Any]] = option(list)
    _problems: list[str] = option(list)

    def __post_init__(self) -> None:
        for name, value in self.fields.items():
            try:
                self._plan.append((FieldPath(name), Template(value) if isinstance(value, str) else value))
            except ValueError as error:
                self._problems.append(f"{name}: {error}")

    def check(self) -> Iterable[tuple[str, str]]:
        return [("fields", problem) for problem in self._problems]

    def apply(self, batch: Batch) -> Batch:
        attrs = dict(batch.attrs)
        columns: list[tuple[FieldPath, Iterable[Any]]] = []
        for path, value in self._plan:
            found = value.each(batch) if isinstance(value, Template) else value
            if isinstance(value, Template) and isinstance(found, list):
                columns.append((path, [LEFT_OUT if text is None else text for text in found]))
            elif isinstance(value, Template) and found is None:
                continue
            elif path.within(batch) or _blocked(path, attrs):
                columns.append((path, repeat(found)))
            else:  # one value, which no event has of its own: it need not be put into each
                path.set(attrs, copy.deepcopy(found))
        if columns:
            batch.events = self._changed(batch.events, columns, attrs)
        batch.attrs = attrs
        return batch

    def _changed(
        self, before: list[Event], columns: list[tuple[FieldPath, Iterable[Any]]], attrs: dict[str, Any]
    ) -> list[Event]:
        events = [event.copy() for event in before]
        for path, values in columns:
            if len(path.keys) == 1:  # nothing can be in the way
                key = path.first
                for event, came, value in zip(events, before, values, strict=False):
                    if value is not LEFT_OUT and event is not came:
                        event[key] = copy.deepcopy(value) if isinstance(value, (dict, list)) else value
                continue
            for at, value in zip(range(len(events)), values, strict=False):
                if value is LEFT_OUT or events[at] is before[at]:
                    continue
                if isinstance(value, (dict, list)):
                    value = copy.deepcopy(value)
                try:
                    path.set(events[at], value, attrs)
                except ValueError as error:
                    events[at] = before[at]
                    self.fault(before[at], str(error))
        return events


def _blocked(path: FieldPath, attrs: dict[str, Any]) -> bool:
    """Whether something in the attributes is in the way, so that every event is to hear of it."""
    try:
        path.set(dict(attrs), None)
    except ValueError:
        return True
    return False
