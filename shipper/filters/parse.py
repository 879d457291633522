"""Takes lines apart: from text to fields, a whole chunk at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import itemgetter
from typing import Annotated, Any, ClassVar, Literal, cast

from shipper.batch import Attrs, Batch, Event
from shipper.component import Filter
from shipper.options import Group, Meta, option
from shipper.text.casts import CASTS, column
from shipper.text.formats.lines import Found, Reader
from shipper.text.ids import put, taken
from shipper.text.paths import FieldPath
from shipper.text.timestamps import Timestamps


class Timestamp(Group):
    """Where the time of an event is, and how it is written."""

    field: Annotated[FieldPath, Meta(description="Field that holds it, among those that were found; it stays.")] = (
        FieldPath("timestamp")
    )
    formats: Annotated[
        list[str],
        Meta(
            description="Formats tried in order: iso8601, rfc3339, rfc3164, clf, klog, epoch, epoch_ms, epoch_us, epoch_ns, "
            "auto, or strptime directives such as `%d.%m.%Y %H:%M:%S.%f`; none: auto.",
        ),
    ] = option(list)
    timezone: Annotated[
        str | None, Meta(description="Zone of times that say none, such as Asia/Seoul or +09:00; UTC unless told.")
    ] = None


class Parse(Filter):
    """Replaces the text in a field by the fields found in it; what cannot be parsed goes on as it came, marked.

    Fields found win over those that the event has already; its other fields stay. `auto` looks at each line for JSON,
    Docker's JSON, syslog, CRI, klog, Apache's and nginx's access logs and logfmt, and lets pass what it does not know,
    without a mark. An event without the field passes too. With `keep_original` the field keeps its text, even where
    the format brings a field of the same name (with `target` both are there). `timestamp` reads the time from a field
    and writes it as RFC 3339 to `timestamp`; a time or a type that does not fit leaves its field as it is, marked.
    """

    one_each: ClassVar[bool] = True

    format: Annotated[
        Literal["json", "logfmt", "regex", "csv", "syslog", "cri", "docker", "klog", "apache", "nginx", "auto"],
        Meta(description="How the text is written."),
    ]
    field: Annotated[FieldPath, Meta(description="Field that holds the text.")] = FieldPath("message")
    pattern: Annotated[
        re.Pattern[str] | None,
        Meta(
            description="For `regex`: searched in each line (up to 64 KiB); its named groups become fields. One whose time "
            "can grow faster than the line (`validate` warns of the worst) is searched in up to 8 KiB, for at most 25 ms."
        ),
    ] = None
    columns: Annotated[list[str], Meta(description="For `csv`: the names of all columns, in order.")] = option(list)
    target: Annotated[
        FieldPath | None, Meta(description="Field below which to put what was found; at the top unless told.")
    ] = None
    keep_original: Annotated[bool, Meta(description="Keep the text, too.")] = False
    timestamp: Annotated[Timestamp | None, Meta(description="Where the time is and how it is written.")] = None
    types: Annotated[
        dict[str, Literal["int", "float", "bool", "str"]],
        Meta(description="Types of fields that were found, by their path; text stays text unless told."),
    ] = option(dict)

    _reader: Reader | None = None
    _times: Timestamps | None = None
    _casts: list[tuple[FieldPath, str, Callable[[Any], Any]]] = option(list)
    _alone: bool = False  # what was found is the event when it had nothing else
    _raw: bool = False

    def __post_init__(self) -> None:
        # what `check` complains of is left out here, so that all complaints come together
        if not any(True for _ in self.check()):
            self._reader = _reader(self)
            if self.timestamp:
                self._times = Timestamps(self.timestamp.formats, self.timestamp.timezone)
            self._casts = [(FieldPath(path), name, CASTS[name]) for path, name in self.types.items()]
        self._alone = len(self.field.keys) == 1 and not (self.keep_original or self.target)
        self._raw = self._alone and self.field.first == "message"

    def check(self) -> Iterable[tuple[str, str]]:
        if self.format == "regex" and self.pattern is None:
            yield "pattern", "is needed for the format regex"
        if self.format != "regex" and self.pattern is not None:
            yield "pattern", f"is for the format regex only, not for {self.format}"
        if self.pattern is not None and not self.pattern.groupindex:
            yield "pattern", "needs named groups, such as (?<status>[0-9]+), which become fields"
        if self.format == "csv" and not self.columns:
            yield "columns", "is needed for the format csv"
        if self.columns and self.format != "csv":
            yield "columns", f"is for the format csv only, not for {self.format}"
        if len(set(self.columns)) < len(self.columns):
            yield "columns", "has the same name twice"
        if self.keep_original and self.target and self.target.keys[: len(self.field.keys)] == self.field.keys:
            yield "target", f"is where keep_original keeps the text: {self.field}"
        if self.timestamp:
            for each in self.timestamp.formats:
                yield from _refused("timestamp.formats", Timestamps, [each])
            yield from _refused("timestamp.timezone", Timestamps, (), self.timestamp.timezone)
        for path in self.types:
            yield from _refused("types", FieldPath, path)

    def apply(self, batch: Batch) -> Batch:
        reader = self._reader
        if reader is None:
            raise ValueError("; ".join(f"{name} {problem}" for name, problem in self.check()))
        self._faults = None  # of a try that raised
        if reader.slow:
            reader.slow.clear()
        if self._raw and batch.is_lines and batch.raw is not None:
            batch.events = self._finished(*self._found_in_lines(batch.raw, reader))
            return batch
        ids = taken(batch.events)  # no line may bring an id of its own
        try:
            batch.events = self._finished(*self._found_in(batch.events, batch.attrs, reader))
        finally:
            put(batch.events, ids)
        return batch

    def _found_in_lines(self, raw: bytes, reader: Reader) -> tuple[Found, list[Event]]:
        """What was found in each line, None for those that stay as they are; and the events that come of it."""
        found, unread = reader.data(raw)
        if not unread:
            return found, cast(list[Event], found)
        events = cast(list[Event], found.copy())
        for at, text in unread.items():
            events[at] = self._unread({"message": text}, text)
        return found, events

    def _found_in(self, events: list[Event], attrs: Attrs, reader: Reader) -> tuple[Found, list[Event]]:
        """The same for events that somebody made before."""
        get, key, alone = self.field.get, self.field.first, self._alone
        values = [get(event, attrs) for event in events]
        found: Found = [None] * len(values)
        places = [at for at, value in enumerate(values) if type(value) is str]
        texts = [values[at] for at in places]
        joined = "\n".join(texts)
        if joined.count("\n") == len(texts) - 1:
            read = reader.text(joined)
        else:
            read = [reader.line(text) for text in texts]
        for at, fields in zip(places, read, strict=True):
            found[at] = fields
        made = [
            (event if value is None else self._unread(event, value))
            if fields is None
            else fields
            if alone and len(event) == 1 and key in event
            else self._merged(event, fields, attrs)
            for event, value, fields in zip(events, values, found, strict=True)
        ]
        if self._faults:  # an event that could not take its fields stays as it came
            found = [None if new is old else fields for new, old, fields in zip(made, events, found, strict=True)]
        return found, made

    def _merged(self, event: Event, fields: Event, attrs: Attrs) -> Event:
        """The event with what was found in it, or the event as it came when something is in the way of `target`."""
        came, event = event, event.copy()
        try:
            if self.keep_original:
                original = self.field.get(event, attrs)
                self._put(event, fields, attrs)
                self.field.set(event, original, attrs)
            else:
                self.field.pop(event)
                self._put(event, fields, attrs)
        except ValueError as error:
            self.fault(came, f"parse: {error}")
            return came
        return event

    def _put(self, event: Event, fields: Event, attrs: Attrs) -> None:
        if self.target:
            self.target.set(event, fields, attrs)
        else:
            event.update(fields)

    def _unread(self, event: Event, value: Any) -> Event:
        if type(value) is not str:
            if self.format != "auto":
                self.fault(event, f"parse: {self.field} is no text")
            return event
        slow = self._reader.slow if self._reader else None
        if slow and (reason := slow.get(value)):
            self.scope.count("regex_timeouts")
            self.fault(event, f"parse: {reason}")
        elif self.format != "auto":
            self.fault(event, f"parse: not {self.format}")
        return event

    def _finished(self, found: Found, events: list[Event]) -> list[Event]:
        """The events with their types and times, where something was found; what does not fit stays as it is, and is named."""
        if self._casts or self._times:
            self._finish(found, events)
        return events

    def _finish(self, found: Found, events: list[Event]) -> None:
        read = events
        if found is not events:  # else each was read, and is the event: nothing to sort out
            kept = [(fields, event) for fields, event in zip(found, events, strict=True) if fields is not None]
            read, events = [fields for fields, _ in kept], [event for _, event in kept]
        holders = read if self.target else events
        problems: dict[int, str] = {}
        for path, name, convert in self._casts:
            if not _columns(read, holders, path, path.first, partial(column, name)):
                for at, value in _held(read, path):
                    try:
                        path.set(holders[at], convert(value))
                    except (TypeError, ValueError, OverflowError):
                        problems[at] = f"{problems.get(at, 'parse')}: {path} is no {name}"
        if self._times and self.timestamp:
            path, times, now = self.timestamp.field, self._times, self.scope.clock.time()
            if not _columns(read, events, path, "timestamp", lambda values: times.column(values, now)):
                for at, value in _held(read, path):
                    try:
                        events[at]["timestamp"] = times.read(value, now)
                    except ValueError:
                        problems[at] = f"{problems.get(at, 'parse')}: {path} is no time"
        for at, problem in problems.items():
            self.fault(events[at], problem)


def _held(found: list[Event], path: FieldPath) -> Iterator[tuple[int, Any]]:
    """Where the field was found, and what is in it."""
    get = path.get
    for at, fields in enumerate(found):
        value = get(fields)
        if value is not None:
            yield at, value


def _columns(
    found: list[Event], holders: list[Event], path: FieldPath, key: str, convert: Callable[[Iterable[Any]], list[Any]]
) -> bool:
    """All values of a top-level field at once; False when one is missing or does not fit, and nothing was done."""
    if len(path.keys) > 1:
        return False
    try:
        values = convert(map(itemgetter(path.first), found))
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    for holder, value in zip(holders, values, strict=True):
        holder[key] = value
    return True


def _refused(name: str, make: Callable[..., object], *given: Any) -> Iterable[tuple[str, str]]:
    try:
        make(*given)
    except ValueError as error:
        yield name, str(error)


def _reader(options: Parse) -> Reader:
    """The reader of the format, imported only when it is used."""
    timezone = options.timestamp.timezone if options.timestamp else None

    def now() -> float:
        return options.scope.clock.time()

    match options.format:
        case "json":
            from shipper.text.formats.json import json_reader

            found = json_reader()
        case "logfmt":
            from shipper.text.formats.logfmt import LOGFMT as found
        case "cri":
            from shipper.text.formats.cri import CRI as found
        case "docker":
            from shipper.text.formats.docker import docker_reader

            found = docker_reader()
        case "apache":
            from shipper.text.formats.apache import APACHE as found
        case "nginx":
            from shipper.text.formats.nginx import NGINX as found
        case "regex":
            from shipper.text.formats.regex import by_pattern

            assert options.pattern is not None
            found = by_pattern(options.pattern)
        case "csv":
            from shipper.text.formats.csv import csv_reader

            found = csv_reader(options.columns)
        case "klog":
            from shipper.text.formats.klog import klog

            found = klog(now, timezone)
        case "syslog":
            from shipper.text.formats.lines import reader
            from shipper.text.formats.syslog import parse_messages, parse_syslog

            found = reader(
                lambda line: parse_syslog(line, now=now(), timezone=timezone),
                lambda lines: parse_messages(lines, now=now(), timezone=timezone),
            )
        case "auto":
            from shipper.text.formats.auto import auto

            found = auto(now, timezone)
    return found
