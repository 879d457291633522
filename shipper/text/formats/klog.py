"""klog, the log of Kubernetes' own programs: `I0801 12:00:00.123456    1234 file.go:123] text`.

https://github.com/kubernetes/klog/blob/main/klog.go (the header is described at `formatHeader`)
"""

from __future__ import annotations

import re
from collections.abc import Callable

from shipper.batch import Event
from shipper.text.formats.lines import Found, Reader, reader
from shipper.text.timestamps import Timestamps

__all__ = ["klog"]

LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "fatal"}
LINE = re.compile(
    r"([IWEF])(\d{4} \d\d:\d\d:\d\d)(\.\d{1,9}) +(\d{1,10}) ([^\s:\]]+:\d+)\] ?(.*)", re.ASCII | re.DOTALL
)


def klog(now: Callable[[], float], timezone: str | None = None) -> Reader:
    """Reads `timestamp level pid source message`; the year is the one nearest to now, the zone UTC unless told."""
    times = Timestamps(("klog",), timezone)

    def line(text: str) -> Event | None:
        found = LINE.fullmatch(text)
        if found is None:
            return None
        level, head, fraction, pid, source, message = found.groups()
        try:
            timestamp = times.read(head + fraction, now())
        except ValueError:
            return None
        return {
            "timestamp": timestamp, "level": LEVELS[level], "pid": int(pid), "source": source, "message": message,
        }  # fmt: skip

    def many(lines: list[str]) -> Found:
        when, levels = now(), LEVELS
        seconds: dict[str, tuple[str, str]] = {}  # what goes in front of and behind a fraction
        found: Found = []
        add = found.append
        for match in map(LINE.fullmatch, lines):
            if match is None:
                add(None)
                continue
            level, head, fraction, pid, source, message = match.groups()
            second = seconds.get(head)
            if second is None:
                try:
                    second = seconds[head] = _second(times.read(f"{head}.0", when))
                except ValueError:
                    add(None)
                    continue
            add(
                {
                    "timestamp": f"{second[0]}{fraction}{second[1]}",
                    "level": levels[level],
                    "pid": int(pid),
                    "source": source,
                    "message": message,
                }
            )
        return found

    return reader(line, many)


def _second(time: str) -> tuple[str, str]:
    """`2026-08-01T00:00:00.0Z` without its fraction."""
    return time[:19], time[21:]
