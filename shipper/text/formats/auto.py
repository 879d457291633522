"""Lines of formats that nobody declared: each is looked at, and read as what it looks like."""

from __future__ import annotations

import re
from collections.abc import Callable

from shipper.batch import Event
from shipper.text.formats import docker, json
from shipper.text.formats.apache import APACHE
from shipper.text.formats.cri import CRI
from shipper.text.formats.klog import klog
from shipper.text.formats.lines import Found, Parsed, Reader, reader
from shipper.text.formats.logfmt import LOGFMT
from shipper.text.formats.syslog import parse_messages, parse_syslog

__all__ = ["auto", "kind"]

_CRI = re.compile(r"\d{4}-\d\d-\d\dT\S+ std(?:out|err) [FP]", re.ASCII)
_KLOG = re.compile(r"[IWEF]\d{4} \d\d:", re.ASCII)
_ACCESS = re.compile(r'[^ ]+ [^ ]+ [^ ]+ \[\d\d/\w{3}/\d{4}:[^\]]*\] "')
_SYSLOG = re.compile(r"<\d{1,3}>|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ", re.ASCII)
_LOGFMT = re.compile(r'[A-Za-z_@][\w.@/-]*=(?:"[^"]*"|[^\s"]*)\s+(?:[\w.@/-]+\s+)*[\w.@/-]+=', re.ASCII)

FEW = 10
"""One in so many lines may be no JSON, and the others are still read together."""


def kind(line: str) -> str:
    """What the line looks like: `json syslog cri klog apache logfmt`, or nothing known."""
    first = line[:1]
    if first == "{":
        return "json"
    for name, match in _BY_FIRST.get(first, _ANY):
        if match(line):
            return name
    return ""


def _is_logfmt(line: str) -> object:
    return "=" in line and _LOGFMT.match(line)


Tests = tuple[tuple[str, Callable[[str], object]], ...]
_ANY: Tests = (("apache", _ACCESS.match), ("logfmt", _is_logfmt))


def _beginning(first: str) -> Tests:
    """What a line may be that begins so."""
    tests: Tests = (("syslog", _SYSLOG.match),) if first in "<JFMASOND" else ()
    tests += (("cri", _CRI.match),) if first in "0123456789" else ()
    tests += (("klog", _KLOG.match),) if first in "IWEF" else ()
    return tests + _ANY


_BY_FIRST = {first: _beginning(first) for first in "<JFMASOND0123456789IWE"}


def auto(now: Callable[[], float], timezone: str | None = None) -> Reader:
    """Reads JSON, Docker's JSON, syslog, CRI, klog, Apache's and nginx's access logs, and logfmt of two pairs or more."""

    objects = json.json_reader()

    def syslog_line(line: str) -> Event | None:
        return parse_syslog(line, now=now(), timezone=timezone)

    def syslog_lines(lines: list[str]) -> Found:
        return parse_messages(lines, now=now(), timezone=timezone)

    def json_line(line: str) -> Event | None:
        found = json.parse_line(line)
        return found if found is None else _container(found)

    def json_lines(lines: list[str]) -> Found:
        return [found if found is None else _container(found) for found in objects.text("\n".join(lines))]

    readers = {
        "json": reader(json_line, json_lines),
        "syslog": reader(syslog_line, syslog_lines),
        "cri": CRI,
        "klog": klog(now, timezone),
        "apache": APACHE,
        "logfmt": LOGFMT,
    }

    def line(text: str) -> Event | None:
        found = readers.get(kind(text))
        return found.line(text) if found else None

    def many(lines: list[str]) -> Found:
        kinds = list(map(kind, lines))
        found: Found = [None] * len(lines)
        for name in set(kinds) - {""}:
            places = [at for at, each in enumerate(kinds) if each == name]
            text = "\n".join([lines[at] for at in places])
            for at, event in zip(places, readers[name].text(text), strict=True):
                found[at] = event
        return found

    either = reader(line, many)

    def data(raw: bytes) -> Parsed:
        """Where most lines are JSON, these as bytes, and the others one by one."""
        lines = raw.split(b"\n")
        others = [at for at, each in enumerate(lines) if each[:1] != b"{"]
        if len(others) * FEW > len(lines):
            return either.data(raw)
        braced = raw if not others else b"\n".join([each for each in lines if each[:1] == b"{"])
        records, failed = objects.data(braced)
        found = [_container(event) if event is not None and "log" in event else event for event in records]
        for at, text in failed.items():  # what was not UTF-8 may be JSON as text
            found[at] = line(text)
        for at in others:
            found.insert(at, line(lines[at].decode("utf-8", "replace")))
        unread = [at for at, event in enumerate(found) if event is None] if not all(found) else ()
        return found, {at: lines[at].decode("utf-8", "replace") for at in unread}

    return Reader(line, either.text, data)


def _container(found: Event) -> Event:
    """What Docker wrote around a line is taken off."""
    if "log" in found and "stream" in found and "time" in found:
        return docker.taken(found) or found
    return found
