"""Field paths: where a value is in an event, `kubernetes.labels."app.kubernetes.io/name"`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol, Self

from shipper.batch import NO_ATTRS, Attrs, Batch, Event

EXPECTED = 'expected a field path such as kubernetes.labels.app or labels."app.kubernetes.io/name"'
SEGMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s."\\{}:\[\]()\',]+)', re.DOTALL)
BARE = re.compile(r'[^\s."\\{}:\[\]()\',]+')
MISSING: Any = object()
"""What `find` gives for a field that is not there; a field that is there can be None."""


class Get(Protocol):
    def __call__(self, event: Event, attrs: Attrs = NO_ATTRS, /) -> Any: ...


class FieldPath:
    """A dotted path through an event and its batch's attributes; the event's own top-level field wins.

    A part that is a number also finds an item of a list (`items.0`). A key with odd characters is quoted,
    `labels."a:b"`, with `\\"` and `\\\\` inside. Where the nested field is missing, a top-level key that is
    literally `a.b` is found by the path `a.b` too. Raises ValueError with what is wrong and what was expected.
    """

    __slots__ = ("first", "get", "keys", "text", "tops")

    text: str
    keys: tuple[str, ...]
    first: str
    tops: tuple[str, ...]
    """The top-level keys that can hold the field: `first`, and the literal dotted one."""
    get: Get
    """`get(event, attrs)`: the value, or None when there is none."""

    def __init__(self, text: str) -> None:
        keys, end = scan(text, 0)
        if end != len(text):
            raise ValueError(f"{text[end]!r} at column {end + 1} of {text!r}; {EXPECTED}")
        self._fill(text, keys)

    @classmethod
    def of(cls, *keys: str) -> Self:
        """The path with these keys, whatever characters are in them."""
        path = cls.__new__(cls)
        path._fill(".".join(map(quoted, keys)), keys)
        return path

    def _fill(self, text: str, keys: tuple[str, ...]) -> None:
        put = super().__setattr__
        put("text", text)
        put("keys", keys)
        put("first", keys[0])
        put("tops", keys[:1] if len(keys) == 1 else (keys[0], ".".join(keys)))
        put("get", _single(keys[0]) if len(keys) == 1 else self._dotted())

    def _dotted(self) -> Get:
        find, first, rest, literal = self.find, self.first, self.keys[1:], self.tops[1]

        def get(event: Event, attrs: Attrs = NO_ATTRS, /) -> Any:
            here = event if first in event else attrs
            value = here.get(first)
            for key in rest:
                if type(value) is not dict:
                    break
                value = value.get(key)
            else:
                if value is not None:
                    return value
            if literal not in event and literal not in attrs and (value is None or isinstance(value, str)):
                return None
            value = find(event, attrs)
            return None if value is MISSING else value

        return get

    def find(self, event: Event, attrs: Attrs = NO_ATTRS) -> Any:
        """The value, or MISSING."""
        value: Any = event if self.first in event else attrs
        for key in self.keys:
            value = step(value, key)
            if value is MISSING:
                break
        else:
            return value
        literal = self.tops[-1]
        return event[literal] if literal in event else attrs.get(literal, MISSING)

    def has(self, event: Event, attrs: Attrs = NO_ATTRS) -> bool:
        """Whether the field is there, be it with the value None."""
        return self.find(event, attrs) is not MISSING

    def within(self, batch: Batch) -> bool:
        """Whether an event of the batch may hold the field itself; otherwise the attributes alone decide."""
        return any(batch.has(top) for top in self.tops)

    def set(self, event: Event, value: Any, attrs: Attrs = NO_ATTRS) -> None:
        """Put the value into the event, with mappings in between where there are none.

        Only `event` itself is changed: mappings and lists on the way are copied, so that those shared with
        attributes or with another event stay as they are. With `attrs`, a mapping held there is folded in
        first. What is in the way and is no mapping is never overwritten: that is a ValueError.
        """
        keys = self.keys
        if len(keys) > 1:
            literal = self.tops[1]
            if literal in event and self.find({key: item for key, item in event.items() if key != literal}) is MISSING:
                event[literal] = value
                return
            top = event[self.first] if self.first in event else attrs.get(self.first)
            value = self._grown(top, 1, value)
        event[self.first] = value

    def _grown(self, here: Any, depth: int, value: Any) -> Any:
        """A copy of `here` with the value below it."""
        if depth == len(self.keys):
            return value
        key = self.keys[depth]
        if here is None:
            return {key: self._grown(None, depth + 1, value)}
        if isinstance(here, Mapping):
            return {**here, key: self._grown(here.get(key), depth + 1, value)}
        if isinstance(here, list):
            at = index(key)
            if at is not None and at <= len(here):
                inner = here[at] if at < len(here) else None
                return [*here[:at], self._grown(inner, depth + 1, value), *here[at + 1 :]]
            found = f"a list of {len(here)}"
        else:
            found = f"a {type(here).__name__}"
        upto = FieldPath.of(*self.keys[:depth]).text
        raise ValueError(f"{self.text} cannot be set: {upto} is {found}, not a mapping")

    def pop(self, event: Event) -> Any:
        """Take the field out of the event; its value, or None when the event itself does not hold it.

        Only `event` itself is changed, as with `set`. Mappings that become empty stay.
        """
        value = self.find(event)
        if value is MISSING:
            return None
        if len(self.keys) > 1:
            shrunk = _without(event.get(self.first), self.keys[1:])
            if shrunk is not MISSING:
                event[self.first] = shrunk
                return value
        return event.pop(self.tops[-1])

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"a FieldPath does not change: {name}")

    def __reduce__(self) -> Any:
        return FieldPath, (self.text,)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"FieldPath({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldPath) and other.keys == self.keys

    def __hash__(self) -> int:
        return hash(self.keys)


def scan(text: str, start: int) -> tuple[tuple[str, ...], int]:
    """The keys of the path that begins at `start`, and where it ends; ValueError when none begins there."""
    keys: list[str] = []
    at = start
    while True:
        found = SEGMENT.match(text, at)
        if not found:
            what = f"{text[at]!r}" if at < len(text) else "the end"
            raise ValueError(f"{what} at column {at + 1} of {text!r}; {EXPECTED}")
        keys.append(found[2] if found[1] is None else re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL))
        at = found.end()
        if text[at : at + 1] != ".":
            return tuple(keys), at
        at += 1


def quoted(key: str) -> str:
    """A key as it is written in a path: in quotes when it needs them."""
    if BARE.fullmatch(key):
        return key
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def index(key: str) -> int | None:
    """The place in a list that a key names, or None."""
    return int(key) if key.isascii() and key.isdigit() and len(key) < 10 else None


def step(value: Any, key: str) -> Any:
    """What is at this key of a mapping or at this place of a list, or MISSING."""
    if isinstance(value, Mapping):
        return value.get(key, MISSING)
    if isinstance(value, list):
        at = index(key)
        return value[at] if at is not None and at < len(value) else MISSING
    return MISSING


def _single(key: str) -> Get:
    def get(event: Event, attrs: Attrs = NO_ATTRS, /) -> Any:
        return event[key] if key in event else attrs.get(key)

    return get


def _without(here: Any, keys: Sequence[str]) -> Any:
    """A copy of `here` without what is below it, or MISSING when that is not there."""
    key, *rest = keys
    inner = step(here, key)
    if inner is MISSING:
        return MISSING
    if rest:
        inner = _without(inner, rest)
        if inner is MISSING:
            return MISSING
    if isinstance(here, list):
        at = int(key)
        return [*here[:at], *([inner] if rest else ()), *here[at + 1 :]]
    return {**here, key: inner} if rest else {name: item for name, item in here.items() if name != key}
