"""logfmt: `level=info msg="two words" cached`, as Heroku and Go programs write it.

https://pkg.go.dev/github.com/kr/logfmt
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from shipper.batch import Event
from shipper.text.formats.lines import Found, reader

__all__ = ["LOGFMT", "parse_line", "parse_many", "write_line"]

# its four groups together are all that it matches
_WORD = re.compile(r'([^\s"=]+)(?:(=)("(?:[^"\\]|\\.)*+"|[^\s"]*+))?(\s+|\Z)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = {"n": "\n", "t": "\t", "r": "\r"}


def parse_line(text: str) -> Event | None:
    """The pairs of one line, values as text, a key without a value as True; None when there is no pair or anything else."""
    text = text.strip()
    words = _WORD.findall(text)
    if "".join(map("".join, words)) != text:  # something is between the words
        return None
    event: Event = {}
    pairs = False
    for key, equals, value, _ in words:
        if equals:
            pairs = True
            event[key] = _unescaped(value[1:-1]) if value[:1] == '"' else value
        else:
            event[key] = True
    return event if pairs else None


def parse_many(lines: Sequence[str]) -> Found:
    """The same for each line of a chunk; a line without escapes is only split, at its quotes and at its spaces."""
    found: Found = []
    for line in lines:
        if '"' in line:
            try:
                event = _quoted(line) if "\\" not in line else parse_line(line)
            except ValueError:
                event = parse_line(line)
            found.append(event)
            continue
        event = {}
        pairs = _put(line.split(), event)
        found.append(event if pairs and "" not in event else None)
    return found


def _put(words: list[str], event: Event) -> bool:
    """Put words without quotes into the event; whether one of them was a pair."""
    pairs = False
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            event[key] = value
            pairs = True
        else:
            event[key] = True
    return pairs


def _quoted(line: str) -> Event:
    """The pairs of a line with quotes and no escapes; ValueError where anything else is in it."""
    parts = line.split('"')  # by turns what is outside of quotes and what is inside
    if len(parts) % 2 == 0:
        raise ValueError("a quote that is not closed")
    event: Event = {}
    for outside, inside in zip(parts[:-1:2], parts[1::2], strict=True):
        *words, key = outside.split()
        if outside[-1] != "=" or (event and not outside[0].isspace()):
            raise ValueError("quotes inside a word")
        _put(words, event)
        key, _, none = key.partition("=")
        if none:
            raise ValueError("quotes inside a value")
        event[key] = inside
    if end := parts[-1]:
        if not end[0].isspace():
            raise ValueError("quotes inside a word")
        _put(end.split(), event)
    if "" in event:
        raise ValueError("no key")
    return event


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        value = orjson.loads(f'"{text}"')
    except orjson.JSONDecodeError:  # escapes that JSON does not have
        return _ESCAPE.sub(lambda found: _SPECIAL.get(found[1], found[1]), text)
    return str(value)


def write_line(event: Mapping[str, Any]) -> str:
    """The event as one line: nested fields under dotted keys, lists as JSON, what would end a key as `_`.

    Raises TypeError for a value that cannot be JSON.
    """
    return " ".join(_pairs("", event))


def _pairs(prefix: str, fields: Mapping[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        key = prefix + _NO_KEY.sub("_", str(name))
        if isinstance(value, Mapping):
            yield from _pairs(f"{key}.", value)
            continue
        text = value if isinstance(value, str) else orjson.dumps(value, str).decode()
        yield f"{key or '_'}={orjson.dumps(text).decode() if _QUOTE.search(text) or not text else text}"


_NO_KEY = re.compile(r'[\s"=\x00-\x20]')
_QUOTE = re.compile(r'[\s"=\\\x00-\x1f\x7f]')

LOGFMT = reader(parse_line, parse_many)
