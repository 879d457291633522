"""Times in a declared form: the directives of `strptime` and of `date`, as one regular expression with a memory.

`strptime` itself takes 10 us, knows no nanoseconds, forgets how many digits a fraction had, and depends on the
locale. What a form made of a text is remembered by all of the text but its fraction, so most lines cost a look-up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["MONTHS", "ROOM", "Form", "Memo", "offset", "suffix", "year_nearest", "zone_named"]

ROOM = 4096
"""Texts remembered: more than the seconds of an hour."""
MONTHS = {name: at for at, name in enumerate(re.findall("...", "janfebmaraprmayjunjulaugsepoctnovdec"), 1)}

DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d\d)", "m": r"(?P<m>\d{1,2})", "d": r" ?(?P<d>\d{1,2})", "j": r"(?P<j>\d{1,3})",
    "H": r" ?(?P<H>\d{1,2})", "I": r" ?(?P<I>\d{1,2})", "M": r"(?P<M>\d{1,2})", "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,12})", "p": r"(?P<p>[AaPp]\.?[Mm]\.?)", "b": r"(?P<b>[A-Za-z]{3,9})\.?",
    "a": r"[A-Za-z]{2,9}\.?",
    "z": r"(?P<z>[Zz]|[+-]\d\d(?::?\d\d)?)", "Z": r"(?P<Z>[A-Za-z][A-Za-z0-9_+/-]*)",
    "s": r"(?P<s>-?\d{1,12})", "%": "%",
}  # fmt: skip
SAME = {"e": "d", "k": "H", "l": "I", "h": "b", "B": "b", "A": "a", "L": "f", "N": "f", "P": "p"}
SHORT = {"T": "%H:%M:%S", "R": "%H:%M", "F": "%Y-%m-%d", "D": "%m/%d/%y"}


class Memo(dict[str, str]):
    """A look-up that makes what it does not have yet and forgets everything when it is full."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[str], str]) -> None:
        self.make = make

    def __missing__(self, key: str) -> str:
        made = self.make(key)
        if len(self) >= ROOM:
            self.clear()
        self[key] = made
        return made


class Form:
    """One declared form: `form(text, now)` is the time as RFC 3339; ValueError when the text does not fit.

    A time without a zone is in `zone`; one without a year, or without a day, is the one nearest to `now`
    (seconds since 1970). Directives: `%Y %y %m %d %e %j %b %B %a %A %H %I %p %M %S %f` (any number of digits; `%L`
    and `%N` are the same), `%z %Z %s %T %R %F %D`. Raises ValueError for others, and for a form that makes no time.
    """

    __slots__ = ("_fraction", "_hour", "_made", "_now", "_pattern", "_texts", "_zone", "form")

    def __init__(self, form: str, zone: tzinfo | None = None) -> None:
        self.form = form
        self._zone = zone
        self._pattern = re.compile(_translated(form), re.ASCII)
        names = self._pattern.groupindex.keys()
        if not ("s" in names or {"M", "H"} <= names or {"M", "I", "p"} <= names or names & {"d", "j"}):
            raise ValueError(f"{form!r} makes no time; expected such as %Y-%m-%d %H:%M:%S")
        if "d" in names and not names & {"m", "b"}:
            raise ValueError(f"{form!r} has a day but no month; expected such as %Y-%m-%d %H:%M:%S")
        self._fraction = "f" in names
        # what lacks its year or its day depends on the time of reading, so it is remembered for an hour only
        self._hour: float | None = None if names & {"Y", "y", "s"} else 0.0
        self._made: dict[str, tuple[str, str]] = {}
        self._texts = Memo(self._whole)
        self._now = 0.0

    def __call__(self, text: str, now: float) -> str:
        self._at(now)
        if not self._fraction:
            return self._texts[text]
        found = self._found(text)
        start, end = found.span("f")
        rest = text[:start] + text[end:]
        made = self._made.get(rest) or self._remember(rest, found)
        return f"{made[0]}.{text[start:end]}{made[1]}"

    def column(self, texts: Iterable[str], now: float) -> list[str]:
        """Many times at once; the errors are the same, or TypeError for what is no text."""
        if self._fraction:
            return [self(text, now) for text in texts]
        self._at(now)
        made = self._texts
        return [made[text] for text in texts]

    def _at(self, now: float) -> None:
        if self._hour is not None and now // 3600 != self._hour:
            self._made.clear()
            self._texts.clear()
            self._hour = now // 3600
        self._now = now

    def _whole(self, text: str) -> str:
        return "".join(self._read(self._found(text).groupdict(), self._now))

    def _found(self, text: str) -> re.Match[str]:
        found = self._pattern.fullmatch(text)
        if found is None:
            raise ValueError(f"no time like {self.form}")
        return found

    def _remember(self, key: str, found: re.Match[str]) -> tuple[str, str]:
        made = self._read(found.groupdict(), self._now)
        if len(self._made) >= ROOM:
            self._made.clear()
        self._made[key] = made
        return made

    def _read(self, parts: dict[str, str | None], now: float) -> tuple[str, str]:
        """The time up to its seconds, and its zone."""
        number = {name: int(part) for name, part in parts.items() if part and name in "YymdjHIMSs"}
        if "s" in number:
            try:
                return f"{datetime.fromtimestamp(number['s'], UTC):%Y-%m-%dT%H:%M:%S}", "Z"
            except (OverflowError, OSError) as error:
                raise ValueError("a time out of range") from error
        hour, minute, second = number.get("H", 0), number.get("M", 0), number.get("S", 0)
        if parts.get("p"):
            hour = number.get("I", hour) % 12 + (12 if parts["p"] in _AFTERNOON else 0)
        elif "I" in number:
            hour = number["I"]
        leap = second == 60  # which datetime does not know, and RFC 3339 does
        day = self._day(parts, number, (hour, minute, second - leap), now)
        when = day.replace(hour=hour, minute=minute, second=second - leap)
        head = when.isoformat()
        return head[:17] + "60" if leap else head, self._suffix(parts, when)

    def _day(
        self, parts: dict[str, str | None], number: dict[str, int], clock: tuple[int, int, int], now: float
    ) -> datetime:
        month = number.get("m", 1)
        if name := parts.get("b"):
            month = MONTHS.get(name[:3].lower(), 0)
        year = number.get("Y", 0)
        if "y" in number:
            year = number["y"] + (2000 if number["y"] < 69 else 1900)
        if "d" not in number and "j" not in number and not year:
            local = datetime.fromtimestamp(now, self._zone or UTC).replace(tzinfo=None)
            today = local.replace(hour=clock[0], minute=clock[1], second=clock[2], microsecond=0)
            return min((today + timedelta(days) for days in (-1, 0, 1)), key=lambda day: abs(day - local))
        if "j" in number:
            year = year or datetime.fromtimestamp(now, UTC).year
            first = datetime(year, 1, 1)
            day = first + timedelta(number["j"] - 1)
            if day.year != year:
                raise ValueError("a day of the year out of range")
            return day
        day_of_month = number.get("d", 1)
        return datetime(year or year_nearest(month, day_of_month, *clock, now), month, day_of_month)

    def _suffix(self, parts: dict[str, str | None], when: datetime) -> str:
        if written := parts.get("z"):
            return suffix(written)
        if name := parts.get("Z"):
            return offset(when, zone_named(name))
        return offset(when, self._zone)


