from typing import Any

import pytest

from shipper.net.lokitimes import all_nanoseconds, as_rfc3339, nanoseconds
from shipper.text.timestamps import to_epoch_ns


@pytest.mark.parametrize("places", range(1, 10))
def test_a_whole_batch_reads_as_each_alone(places: int) -> None:
    """The quick way gives what the exact one gives, in every precision."""
    times = [f"2026-{month:02}-28T23:59:59.{'123456789'[:places]}Z" for month in range(1, 13)]
    assert all_nanoseconds(times) == [str(to_epoch_ns(time)) for time in times]
    assert [as_rfc3339(digits)[: 20 + places] for digits in all_nanoseconds(times)] == [time[:-1] for time in times]


@pytest.mark.parametrize(
    "odd",
    ["2026-11-22T12:00:00.12Z", "2026-11-22T12:00:00,123Z", "2026-11-22T12:00:00.1x3Z", "2026-11-22T12:00:00.1٣3Z",
     "2026-13-22T12:00:00.123Z", "1969-12-31T23:59:59.123Z", "2999-11-22T12:00:00.123Z", "yesterday", "", None, 5],
)  # fmt: skip
def test_what_is_not_alike_is_not_guessed(odd: Any) -> None:
    """One time of another form, or none at all, and the quick way declines."""
    with pytest.raises((ValueError, TypeError)):
        all_nanoseconds(["2026-11-22T12:00:00.123Z", odd])


def test_one_time() -> None:
    """Any RFC 3339 time within Loki's 64 bits; else nothing."""
    assert nanoseconds("2026-11-22T13:00:00+01:00") == "1795348800000000000"
    assert nanoseconds("2262-01-01T00:00:00Z") is not None
    for none in ("1969-01-01T00:00:00Z", "2263-01-01T00:00:00Z", "no", "", None, 3, {}):
        assert nanoseconds(none) is None
