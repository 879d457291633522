"""A time of an event as text in UTC, cheaply: for the dates in index names, paths and labels."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FINENESS = {
    **dict.fromkeys("YmdjyGVuaAbBUWwDFeCg%", 10),
    **dict.fromkeys("HIpkl", 13),
    **dict.fromkeys("MR", 16),
    **dict.fromkeys("ST", 19),
    "z": 10, "Z": 10, "f": 0,
}  # fmt: skip
LONGEST = 64  # characters of a time
ROOM = 4096  # texts remembered: more than the seconds of an hour


class Moments:
    """A `strftime` format, applied to RFC 3339 strings and to seconds (or ms, us, ns) since 1970.

    Times without a zone are UTC. What was made is remembered by the part of the time that the format shows (a
    day, an hour), so most events cost a slice and a look-up. Raises ValueError for an unknown directive.
    """

    __slots__ = ("_made", "_width", "format")

    def __init__(self, form: str) -> None:
        self.format = form
        self._made: dict[str, str | None] = {}
        directives = re.findall(r"%(.?)", form, re.DOTALL)
        for directive in directives:
            if directive not in FINENESS or not directive:
                raise ValueError(f"%{directive} is no part of a time; expected such as %Y.%m.%d or %Y-%m-%dT%H")
        widths = [FINENESS[directive] for directive in directives]
        self._width = 0 if 0 in widths else max(widths, default=10)

    def show(self, value: Any) -> str | None:
        """The time as text, or None when it cannot be read."""
        if type(value) is str:
            # 2026-11-22T12:00:00.123Z: what the format does not show is not looked at
            if self._width and value[10:11] == "T" and value[-1] == "Z" and len(value) > 19:
                value = value[: self._width]
            if value in self._made:
                return self._made[value]
            if len(value) > LONGEST:
                return None
            if len(self._made) >= ROOM:
                self._made.clear()
            made = self._made[value] = self._text(moment(value))
            return made
        return self._text(moment(value))

    def _text(self, when: datetime | None) -> str | None:
        if when is None:
            return None
        try:
            return when.strftime(self.format)
        except ValueError:
            return None


def moment(value: Any) -> datetime | None:
    """An RFC 3339 string, or a number of seconds, ms, us or ns since 1970 (by its size), as a time in UTC."""
    if isinstance(value, str):
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
        else:
            try:
                return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
            except (OverflowError, ValueError):
                return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e20:
        return None
    seconds = value
    for _ in range(3):
        if abs(seconds) < 1e11:
            break
        seconds /= 1000
    try:
        return EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
