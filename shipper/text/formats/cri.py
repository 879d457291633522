"""Kubernetes' container logs (CRI): `2026-08-01T00:00:00.123456789Z stdout F text`, one line a line.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
"""

from __future__ import annotations

import re

from shipper.batch import Event
from shipper.text.formats.lines import Found, reader
from shipper.text.timeforms import Memo

__all__ = ["CRI", "DAYS", "LINE", "STREAMS", "parse_line", "parse_text"]

LINE = re.compile(r"(\d{4}-\d\d-\d\dT[^ \n]+) (stdout|stderr) ([FP](?::[^ \n]*)?)(?: (.*))?", re.ASCII | re.DOTALL)
STREAMS = frozenset(("stdout", "stderr"))
_TAGS = frozenset("FP")
_DAY = re.compile(r"\d{4}-\d\d-\d\dT", re.ASCII)


def _day(text: str) -> str:
    if not _DAY.fullmatch(text):
        raise ValueError(text)
    return text


DAYS = Memo(_day)
"""`DAYS[timestamp[:11]]`: a look-up for what begins as a timestamp does, ValueError for anything else."""


def parse_line(text: str) -> Event | None:
    """`timestamp stream message` of one line; whether it is whole (F) or a part (P) is not looked at."""
    found = LINE.fullmatch(text)
    if not found:
        return None
    timestamp, stream, _, message = found.groups("")
    return {"timestamp": timestamp, "stream": stream, "message": message}


def parse_text(text: str) -> Found:
    """The same for each line of a chunk."""
    found: Found = []
    add = found.append
    for line in text.split("\n"):
        try:
            timestamp, stream, tag, message = line.split(" ", 3)
            DAYS[timestamp[:11]]
        except ValueError:
            add(parse_line(line))
            continue
        if tag in _TAGS and stream in STREAMS and len(timestamp) > 11:
            add({"timestamp": timestamp, "stream": stream, "message": message})
        else:
            add(parse_line(line))
    return found


CRI = reader(parse_line, parse_text)
