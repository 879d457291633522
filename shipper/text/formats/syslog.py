"""Syslog in either form: RFC 5424, RFC 3164, and what devices send that is nearly one of them.

Fields: `timestamp host app pid msgid facility severity structured_data message`; what a message does not say is
left out, `message` is always there. Facilities are `kern user mail daemon auth syslog lpr news uucp cron authpriv
ftp ntp audit alert clock local0` to `local7`, severities `emergency alert critical error warning notice info debug`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from shipper.batch import Event
from shipper.text.formats import rfc3164, rfc5424
from shipper.text.timeforms import zone_named

Format = Literal["auto", "rfc3164", "rfc5424"]


def parse_syslog(line: str, *, now: float, format: Format = "auto", timezone: str | None = None) -> Event | None:
    """One message; None for what is no syslog, such as a priority above 191 or a line without priority and time.

    `now` (seconds since 1970) gives the year to times that have none, `timezone` (`Europe/Paris`, `+02:00`; UTC unless told) the
    zone to times that have none. Raises ValueError for a zone that does not exist.
    """
    return _reader(now, format, timezone)(line)


def parse_chunk(text: str, *, now: float, format: Format = "auto", timezone: str | None = None) -> list[Event | None]:
    """What `parse_syslog` makes of each line of a text (separated by newlines, none at the end)."""
    return parse_messages(text.split("\n"), now=now, format=format, timezone=timezone)


def parse_messages(
    messages: Sequence[str], *, now: float, format: Format = "auto", timezone: str | None = None
) -> list[Event | None]:
    """What `parse_syslog` makes of each message; they may hold newlines."""
    reader = _reader(now, format, timezone)
    if format == "rfc5424":
        return rfc5424.parse_many(messages, reader)
    plainly = rfc3164.plainly(reader, now, zone_named(timezone or "UTC"))
    if format == "rfc3164":
        return list(map(plainly, messages))
    if messages and not rfc5424.BEGINNING.match(messages[0]):  # the others are most likely no RFC 5424 either
        plainly = rfc3164.plainly(
            lambda message: rfc5424.parse_many((message,), reader)[0], now, zone_named(timezone or "UTC")
        )
        return list(map(plainly, messages))
    return rfc5424.parse_many(messages, plainly)


def _reader(now: float, format: Format, timezone: str | None) -> Callable[[str], Event | None]:
    if format == "rfc5424":
        return lambda line: rfc5424.parse_one(line.removeprefix(rfc5424.BOM))
    zone = zone_named(timezone or "UTC")
    if format == "rfc3164":
        return lambda line: rfc3164.parse_one(line.removeprefix(rfc5424.BOM), now, zone)

    def either(line: str) -> Event | None:
        line = line.removeprefix(rfc5424.BOM)
        event = rfc5424.parse_one(line)
        if event is None and not rfc5424.BEGINNING.match(line):
            event = rfc3164.parse_one(line, now, zone)
        return event

    return either
