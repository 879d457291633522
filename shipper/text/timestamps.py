"""Times as logs write them: read as RFC 3339, with the precision of their source, and as nanoseconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any

from shipper.text.timeforms import ROOM, Form, Memo, offset, suffix, year_nearest, zone_named
from shipper.text.utc import in_utc

__all__ = ["Memo", "Timestamps", "clf", "to_epoch_ns", "to_rfc3339", "to_seconds", "year_nearest"]

Read = Callable[[str, float], str]

ISO = re.compile(
    r"(\d{4})([-/]?)(\d\d)\2(\d\d)(?:[Tt _](\d\d)(:?)(\d\d)(?:\6(\d\d)(?:[.,](\d{1,12}))?)?)?"
    r" ?(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
TAIL = re.compile(r"(?:[.,](\d{1,12}))? ?(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?", re.ASCII)
NUMBER = re.compile(r"(-?)(\d{1,19})(?:\.(\d{1,12}))?", re.ASCII)
PLACES = {"epoch": 0, "epoch_ms": 3, "epoch_us": 6, "epoch_ns": 9}
FORMS = {
    "clf": ("%d/%b/%Y:%H:%M:%S %z",),
    "rfc3164": ("%b %e %H:%M:%S", "%b %e %H:%M:%S.%f", "%b %e %Y %H:%M:%S", "%b %e %H:%M:%S %Y"),
    "klog": ("%m%d %H:%M:%S.%f",),
}
NAMES = ("auto", "iso8601", "rfc3339", *FORMS, *PLACES)


class Timestamps:
    """Reads times in the first of some formats that fits: `read(value, now)`.

    A format is a name (`iso8601 rfc3339 rfc3164 clf klog epoch epoch_ms epoch_us epoch_ns auto`) or has `strptime`
    directives; none at all is `auto`. A time without a zone is in `timezone` (UTC). Raises ValueError for others.
    """

    __slots__ = ("_any", "_reads", "_single", "_utc")

    def __init__(self, formats: Sequence[str] = (), timezone: str | None = None) -> None:
        zone = zone_named(timezone) if timezone else None
        self._reads: list[Read] = []
        self._any = not formats or "auto" in formats  # then the order says nothing: no text fits two of them
        for name in formats or ("auto",):
            self._reads += _reads(name, zone)
        self._single = self._reads[0] if len(self._reads) == 1 else None
        # then RFC 3339 in UTC stays as it is; of the others only one with directives could read the same otherwise
        self._utc = (self._any or not {"iso8601", "rfc3339"}.isdisjoint(formats)) and "%" not in "".join(formats)

    def read(self, value: Any, now: float) -> str:
        """The time as RFC 3339; `now` (seconds since 1970) gives a year to what has none. ValueError when none fits."""
        if type(value) is not str:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"a time is a text or a number, not {type(value).__name__}")
            value = str(value)
        reads = self._reads
        if self._single:
            return self._single(value, now)
        for at, read in enumerate(reads):
            try:
                found = read(value, now)
            except ValueError:
                continue
            if at and self._any:
                reads.insert(0, reads.pop(at))
            return found
        raise ValueError(f"no time known: {value[:64]!r}")

    def column(self, values: Iterable[Any], now: float) -> list[str]:
        """Many at once, raising for the first that does not fit: also TypeError for what is no text."""
        if isinstance(self._single, Form):
            return self._single.column(values, now)
        read, column = self.read, list(values)
        if self._utc and in_utc(column):
            for second in {text[:19] for text in column}:
                read(second + "Z", now)  # raises where there is no such day
            return column
        return [read(value, now) for value in column]


@lru_cache(64)
def _timestamps(formats: tuple[str, ...], timezone: str | None) -> Timestamps:
    return Timestamps(formats, timezone)


def to_rfc3339(value: Any, formats: Sequence[str] = (), timezone: str | None = None, *, now: float) -> str:
    """A text or a number as RFC 3339, in the first format that fits (see `Timestamps`). Raises ValueError."""
    return _timestamps(tuple(formats), timezone).read(value, now)


def _reads(name: str, zone: tzinfo | None) -> list[Read]:
    if "%" in name:
        return [Form(name, zone)]
    if name in FORMS:
        return [Form(form, zone) for form in FORMS[name]]
    if name in PLACES:
        return [_epoch(PLACES[name])]
    if name in ("iso8601", "rfc3339"):
        return [_iso(zone, need_zone=name == "rfc3339")]
    if name == "auto":
        return [_iso(zone), _epoch(None), *(Form(form, zone) for forms in FORMS.values() for form in forms)]
    raise ValueError(
        f"{name!r} is no format of a time; expected one of {', '.join(NAMES)}, or such as %Y-%m-%d %H:%M:%S"
    )


def _iso(zone: tzinfo | None, *, need_zone: bool = False) -> Read:
    """ISO 8601 as it is met: `T` or a space, `.` or `,`, `-` or `/` or nothing, with a zone or without."""

    def head(text: str) -> str:
        """Nineteen characters, a date and a time to the second, as RFC 3339 has them; then what zone that is."""
        found = ISO.fullmatch(text)
        if not found or found[8] is None or not found[2] or not found[6] or found[10]:
            raise ValueError(text)
        return _head(*found.group(1, 3, 4, 5, 7, 8))

    heads = Memo(head)
    zones = Memo(suffix)

    def read(text: str, now: float) -> str:
        start, tail = heads.get(text[:19]), text[19:]
        if start is None:
            found = ISO.fullmatch(text)
            if not found or (not found[2] and found[5] is None) or len(text) < 10:
                raise ValueError("not ISO 8601")
            if found[8] is None or not found[2] or not found[6]:
                start = _head(*found.group(1, 3, 4), *(part or "00" for part in found.group(5, 7, 8)))
                return _joined(start, found[9], found[10])
            start = heads[text[:19]]
        if tail[-1:] == "Z" and (len(tail) == 1 or (tail[0] == "." and len(tail) < 14 and _digits(tail[1:-1]))):
            return start + tail
        ends = TAIL.fullmatch(tail)
        if not ends:
            raise ValueError("not ISO 8601")
        return _joined(start, ends[1], ends[2])

    def _joined(start: str, fraction: str | None, written: str | None) -> str:
        if written:
            away = zones[written]
        elif need_zone:
            raise ValueError("not RFC 3339: it has no zone")
        else:
            away = "Z" if zone is None else offset(_moment(start), zone)
        return f"{start}.{fraction}{away}" if fraction else start + away

    return read


def _digits(text: str) -> bool:
    return text.isdecimal() and text.isascii()


def _moment(head: str) -> datetime:
    """`2026-08-01T00:00:00` as a datetime; a leap second is the one before it."""
    return datetime.fromisoformat(head[:17] + "59" if head[17:] == "60" else head)


def _head(*parts: str) -> str:
    head = "{}-{}-{}T{}:{}:{}".format(*parts)
    _moment(head)
    return head


def _epoch(places: int | None) -> Read:
    """Seconds since 1970 with this many places more in front of the point; None: told by the size of the number."""

    def second(text: str) -> str:
        try:
            return f"{datetime.fromtimestamp(int(text), UTC):%Y-%m-%dT%H:%M:%S}"
        except (OverflowError, OSError) as error:
            raise ValueError("a time out of range") from error

    heads = Memo(second)

    def read(text: str, now: float) -> str:
        found = NUMBER.fullmatch(text)
        if not found:
            raise ValueError("no number")
        sign, whole, fraction = found.groups("")
        shift = places
        if shift is None:
            if len(whole) < 9:  # rather a date, a count or an id
                raise ValueError("too small to be a time")
            shift = 0 if len(whole) <= 11 else 3 if len(whole) <= 14 else 6 if len(whole) <= 17 else 9
        width = shift + len(fraction)
        seconds, rest = divmod(int(sign + whole + fraction), 10**width)
        head = heads[str(seconds)]
        return f"{head}.{rest:0{width}}Z" if width else head + "Z"

    return read


def _clf(text: str) -> str:
    return _CLF(text, 0.0)


_CLF = Form(FORMS["clf"][0])
clf = Memo(_clf)
"""`clf["01/Aug/2026:00:00:00 +0000"]` is the time of Apache and nginx as RFC 3339; ValueError when it is none."""


def to_epoch_ns(text: str) -> int:
    """An RFC 3339 string as nanoseconds since 1970, exactly (digits after the ninth are cut). Raises ValueError."""
    seconds = _seconds.get(text[:19])
    if seconds is None:
        seconds = _second(text[:19])
    if text[-1] in "Zz":
        fraction = text[19:-1]
    else:
        away = _away.get(text[-6:])
        if away is None:
            away = _offset_seconds(text[-6:])
        seconds -= away
        fraction = text[19:-6]
    if not fraction:
        return seconds * 1_000_000_000
    digits = fraction[1:]
    if fraction[0] != "." or not digits.isdecimal():
        raise ValueError(f"not RFC 3339: {text!r}")
    return seconds * 1_000_000_000 + int(digits[:9].ljust(9, "0"))


def to_seconds(text: str) -> float:
    """An RFC 3339 string as seconds since 1970. Raises ValueError."""
    return to_epoch_ns(text) / 1e9


_seconds: dict[str, int] = {}
_away: dict[str, int] = {}


def _second(head: str) -> int:
    found = ISO.fullmatch(head)
    if not found or found[2] != "-" or found[6] != ":" or found[8] is None or head[10] not in "Tt ":
        raise ValueError(f"not RFC 3339: {head!r}")
    moment = _moment(_head(*found.group(1, 3, 4, 5, 7, 8))).replace(tzinfo=UTC)
    if len(_seconds) >= ROOM:
        _seconds.clear()
    made = _seconds[head] = int(moment.timestamp()) + (head[17:] == "60")
    return made


def _offset_seconds(written: str) -> int:
    if len(written) != 6 or written[3] != ":":
        raise ValueError(f"not RFC 3339: it ends with {written!r}")
    away = suffix(written)
    made = 0 if away == "Z" else (int(away[1:3]) * 3600 + int(away[4:]) * 60) * (-1 if away[0] == "-" else 1)
    _away[written] = made
    return made
