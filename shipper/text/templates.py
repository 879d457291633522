"""Templates: text with fields in it, `logs-{service:app}-{timestamp:%Y.%m.%d}`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any, NoReturn

from shipper.batch import NO_ATTRS, Attrs, Batch, Event
from shipper.text.moments import Moments
from shipper.text.paths import FieldPath, Get, scan

EXPECTED = "expected {path}, {path:default} or {path:%Y.%m.%d}; a brace is written {{ or }}"
BRACE = re.compile("[{}]")
Show = Callable[[Any], str | None]


class Template:
    """Text with `{path}`, `{path:default}` and `{path:%Y.%m.%d}` (a time, in UTC); `{{` and `}}` are braces.

    A path with odd characters is quoted, `{labels."a:b"}`. Strings go in as they are, numbers as in JSON,
    booleans as `true` and `false`. Where a field is missing (or null) and has no default, or is a mapping or
    a list, or where a time cannot be read, there is no text: None. Raises ValueError with what is wrong.
    """

    __slots__ = ("_format", "_holes", "_parts", "fields", "literal", "prefix", "text")

    text: str
    fields: tuple[FieldPath, ...]
    literal: str | None
    """The text itself, when there is no field in it."""
    prefix: str
    """The text before the first field."""
    _holes: tuple[tuple[Get, Show, bool], ...]
    """How a field is found and shown, and whether text is shown as it is."""
    _parts: tuple[str, ...]
    _format: str

    def __init__(self, text: str) -> None:
        literals, holes = _parsed(text)
        put = super().__setattr__
        put("text", text)
        put("fields", tuple(path for path, _, _ in holes))
        put("literal", None if holes else literals[0])
        put("prefix", literals[0])
        put("_holes", tuple((path.get, show, plain) for path, show, plain in holes))
        put("_parts", tuple(part.replace("%", "%%") for part in literals))
        put("_format", "%s".join(self._parts))

    def render(self, event: Event, attrs: Attrs = NO_ATTRS) -> str | None:
        """The text for one event, or None where it has none."""
        values: list[str] = []
        for get, show, _ in self._holes:
            value = show(get(event, attrs))
            if value is None:
                return None
            values.append(value)
        return self._format % tuple(values)

    def each(self, batch: Batch) -> str | list[str | None] | None:
        """The text for the whole batch when the attributes alone decide it, else one for each event."""
        if self.literal is not None:
            return self.literal
        attrs = batch.attrs
        varies = [path.within(batch) for path in self.fields]
        if not any(varies):
            return self.render({}, attrs)
        events = batch.events
        columns: list[list[str | None]] = []
        sure = True  # that no value is missing
        form = self._parts[0]
        for path, (get, show, plain), part, own in zip(self.fields, self._holes, self._parts[1:], varies, strict=True):
            if own:
                values = _values(path, get, events, attrs)
                if not plain or set(map(type, values)) != {str}:
                    values = [show(value) for value in values]
                    sure = sure and None not in values
                columns.append(values)
                form += "%s" + part
            else:
                text = show(get({}, attrs))
                if text is None:
                    return None
                form += text.replace("%", "%%") + part
        if form == "%s":
            return columns[0]
        if sure:
            return [form % values for values in zip(*columns, strict=True)]
        return [None if None in values else form % values for values in zip(*columns, strict=True)]

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a Template does not change: {name}")

    def __reduce__(self) -> Any:
        return Template, (self.text,)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.text == self.text

    def __hash__(self) -> int:
        return hash(("Template", self.text))


def grouped(batch: Batch, template: Template) -> list[tuple[str | None, Batch]]:
    """The batch as one batch for each text that its events give (None: no text), in order of appearance.

    Order is kept inside each; with one text it is the batch itself, untouched.
    """
    found = template.each(batch)
    if not isinstance(found, list):
        return [(found, batch)]
    if found.count(found[0]) == len(found):
        return [(found[0], batch)]
    groups: dict[str | None, list[Event]] = {text: [] for text in found}
    for text, event in zip(found, batch.events, strict=True):
        groups[text].append(event)
    return [(text, batch.with_events(events)) for text, events in groups.items()]


def shown(value: Any) -> str | None:
    """A scalar as text, as JSON would have it without the quotes; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else None
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return None


def _values(path: FieldPath, get: Get, events: list[Event], attrs: Attrs) -> list[Any]:
    """What the field is in each event."""
    if len(path.keys) > 1:
        return [get(event, attrs) for event in events]
    try:
        return list(map(itemgetter(path.first), events))
    except KeyError:
        key, rest = path.first, attrs.get(path.first)
        return [event.get(key, rest) for event in events]


def _show(default: str | None) -> Show:
    def show(value: Any) -> str | None:
        if type(value) is str:
            return value
        return default if value is None else shown(value)

    return show


def _parsed(text: str) -> tuple[list[str], list[tuple[FieldPath, Show, bool]]]:
    """The literal parts around the fields (one more than fields), and the fields."""
    literals = [""]
    holes: list[tuple[FieldPath, Show, bool]] = []
    at = 0
    while brace := BRACE.search(text, at):
        start = brace.start()
        literals[-1] += text[at:start]
        if text.startswith(brace[0] * 2, start):
            literals[-1] += brace[0]
            at = start + 2
            continue
        if brace[0] == "}":
            raise ValueError(f"}} at column {start + 1} of {text!r} closes nothing; {EXPECTED}")
        at = _hole(text, start, holes)
        literals.append("")
    literals[-1] += text[at:]
    return literals, holes


def _hole(text: str, start: int, holes: list[tuple[FieldPath, Show, bool]]) -> int:
    """Read the field that begins with the brace at `start`; where the text goes on behind it."""
    try:
        _, end = scan(text, start + 1)
    except ValueError as error:
        raise ValueError(f"{str(error).partition(';')[0]} where a field begins; {EXPECTED}") from None
    close = text.find("}", end)
    if close < 0:
        raise ValueError(f"{{ at column {start + 1} of {text!r} is never closed; {EXPECTED}")
    rest = text[end:close]
    if rest[:1] not in ("", ":") or "{" in rest:
        odd = end if rest[0] != ":" else end + rest.index("{")
        raise ValueError(f"{text[odd]!r} at column {odd + 1} of {text!r} where the field ends; {EXPECTED}")
    path = FieldPath(text[start + 1 : end])
    if rest.startswith(":%"):
        try:
            holes.append((path, Moments(rest[1:]).show, False))
        except ValueError as error:
            raise ValueError(f"column {end + 2} of {text!r}: {error}") from None
    else:
        holes.append((path, _show(rest[1:] if rest else None), True))
    return close + 1
