"""The filter `throttle`."""

from __future__ import annotations

from shipper import Batch, Duration, Template
from shipper.component import Scope
from shipper.filters.throttle import KEYS, Throttle
from shipper.testing import FakeClock, check_filter, filtered


def throttle(events: int, per: float, key: str | None = None) -> tuple[Throttle, FakeClock]:
    subject = Throttle(events=events, per=Duration(per), key=Template(key) if key else None)
    clock = FakeClock()
    subject.scope = Scope(clock=clock)
    return subject, clock


def test_a_burst_and_then_the_rate() -> None:
    """As many as are allowed pass at once, the first ones; then as many as time brings, never more than a burst."""
    subject, clock = throttle(10, 5)
    events = [{"n": n} for n in range(15)]
    assert filtered(subject, events) == events[:10]
    assert filtered(subject, events) == []
    clock.elapsed += 1.0
    assert filtered(subject, events) == events[:2]
    clock.elapsed += 0.25
    assert filtered(subject, events) == []
    clock.elapsed += 0.25
    assert filtered(subject, events) == events[:1]
    clock.elapsed += 1000
    assert filtered(subject, events) == events[:10]


def test_keys_do_not_take_from_each_other() -> None:
    """Each key has its own count; events without the key share one; order is kept."""
    subject, _ = throttle(2, 60, "{k}")
    events = [{"k": key, "n": n} if key else {"n": n} for n, key in enumerate("aab-ab--b".replace("-", "\0"))]
    events = [{"n": event["n"]} if event["k"] == "\0" else event for event in events]
    passed = filtered(subject, events)
    assert [event["n"] for event in passed] == [0, 1, 2, 3, 5, 6]


def test_a_key_of_the_batch() -> None:
    """A key that only attributes make leaves raw lines raw while there is room."""
    subject, _ = throttle(3, 60, "{host}")
    batch = subject.apply(Batch(raw=b"a\nb", attrs={"host": "x"}))
    assert batch.raw == b"a\nb"
    assert filtered(subject, [{"n": 1}, {"n": 2}], {"host": "x"}) == [{"n": 1}]
    assert len(filtered(subject, [{"n": 1}, {"n": 2}], {"host": "y"})) == 2


def test_keys_are_bounded() -> None:
    """The keys seen last are remembered, the others forgotten."""
    subject, _ = throttle(1, 60, "{k}")
    filtered(subject, [{"k": n} for n in range(KEYS)])
    assert filtered(subject, [{"k": 0}]) == []  # remembered, and now the one seen last
    filtered(subject, [{"k": "new"}])
    assert filtered(subject, [{"k": 0}]) == []
    assert filtered(subject, [{"k": 1}]) == [{"k": 1}]
    assert len(subject._buckets) == KEYS


def test_contract() -> None:
    """It keeps the contract of a filter."""
    check_filter(lambda: Throttle(events=2, key=Template("{message}")))
