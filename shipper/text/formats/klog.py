"""klog, the log of Kubernetes' own programs: `I0801 12:00:00.123456    1234 file.go:123] text`.

https://github.com/kubernetes/klog/blob/main/klog.go (the header is described at `formatHeader`)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from shipper.batch import Event
from shipper.text.formats.lines import Found, Reader, reader
from shipper.text.timestamps import Timestamps

__all__ = ["klog"]

LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "fatal"}
_LINE = r"([IWEF])(\d{4} \d\d:\d\d:\d\d\.\d{1,9}) +(\d{1,10}) ([^\s:\]]+:\d+)\] ?"
ONE = re.compile(_LINE + "(.*)", re.ASCII | re.DOTALL)
MANY = re.compile(rf"^(?:{_LINE}(.*)|.*)$", re.ASCII | re.MULTILINE)


def klog(now: Callable[[], float], timezone: str | None = None) -> Reader:
    """Reads `timestamp level pid source message`; the year is the one nearest to now, the zone UTC unless told."""
    times = Timestamps(("klog",), timezone)

    def event(row: Sequence[str], when: float) -> Event | None:
        level, at, pid, source, message = row
        try:
            timestamp = times.read(at, when)
        except ValueError:
            return None
        return {
            "timestamp": timestamp, "level": LEVELS[level], "pid": int(pid), "source": source, "message": message,
        }  # fmt: skip

    def line(text: str) -> Event | None:
        found = ONE.fullmatch(text)
        return event(found.groups(""), now()) if found else None

    def chunk(text: str) -> Found:
        when = now()
        return [event(row, when) if row[0] else None for row in MANY.findall(text)]

    return reader(line, chunk)
