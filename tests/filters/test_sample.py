"""The filter `sample`."""

from __future__ import annotations

import pytest

from shipper import Batch, Template
from shipper.filters.sample import Sample
from shipper.testing import check_filter, filtered


def test_keeps_about_its_part_in_order() -> None:
    """Of many events about this part goes on, in order, the same with the same seed."""
    events = [{"n": n} for n in range(10_000)]
    kept = filtered(Sample(rate=0.1, seed=7), events)
    assert 900 < len(kept) < 1100
    assert kept == sorted(kept, key=lambda event: event["n"])
    assert kept == filtered(Sample(rate=0.1, seed=7), events)
    assert kept != filtered(Sample(rate=0.1, seed=8), events)


@pytest.mark.parametrize("key", [None, Template("{n}")])
def test_all_and_none(key: Template | None) -> None:
    """1 keeps all, 0 none."""
    events = [{"n": n} for n in range(100)]
    assert filtered(Sample(rate=1, key=key), events) == events
    assert filtered(Sample(rate=0, key=key), events) == []


def test_a_key_shares_its_fate() -> None:
    """All events of one key are kept or dropped together, by any instance; about this part of the keys is kept."""
    events = [{"id": f"trace-{n % 1000}", "n": n} for n in range(3000)]
    kept = filtered(Sample(rate=0.25, key=Template("{id}")), events)
    keys = {event["id"] for event in kept}
    assert len(kept) == 3 * len(keys)
    assert 180 < len(keys) < 320
    assert kept == filtered(Sample(rate=0.25, key=Template("{id}")), events)
    assert len(filtered(Sample(rate=0.25, key=Template("{id}")), events[:0], {"id": "x"})) == 0


def test_a_higher_rate_keeps_what_a_lower_one_kept() -> None:
    """Raising the rate loses no key that was kept before."""
    events = [{"id": str(n)} for n in range(500)]
    low = filtered(Sample(rate=0.2, key=Template("{id}")), events)
    high = filtered(Sample(rate=0.6, key=Template("{id}")), events)
    assert all(event in high for event in low)


def test_without_the_key_by_chance() -> None:
    """Events that lack the key are not all of one fate."""
    kept = filtered(Sample(rate=0.5, key=Template("{id}"), seed=1), [{"n": n} for n in range(100)])
    assert 20 < len(kept) < 80


def test_lines_stay_raw() -> None:
    """Raw lines are chosen without being decoded; the batch counts what is left of it."""
    batch = Sample(rate=0.5, seed=1).apply(Batch(raw=b"\n".join(b"%d" % n for n in range(100)), attrs={"host": "h"}))
    assert batch.raw is not None
    lines = batch.raw.split(b"\n")
    assert 20 < len(lines) < 80
    assert [event["message"].encode() for event in batch.events] == lines
    assert batch.attrs == {"host": "h"}
    assert batch.size == len(b"\n".join(lines))


def test_contract() -> None:
    """It keeps the contract of a filter."""
    check_filter(lambda: Sample(rate=0.5, key=Template("{message}")))
