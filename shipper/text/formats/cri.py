"""Kubernetes' container logs (CRI): `2026-08-01T00:00:00.123456789Z stdout F text`, one line a line.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shipper.batch import Event
from shipper.text.formats.lines import Found, reader
from shipper.text.timeforms import Memo

__all__ = ["CRI", "LINE", "STREAMS", "parse_line", "parse_many", "same_day"]

LINE = re.compile(r"(\d{4}-\d\d-\d\dT[^ \n]+) (stdout|stderr) ([FP](?::[^ \n]*)?)(?: (.*))?", re.ASCII | re.DOTALL)
STREAMS = frozenset(("stdout", "stderr"))
_DAY = re.compile(r"\d{4}-\d\d-\d\dT", re.ASCII)


def _day(text: str) -> str:
    if not _DAY.fullmatch(text):
        raise ValueError(text)
    return text


_days = Memo(_day)


def same_day(timestamp: str) -> tuple[str, str]:
    """What all times of this day are between; ValueError for what does not begin as a timestamp does, or is no more than that.

    To compare a text with both takes a third of the time of a look-up of its beginning.
    """
    day = _days[timestamp[:11]]
    if timestamp == day:
        raise ValueError(timestamp)
    return day, day[:-1] + "U"


def parse_line(text: str) -> Event | None:
    """`timestamp stream message` of one line; whether it is whole (F) or a part (P) is not looked at."""
    found = LINE.fullmatch(text)
    if not found:
        return None
    timestamp, stream, _, message = found.groups("")
    return {"timestamp": timestamp, "stream": stream, "message": message}


def parse_many(lines: Sequence[str]) -> Found:
    """The same for each line of a chunk."""
    found: Found = []
    add, streams = found.append, STREAMS
    low = high = ""  # a time of the same day as the last one is between these
    for line in lines:
        try:
            timestamp, stream, tag, message = line.split(" ", 3)
            if not low < timestamp < high:
                low, high = same_day(timestamp)
        except ValueError:
            add(parse_line(line))
            continue
        if (tag == "F" or tag == "P") and stream in streams:  # noqa: PLR1714  (a set would hash it)
            add({"timestamp": timestamp, "stream": stream, "message": message})
        else:
            add(parse_line(line))
    return found


CRI = reader(parse_line, parse_many)
