"""Times as logs write them, as RFC 3339 and as nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shipper.text.timestamps import Timestamps, clf, to_epoch_ns, to_rfc3339, to_seconds, year_nearest

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-08-01T00:00:00Z", "2026-08-01T00:00:00Z"),
        ("2026-08-01T00:00:00.123456789Z", "2026-08-01T00:00:00.123456789Z"),
        ("2026-08-01t00:00:00.5z", "2026-08-01T00:00:00.5Z"),
        ("2026-08-01 00:00:00,123", "2026-08-01T00:00:00.123Z"),
        ("2026-08-01 00:00:00.1 +0900", "2026-08-01T00:00:00.1+09:00"),
        ("2026-08-01T00:00:00-00:00", "2026-08-01T00:00:00Z"),
        ("2026-08-01 00:00:00 UTC", "2026-08-01T00:00:00Z"),
        ("2026/08/01 00:00:00", "2026-08-01T00:00:00Z"),
        ("20260801T000000.5+09", "2026-08-01T00:00:00.5+09:00"),
        ("2026-08-01", "2026-08-01T00:00:00Z"),
        ("2026-08-01T12:30Z", "2026-08-01T12:30:00Z"),
        ("2026-06-30T23:59:60Z", "2026-06-30T23:59:60Z"),
        ("01/Aug/2026:00:00:00 +0000", "2026-08-01T00:00:00Z"),
        ("01/Aug/2026:00:00:00 -0730", "2026-08-01T00:00:00-07:30"),
        ("Aug  1 00:00:00", "2026-08-01T00:00:00Z"),
        ("Aug 01 00:00:00.250", "2026-08-01T00:00:00.250Z"),
        ("0801 12:00:00.123456", "2026-08-01T12:00:00.123456Z"),
        (1785542400, "2026-08-01T00:00:00Z"),
        (1785542400.25, "2026-08-01T00:00:00.25Z"),
        (1785542400123, "2026-08-01T00:00:00.123Z"),
        ("1785542400123456", "2026-08-01T00:00:00.123456Z"),
        ("1785542400123456789", "2026-08-01T00:00:00.123456789Z"),
        ("1785542400.100", "2026-08-01T00:00:00.100Z"),
    ],
)
def test_times_are_found_by_themselves(value: Any, expected: str) -> None:
    """Without a format each known way of writing is read, with as many digits as it had; twice, for what is remembered."""
    reads = Timestamps()
    assert [reads.read(value, NOW), reads.read(value, NOW)] == [expected, expected]


@pytest.mark.parametrize(
    "value",
    [
        "", "x", "2026-13-01T00:00:00Z", "2026-08-32", "2026-08-01T24:00:00Z", "2026-08-01T00:00:00.Z", "20260801",
        "2026-08-01T00:00:00+25:00", "2026-08-01T00:00:00Z\n", "32/Aug/2026:00:00:00 +0000", "01/Xxx/2026:00:00:00 +0000",
        "Feb 30 00:00:00", "12345", "2026-08-01T00:00:00.１Z", "9" * 30, 1e300, float("nan"), True, None, [], {},
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(value: Any) -> None:
    """Anything else is a ValueError."""
    with pytest.raises(ValueError, match=r"time|4300 digits|number|range|month"):
        to_rfc3339(value, now=NOW)


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        ("1. August 2026 1:02:03 PM", "%d. %B %Y %I:%M:%S %p", "2026-08-01T13:02:03Z"),
        ("Sat, 01 Aug 26 12:02 am", "%a, %d %b %y %I:%M %p", "2026-08-01T00:02:00Z"),
        ("2026-213 04:05:06.000007 +0530", "%Y-%j %T.%f %z", "2026-08-01T04:05:06.000007+05:30"),
        ("08/01/26 04:05 Asia/Seoul", "%D %R %Z", "2026-08-01T04:05:00+09:00"),
        ("[1785542400.123]", "[%s.%L]", "2026-08-01T00:00:00.123Z"),
        ("100% 2026-08-01", "100%% %F", "2026-08-01T00:00:00Z"),
        ("23:59:59.5", "%H:%M:%S.%f", "2026-09-30T23:59:59.5Z"),
        (1785542400123, "epoch_ms", "2026-08-01T00:00:00.123Z"),
        (-1500, "epoch_ms", "1969-12-31T23:59:58.500Z"),
        ("1.5", "epoch", "1970-01-01T00:00:01.5Z"),
        (1785542400123456, "epoch_us", "2026-08-01T00:00:00.123456Z"),
        ("1785542400123456789", "epoch_ns", "2026-08-01T00:00:00.123456789Z"),
    ],
)
def test_declared_formats(value: Any, form: str, expected: str) -> None:
    """A format that the user declared is read as it says."""
    assert to_rfc3339(value, [form], now=NOW) == expected
    assert to_rfc3339(value, ["rfc3339", form], now=NOW) == expected


@pytest.mark.parametrize(
    ("formats", "zone"),
    [(["%Q"], None), (["iso"], None), (["%m:%m"], None), (["%B"], None), (["%d %H:%M"], None), ([], "Mars/Base")],
)
def test_formats_and_zones_are_checked_at_once(formats: list[str], zone: str | None) -> None:
    """A format or zone that cannot be is a ValueError when it is made, not when a line comes."""
    with pytest.raises(ValueError, match=r"expected|twice"):
        Timestamps(formats, zone)


def test_zones_are_for_times_that_have_none() -> None:
    """A time without a zone is in the given one, summer or winter; a time with one keeps it."""
    berlin = Timestamps((), "Europe/Berlin")
    assert berlin.read("2026-08-01 12:00:00", NOW) == "2026-08-01T12:00:00+02:00"
    assert berlin.read("2026-01-01 12:00:00", NOW) == "2026-01-01T12:00:00+01:00"
    assert berlin.read("Aug  1 12:00:00", NOW) == "2026-08-01T12:00:00+02:00"
    assert berlin.read("2026-08-01T12:00:00Z", NOW) == "2026-08-01T12:00:00Z"
    assert berlin.read(1785542400, NOW) == "2026-08-01T00:00:00Z"
    assert Timestamps((), "-03:30").read("2026-08-01 12:00:00", NOW) == "2026-08-01T12:00:00-03:30"
    with pytest.raises(ValueError, match="no zone"):
        to_rfc3339("2026-08-01T12:00:00", ["rfc3339"], now=NOW)


def test_a_year_that_is_not_written_is_the_nearest() -> None:
    """Across New Year a time belongs to the year that brings it nearest to now, also when now moves on."""
    new_year = datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC).timestamp()
    times = Timestamps(["rfc3164"])
    assert times.read("Dec 31 23:59:59", new_year) == "2026-12-31T23:59:59Z"
    assert times.read("Jan  1 00:00:01", new_year - 60) == "2027-01-01T00:00:01Z"
    assert times.read("Dec 31 23:59:59", new_year + 300 * 86400) == "2027-12-31T23:59:59Z"
    assert year_nearest(2, 29, 0, 0, 0, NOW) == 2028
    with pytest.raises(ValueError, match="no day 30"):
        year_nearest(2, 30, 0, 0, 0, NOW)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)), st.integers(-400, 400))
def test_the_nearest_year_is_at_most_half_a_year_away(when: datetime, days: int) -> None:
    """No other year brings the date nearer."""
    date = when + timedelta(days=days)
    if (date.month, date.day) == (2, 29):
        return
    now = when.replace(tzinfo=UTC).timestamp()
    year = year_nearest(date.month, date.day, date.hour, date.minute, date.second, now)
    assert abs(date.replace(year=year) - when) <= timedelta(days=183.5)


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60), st.integers(0, 9))
def test_nanoseconds_are_exact(when: datetime, away: int, places: int) -> None:
    """Any RFC 3339 string is the nanosecond it says, whatever its zone and its digits."""
    when = when.replace(microsecond=0)
    digits = "123456789"[:places]
    sign = "-" if away < 0 else "+"
    text = f"{when.isoformat()}{'.' if places else ''}{digits}{sign}{abs(away) // 60:02}:{abs(away) % 60:02}"
    seconds = (when - datetime(1970, 1, 1)) // timedelta(seconds=1) - away * 60
    assert to_epoch_ns(text) == seconds * 10**9 + int(digits.ljust(9, "0"))
    assert to_seconds(text) == to_epoch_ns(text) / 1e9


@pytest.mark.parametrize(
    "text",
    ["", "Z", "x", "2026-08-01", "2026-08-01T00:00:00", "2026-08-01T00:00:00.Z", "2026-08-01T00:00:00.1_0Z",
     "2026-08-01T00:00:00,5Z", "2026-02-30T00:00:00Z", "2026-08-01T00:00:00+0900", "2026-08-01T00:00:00.5+24:00"],
)  # fmt: skip
def test_nanoseconds_of_what_is_no_time(text: str) -> None:
    """What is not RFC 3339 is a ValueError."""
    with pytest.raises(ValueError):
        to_epoch_ns(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text gives a time that can be read back, or a ValueError."""
    try:
        found = to_rfc3339(text, now=NOW)
    except ValueError:
        return
    to_epoch_ns(found)


