"""The filter `remove`."""

from __future__ import annotations

import copy
from typing import Any

from shipper import Batch, Event, FieldPath
from shipper.batch import merged
from shipper.filters.remove import Remove
from shipper.testing import check_filter


def whole(paths: list[str], events: list[Event], attrs: dict[str, Any]) -> list[Event]:
    """Events as they will be encoded; neither those that came nor their attributes are changed."""
    came, attrs_before = copy.deepcopy(events), copy.deepcopy(attrs)
    batch = Remove(fields=[FieldPath(path) for path in paths]).apply(Batch(list(events), attrs=attrs))
    assert (events, attrs) == (came, attrs_before)
    return [merged(event, batch.attrs) for event in batch.events]


def test_removes_fields() -> None:
    """Fields are gone, nested ones out of their mapping or list, dotted keys too; what is missing is passed over."""
    events: list[Event] = [{"a": 1, "b": {"c": 2, "d": 3}, "l": [1, 2]}, {"b": "text", "b.c": 1}, {"x": 1}]
    assert whole(["a", "b.c", "l.0", "none.at.all"], events, {}) == [{"b": {"d": 3}, "l": [2]}, {"b": "text"}, {"x": 1}]


def test_removes_attributes() -> None:
    """A field is gone where it was an attribute, an event's own, or both."""
    attrs = {"host": "h", "k8s": {"pod": "p", "annotations": {"a": 1}}}
    assert whole(["host", "k8s.annotations"], [{}, {"host": "own"}, {"k8s": {"annotations": 1}}], attrs) == [
        {"k8s": {"pod": "p"}},
        {"k8s": {"pod": "p"}},
        {"k8s": {}},
    ]


def test_lines_are_not_decoded_for_attributes() -> None:
    """Raw lines stay raw when only attributes are removed."""
    batch = Remove(fields=[FieldPath("file"), FieldPath("no.where")]).apply(Batch(raw=b"a\nb", attrs={"file": "/x"}))
    assert batch.raw == b"a\nb"
    assert batch.attrs == {}


def test_contract() -> None:
    """It keeps the contract of a filter."""
    check_filter(lambda: Remove(fields=[FieldPath("message"), FieldPath("nested.a")]))
