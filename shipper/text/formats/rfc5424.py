"""Syslog as RFC 5424 has it: `<34>1 2026-08-01T00:00:00Z host app pid msgid [id name="value"] message`.

Field names: timestamp host app pid msgid facility severity structured_data message; nil (`-`) is left out.
Structured data that is missing or broken stays at the head of the message, and the event is marked with
`shipper_error`: a sender that gets it wrong keeps its host and its severity.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from shipper.batch import Event

FACILITIES = [
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "audit",
    "alert",
    "clock",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
]
SEVERITIES = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"]
BOM = "\ufeff"

HEADER = re.compile(
    r"<(\d{1,3})>[1-9]\d{0,2} (-|[^ ]{10}T[^ ]*) ([^ ]+) ([^ ]+) ([^ ]+) ([^ ]+)(?: (.*))?\Z", re.DOTALL
)
BEGINNING = re.compile(r"<\d{1,3}>[1-9]\d{0,2} (?:-|\d{4}-\d\d-\d\dT)")
"""What is meant to be RFC 5424, whether or not it is well made."""
NAME = r'[^ =\]"]+'
VALUE = r'"((?:[^"\\]|\\.)*)"'
ELEMENT = re.compile(rf"""\[({NAME})((?: +{NAME}={VALUE.replace("((?:", "(?:(?:")})*) *\]""", re.DOTALL)
PARAMETER = re.compile(rf" +({NAME})={VALUE}", re.DOTALL)
ESCAPED = re.compile(r'\\(["\\\]])')
OPENED = re.compile(rf"\[({NAME})(?: ({NAME})=)?")
NEXT = re.compile(rf" ({NAME})=")

REMEMBERED = 64  # different structured data in a chunk; where there are more, remembering does not pay
# "<34>1" -> its names, for all that are written as they should be
PRIORITIES = {
    f"<{facility * 8 + severity}>1": (facility_name, severity_name)
    for facility, facility_name in enumerate(FACILITIES)
    for severity, severity_name in enumerate(SEVERITIES)
}


def priority(digits: str) -> tuple[str, str] | None:
    """Names of facility and severity; None above 191, which is no priority (RFC 5424 section 6.2.1)."""
    number = int(digits)
    return (FACILITIES[number >> 3], SEVERITIES[number & 7]) if number <= 191 else None


def parse_one(line: str) -> Event | None:
    """One message, every form that the RFC allows; None when the header is not one."""
    found = HEADER.match(line)
    names = priority(found[1]) if found else None
    if found is None or names is None:
        return None
    event: Event = {"timestamp": found[2], "host": found[3], "app": found[4], "pid": found[5], "msgid": found[6]}
    event = {name: value for name, value in event.items() if value != "-"}
    event["facility"], event["severity"] = names
    rest = found[7] or ""
    read = structured(rest)
    if read is None:
        event["message"] = rest.removeprefix(BOM)
        event["shipper_error"] = "syslog: no valid structured data before the message"
        return event
    data, end = read
    if data:
        event["structured_data"] = data
    event["message"] = rest[end + 1 :].removeprefix(BOM)
    return event


def structured(text: str) -> tuple[dict[str, dict[str, str]], int] | None:
    """Structured data at the head of a text, and where it ends (at a space, or at the end of the text)."""
    if text == "-" or text.startswith("- "):
        return {}, 1
    data: dict[str, dict[str, str]] = {}
    end = 0
    while element := ELEMENT.match(text, end):
        values = {name: ESCAPED.sub(r"\1", value) for name, value in PARAMETER.findall(element[2])}
        data.setdefault(element[1], {}).update(values)
        end = element.end()
    return (data, end) if end and text[end : end + 1] in ("", " ") else None


def parse_many(lines: Sequence[str], other: Callable[[str], Event | None]) -> list[Event | None]:
    """What `parse_one` makes of each line, in a third of the time where it is written plainly; `other` gets the rest."""
    events: list[Event | None] = []
    append, priorities = events.append, PRIORITIES
    seen: dict[str, tuple[str, dict[str, str]]] = {}  # few senders say something new in it each time
    shapes: dict[str, Shape] = {}
    low = high = ""  # a time of the same day as the last one is between these: a third of the time of a slice
    opened = identity = name = ""  # of the last element with a single value
    for line in lines:
        try:
            head, stamp, host, app, pid, msgid, rest = line.split(" ", 6)
            facility, severity = priorities[head]
        except (ValueError, KeyError):
            append(other(line))
            continue
        if not low <= stamp < high:
            if stamp[10:11] != "T":
                append(other(line))
                continue
            low, high = stamp[:11], stamp[:10] + "U"
        named = host > "-" and app > "-" and pid > "-" and msgid > "-"  # all of them, and none is nil
        if not rest or not (named or (host and app and pid and msgid)):
            append(other(line))
            continue
        event: Event = {
            "timestamp": stamp,
            "host": host,
            "app": app,
            "pid": pid,
            "msgid": msgid,
            "facility": facility,
            "severity": severity,
        }
        if rest[0] == "[":
            elements, bracket, message = rest.partition("] ")
            if not bracket:
                append(other(line))
                continue
            parts = elements.split('"')
            if len(parts) == 3 and parts[0] == opened and not parts[2] and "\\" not in elements:
                event["structured_data"] = {identity: {name: parts[1]}}
            elif (known := seen.get(elements)) is not None:
                event["structured_data"] = {known[0]: known[1].copy()}
            else:
                known = plain(elements, parts, shapes)
                if known is None:
                    append(other(line))
                    continue
                event["structured_data"] = {known[0]: known[1]}
                if len(parts) == 3:
                    opened, identity, name = parts[0], known[0], *known[1]
                elif len(seen) < REMEMBERED:
                    seen[elements] = known
        elif rest[:2] == "- ":
            message = rest[2:]
        else:
            append(other(line))
            continue
        event["message"] = message if message < BOM else message.removeprefix(BOM)
        if not named:
            for field in ("host", "app", "pid", "msgid"):
                if event[field] == "-":
                    del event[field]
        append(event)
    return events


Shape = tuple[list[str], str, tuple[str, ...]]


def plain(elements: str, parts: list[str], shapes: dict[str, Shape]) -> tuple[str, dict[str, str]] | None:
    """One element without its last bracket, `[id a="1" b="2"`, as its id and its values; None for all that is not plain.

    `parts` is what stands between its quotes; `shapes` remembers what stood between the values, so that names are looked at once in a chunk.
    """
    if "\\" in elements:
        return None
    between = parts[::2]
    shape = shapes.get(parts[0])
    if shape is None or shape[0] != between:
        found = skeleton(between)
        if found is None:
            return None
        shape = shapes[parts[0]] = (between, *found)
    names = shape[2]
    if len(names) == 2:  # a literal takes a third of the time
        return shape[1], {names[0]: parts[1], names[1]: parts[3]}
    return shape[1], dict(zip(names, parts[1::2]))  # noqa: B905  (strict= doubles what zip costs)


def skeleton(parts: list[str]) -> tuple[str, tuple[str, ...]] | None:
    """`['[id a=', ' b=', '']` as the id and the names; None for several elements, odd spaces, a quote left open."""
    opened = OPENED.fullmatch(parts[0])
    if opened is None:
        return None
    if opened[2] is None:
        return (opened[1], ()) if len(parts) == 1 else None
    following = [NEXT.fullmatch(part) for part in parts[1:-1]]
    if len(parts) < 2 or parts[-1] or None in following:
        return None
    return opened[1], (opened[2], *(match[1] for match in following if match))
