"""The filter `dedupe`."""

from __future__ import annotations

from typing import Any

import pytest

from shipper import Batch, Duration, Event, FieldPath
from shipper.component import Scope
from shipper.filters import dedupe
from shipper.testing import FakeClock, check_filter, filtered


def deduping(*fields: str, window: float = 10) -> tuple[dedupe.Dedupe, FakeClock]:
    subject = dedupe.Dedupe(fields=[FieldPath(field) for field in fields], window=Duration(window))
    clock = FakeClock()
    subject.scope = Scope(clock=clock)
    return subject, clock


def test_the_first_of_equal_events_passes() -> None:
    """Of events with equal fields the first passes, within one batch and from batch to batch."""
    subject, _ = deduping("a", "b")
    events = [{"a": 1, "b": "x", "n": 1}, {"a": 1, "b": "x", "n": 2}, {"a": 1, "n": 3}, {"a": 1, "b": None, "n": 4}]
    assert [event["n"] for event in filtered(subject, events)] == [1, 3]
    assert filtered(subject, events) == []


def test_the_window_counts_from_the_one_that_passed() -> None:
    """What repeats for ever passes once in each window."""
    subject, clock = deduping("message")
    passed = 0
    for _ in range(30):
        passed += len(filtered(subject, [{"message": "again"}]))
        clock.elapsed += 1.0
    assert passed == 3


def test_events_without_the_fields_pass() -> None:
    """Events that have none of the fields are not taken for equal."""
    subject, _ = deduping("id", "trace.id")
    assert filtered(subject, [{"n": 1}, {"n": 2}]) == [{"n": 1}, {"n": 2}]


def test_attributes_count() -> None:
    """A field of the whole batch distinguishes events as their own does."""
    subject, _ = deduping("host", "message")
    assert len(filtered(subject, [{"message": "m"}], {"host": "a"})) == 1
    assert len(filtered(subject, [{"message": "m"}], {"host": "b"})) == 1
    assert filtered(subject, [{"message": "m", "host": "a"}]) == []


@pytest.mark.parametrize("value", [1, 1.5, True, "1", "\ud800", 2**70, {"b": 1, "a": [None]}, {1, 2}])
def test_any_value(value: Any) -> None:
    """Values of any kind are compared, also those that are no JSON; 1, true and "1" are not equal."""
    subject, _ = deduping("v")
    others: list[Event] = [{"v": 2}, {"v": "x"}, {"v": [1]}]
    assert len(filtered(subject, [*others, {"v": value}, {"v": value}])) == 4


def test_order_of_keys_does_not_count() -> None:
    """Two mappings with the same content are equal."""
    subject, _ = deduping("v")
    assert len(filtered(subject, [{"v": {"a": 1, "b": 2}}, {"v": {"b": 2, "a": 1}}])) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What passed longest ago is forgotten first; what is over goes before anything else."""
    monkeypatch.setattr(dedupe, "REMEMBERED", 3)
    subject, clock = deduping("message")
    filtered(subject, [{"message": text} for text in "abc"])
    assert filtered(subject, [{"message": "d"}]) == [{"message": "d"}]
    assert len(subject._until) == 3
    assert filtered(subject, [{"message": text} for text in "bcd"]) == []
    clock.elapsed += 11
    filtered(subject, [{"message": "e"}])
    assert len(subject._until) == 1


def test_raw_lines_by_default() -> None:
    """Without options it compares messages."""
    batch = dedupe.Dedupe().apply(Batch(raw=b"a\na\nb"))
    assert [event["message"] for event in batch.events] == ["a", "b"]


def test_contract() -> None:
    """It keeps the contract of a filter."""
    check_filter(lambda: dedupe.Dedupe(fields=[FieldPath("message")]))
