"""Syslog as RFC 3164 found it, and as devices really send it: `<34>Oct 11 22:14:15 host app[pid]: message`.

Taken as well: a year before or after the time, fractions, ISO 8601 times, a zone, a weekday, Cisco's sequence
numbers, `*` and `.` before the time, `: %ASA-6-302013: ...`; no host, no tag, no time, no priority.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from shipper.batch import Event
from shipper.text.formats.rfc5424 import BOM, FACILITIES, SEVERITIES, priority
from shipper.text.timeforms import ROOM, offset, suffix, year_nearest

MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
PRIORITY = re.compile(r"<(\d{1,3})>")
STAMP = re.compile(
    r"\s*(?::\s+)?(?:\d+:\s+)?"  # Cisco: an empty host, a sequence number
    r"(?:(?P<origin>[^\s:]+):\s+)?"  # Cisco: the host before the time
    r"[*.]?(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\s+)?"
    r"(?:"
    rf"(?:(?P<year>\d{{4}})\s)?(?P<month>{'|'.join(MONTHS)})\s{{1,2}}(?P<day>\d{{1,2}})\s(?:(?P<year2>\d{{4}})\s)?"
    r"(?P<clock>\d\d:\d\d:\d\d)(?P<part>[.,]\d{1,9})?(?:\s(?P<year3>(?:19|20)\d\d)(?=[\s:]))?"
    r"|(?P<date>\d{4}-\d\d-\d\d)[T ](?P<clock2>\d\d:\d\d:\d\d)(?P<part2>[.,]\d{1,9})?"
    r")"
    r"(?:\s?(?P<zone>Z|[+-]\d\d:?\d\d|UTC|GMT|[A-Z]{3,5}(?=:(?:\s|$))))?"
    r"(?P<colon>\s?:)?(?:\s+|$)"
)
TOKEN = re.compile(r"(\S+)(?:\s+:(?=\s))?(?:\s|$)")
TAG = re.compile(r"([^\s:\[\]]+)(?:\[([^\]\s]*)\](?::\s?|\s|$)|:(?:\s|$))")
PLAIN = re.compile(
    rf"(?:<(\d{{1,3}})>)?((?:{'|'.join(MONTHS)}) [ 1-3]\d \d\d:\d\d:\d\d) "
    r"((?!(?:Z|UTC|GMT) )[A-Za-z][\w.-]*|\d{1,3}\.[\d.]+) ([!-9;-Z\\^-~]+)(?:\[([\w.]+)\])?: (?!\ufeff)(.*)",
    re.ASCII | re.DOTALL,
)
"""What most senders write, in which nothing can be read in two ways: a host that is no zone and no year, then `app[pid]: `."""
PRIORITIES = {
    str(facility * 8 + severity): (facility_name, severity_name)
    for facility, facility_name in enumerate(FACILITIES)
    for severity, severity_name in enumerate(SEVERITIES)
}


def parse_one(line: str, now: float, zone: tzinfo = UTC) -> Event | None:
    """One message; None when it has neither a priority nor a time, or a priority above 191.

    `now` (seconds since 1970) decides the year of a time that has none: the one that makes it nearest. `zone` is
    that of times that name none. What follows the priority is all message when there is no time (section 4.3.3).
    """
    event: Event = {}
    begin = 0
    names: tuple[str, str] | None = None
    if found := PRIORITY.match(line):
        names = priority(found[1])
        if names is None:
            return None
        begin = found.end()
    stamp = STAMP.match(line, begin)
    when = _when(stamp, now, zone) if stamp else None
    if stamp and when:
        event["timestamp"] = when
        begin = stamp.end()
        host, begin = _host(line, begin, stamp)
        if host and host != "-":
            event["host"] = host
    elif names is None:
        return None
    if tag := TAG.match(line, begin):
        event["app"] = tag[1]
        if tag[2] and tag[2] != "-":
            event["pid"] = tag[2]
        begin = tag.end()
    if names:
        event["facility"], event["severity"] = names
    event["message"] = line[begin:].removeprefix(BOM)
    return event


def plainly(other: Callable[[str], Event | None], now: float, zone: tzinfo = UTC) -> Callable[[str], Event | None]:
    """What `parse_one` makes of a line, in a quarter of the time where it is written plainly; `other` gets the rest."""
    match, priorities, times = PLAIN.match, PRIORITIES, _times(now // 3600, zone)

    def parse(line: str) -> Event | None:
        found = match(line)
        if found is None:
            return other(line)
        digits, stamp, host, app, pid, message = found.groups()
        when = times.get(stamp)
        if when is None or (digits and digits not in priorities):
            event = other(line)
            if event is not None and "timestamp" in event:
                if len(times) >= ROOM:
                    times.clear()
                times[stamp] = event["timestamp"]
            return event
        event = {"timestamp": when, "host": host, "app": app}
        if pid:
            event["pid"] = pid
        if digits:
            event["facility"], event["severity"] = priorities[digits]
        event["message"] = message
        return event

    return parse


@lru_cache(16)
def _times(hour: float, zone: tzinfo) -> dict[str, str]:
    """What was made in this hour of the times without a year and without a zone."""
    return {}


def _host(line: str, begin: int, stamp: re.Match[str]) -> tuple[str | None, int]:
    """The host and where what follows it begins. The local form has none: a tag follows the time."""
    if stamp["colon"] or stamp["origin"]:
        return stamp["origin"], begin
    token = TOKEN.match(line, begin)
    if token is None or token[1].endswith(":") or TAG.match(line, begin):
        return None, begin
    return token[1], len(line) - len(line[token.end() :].lstrip())


def _when(stamp: re.Match[str], now: float, zone: tzinfo) -> str | None:
    date, clock = stamp["date"], stamp["clock"] or stamp["clock2"]
    if date:
        year, month, day = date.split("-")
    else:
        year, month, day = stamp["year"] or stamp["year2"] or stamp["year3"], stamp["month"], stamp["day"]
    part = (stamp["part"] or stamp["part2"] or "").replace(",", ".")
    hour = now // 3600 * 3600  # so that a second of a day is computed once, and not for every reading
    found = _rfc3339(year, month, day, clock, stamp["zone"], hour, zone)
    return f"{found[0]}{part}{found[1]}" if found else None


@lru_cache(4096)
def _rfc3339(
    year: str | None, month: str, day: str, clock: str, zone: str | None, now: float, default: tzinfo
) -> tuple[str, str] | None:
    """`2026-08-01T00:00:00` and `Z` or `+02:00`, between which the fraction goes; None when there is no such time."""
    hour, minute, second = (int(digits) for digits in clock.split(":"))
    second = 59 if second == 60 else second  # a leap second, which hardly anything can read
    number = MONTHS.get(month) or int(month)
    try:
        known = int(year) if year else year_nearest(number, int(day), hour, minute, second, now)
        when = datetime(known, number, int(day), hour, minute, second)
        named = suffix(zone) if zone and (zone[0] in "+-" or zone in ("Z", "UTC", "GMT")) else offset(when, default)
    except ValueError:
        return None
    return when.isoformat(), named