_AFTERNOON = frozenset(("pm", "PM", "Pm", "pM", "p.m.", "P.M."))


def _translated(form: str) -> str:
    pattern = ""
    at = 0
    while at < len(form):
        char = form[at]
        if char.isspace():
            pattern += "" if pattern.endswith(r"\s+") else r"\s+"
        elif char != "%":
            pattern += re.escape(char)
        else:
            at += 1
            letter = form[at : at + 1]
            letter = SAME.get(letter, letter)
            if letter in SHORT:
                pattern += _translated(SHORT[letter])
            elif letter in DIRECTIVES:
                pattern += DIRECTIVES[letter]
            else:
                raise ValueError(f"%{letter} in {form!r} is not known; expected such as %Y-%m-%d %H:%M:%S")
        at += 1
    try:
        re.compile(pattern)
    except re.error:
        raise ValueError(f"{form!r} has the same part twice") from None
    return pattern


def zone_named(name: str) -> tzinfo:
    """A zone of the IANA database (`Asia/Seoul`) or an offset (`+09:00`); ValueError when it is neither."""
    if name in ("Z", "z", "UTC", "GMT"):
        return UTC
    if name[:1] in "+-":
        written = suffix(name)
        if written == "Z":
            return UTC
        away = timedelta(hours=int(written[1:3]), minutes=int(written[4:6]))
        return timezone(-away if written[0] == "-" else away)
    return _zone(name)


@lru_cache(256)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{name!r} is no time zone; expected such as Asia/Seoul, UTC or +09:00") from error


def offset(when: datetime, zone: tzinfo | None) -> str:
    """How far the zone is from UTC at this (local) time, as RFC 3339 writes it."""
    away = None if zone is None else when.replace(tzinfo=zone).utcoffset()
    if not away:
        return "Z"
    minutes = round(away.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def suffix(written: str) -> str:
    """A zone such as `+0900`, `+09`, `Z`, `UTC` as RFC 3339 writes it; UTC is always `Z`. Raises ValueError."""
    if written in ("Z", "z", "UTC", "GMT"):
        return "Z"
    found = re.fullmatch(r"([+-])([01]\d|2[0-3])(?::?([0-5]\d))?", written, re.ASCII)
    if not found:
        raise ValueError(f"{written!r} is no offset from UTC")
    sign, hours, minutes = found.groups("00")
    return "Z" if hours == minutes == "00" else f"{sign}{hours}:{minutes}"


def year_nearest(month: int, day: int, hour: int, minute: int, second: int, now: float) -> int:
    """The year that brings this date (UTC) nearest to `now`, seconds since 1970; ValueError when there is none."""
    return _year_nearest(month, day, hour * 60 + minute + second // 60, int(now) // 60)


@lru_cache(1024)
def _year_nearest(month: int, day: int, minutes: int, now: int) -> int:
    this = datetime.fromtimestamp(now * 60, UTC).replace(tzinfo=None)
    found: list[tuple[timedelta, int]] = []
    # 29 February needs a leap year, and those can be eight years apart
    for year in range(this.year - 1, this.year + 2) if (month, day) != (2, 29) else range(this.year - 8, this.year + 9):
        try:
            found.append((abs(datetime(year, month, day) + timedelta(minutes=minutes) - this), year))
        except (ValueError, OverflowError):
            continue
    if not found:
        raise ValueError(f"no day {day} in month {month}")
    return min(found)[1]