def test_memory_is_bounded() -> None:
    """What is remembered of times does not grow without end."""
    for second in range(10_000):
        clf[f"01/Aug/2026:{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02} +0000"]
    assert len(clf) <= 4096


def one_by_one(reads: Timestamps, values: list[Any]) -> list[str] | None:
    """The obvious twin of `column`; None where one does not fit."""
    try:
        return [reads.read(value, NOW) for value in values]
    except ValueError:
        return None


utc = st.from_regex(r"\A20[0-3][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,13})?Z\Z")
odd = st.sampled_from(
    [
        "2026-02-30T00:00:00Z", "2026-08-01T00:00:00.Z", "2026-08-01T00:00:00+00:00", "2026-08-01 00:00:00Z", "", "x",
        "2026-08-01T00:00:00.１Z", "2026-08-01T00:00:00Z\n2026-08-01T00:00:00Z", "2026-08-01T00:00:00Z\n", "\ud800",
        "01/Aug/2026:00:00:00 +0000", "2026-08-01T00:00:00", 1785542400, 1785542400.25, True, None, [],
    ]
)  # fmt: skip
formats = st.sampled_from(["auto", "iso8601", "rfc3339", "epoch", "clf", "%Y-%m-%dT%H:%M:%SZ"])


@given(
    st.lists(utc, max_size=4),
    st.lists(utc | odd, max_size=2),
    st.lists(formats, max_size=3),
    st.sampled_from([None, "+09:00"]),
)
@example([], ["2026-08-01T00:00:00Z\n2026-08-01T00:00:00Z"], [], None)
@example(["2026-08-01T00:00:00Z"], [], ["epoch", "clf"], None)
@example(["2026-08-01T00:00:00Z"], [], ["%Y-%m-%dT%H:%M:%SZ", "auto"], "+09:00")
def test_a_column_reads_as_each_alone(
    times: list[Any], others: list[Any], formats: list[str], zone: str | None
) -> None:
    """All at once gives what each alone gives, or raises where one of them does."""
    reads, twin = Timestamps(formats, zone), Timestamps(formats, zone)
    try:
        found = reads.column(iter(times + others), NOW)
    except (ValueError, TypeError):
        found = None
    assert found == one_by_one(twin, times + others)
