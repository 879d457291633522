"""Lines of formats that nobody declared: each is looked at, and read as what it looks like."""

from __future__ import annotations

import re
from collections.abc import Callable

from shipper.batch import Event
from shipper.text.formats import docker, json
from shipper.text.formats.apache import APACHE
from shipper.text.formats.cri import CRI
from shipper.text.formats.klog import klog
from shipper.text.formats.lines import Found, Reader, reader
from shipper.text.formats.logfmt import LOGFMT
from shipper.text.formats.syslog import parse_chunk, parse_syslog
from shipper.text.timeforms import MONTHS

__all__ = ["auto", "kind"]

_CRI = re.compile(r"\d{4}-\d\d-\d\dT\S+ std(?:out|err) [FP]", re.ASCII)
_KLOG = re.compile(r"[IWEF]\d{4} \d\d:", re.ASCII)
_ACCESS = re.compile(r'[^ ]+ [^ ]+ [^ ]+ \[\d\d/\w{3}/\d{4}:[^\]]*\] "')
_SYSLOG = re.compile(r"<\d{1,3}>|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ", re.ASCII)
_LOGFMT = re.compile(r'[A-Za-z_@][\w.@/-]*=(?:"[^"]*"|[^\s"]*)\s+(?:[\w.@/-]+\s+)*[\w.@/-]+=', re.ASCII)


def kind(line: str) -> str:
    """What the line looks like: `json syslog cri klog apache logfmt`, or nothing known."""
    first = line[:1]
    if first == "{":
        return "json"
    if first in ("<", *_MONTHS) and _SYSLOG.match(line):
        return "syslog"
    if first.isdigit() and _CRI.match(line):
        return "cri"
    if first in ("I", "W", "E", "F") and _KLOG.match(line):
        return "klog"
    if _ACCESS.match(line):
        return "apache"
    return "logfmt" if "=" in line and _LOGFMT.match(line) else ""


_MONTHS = tuple({name[0].upper() for name in MONTHS})


def auto(now: Callable[[], float], timezone: str | None = None) -> Reader:
    """Reads JSON, Docker's JSON, syslog, CRI, klog, Apache's and nginx's access logs, and logfmt of two pairs or more."""

    objects = json.json_reader()

    def syslog_line(line: str) -> Event | None:
        return parse_syslog(line, now=now(), timezone=timezone)

    def syslog_text(text: str) -> Found:
        return parse_chunk(text, now=now(), timezone=timezone)

    def json_line(line: str) -> Event | None:
        found = json.parse_line(line)
        return found if found is None else _container(found)

    def json_text(text: str) -> Found:
        return [found if found is None else _container(found) for found in objects.text(text)]

    readers = {
        "json": reader(json_line, json_text),
        "syslog": reader(syslog_line, syslog_text),
        "cri": CRI,
        "klog": klog(now, timezone),
        "apache": APACHE,
        "logfmt": LOGFMT,
    }

    def line(text: str) -> Event | None:
        found = readers.get(kind(text))
        return found.line(text) if found else None

    def chunk(text: str) -> Found:
        lines = text.split("\n")
        kinds = list(map(kind, lines))
        seen = set(kinds)
        if len(seen) == 1:
            only = readers.get(kinds[0])
            return only.text(text) if only else [None] * len(lines)
        found: Found = [None] * len(lines)
        for name in seen - {""}:
            places = [at for at, each in enumerate(kinds) if each == name]
            for at, event in zip(places, readers[name].text("\n".join([lines[at] for at in places])), strict=True):
                found[at] = event
        return found

    return reader(line, chunk)


def _container(found: Event) -> Event:
    """What Docker wrote around a line is taken off."""
    if "log" in found and "stream" in found and "time" in found:
        return docker.taken(found) or found
    return found
