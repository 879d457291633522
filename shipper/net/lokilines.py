"""What a line of Loki's is: an event's `message`, or the whole event as JSON or logfmt."""

from __future__ import annotations

import re
from typing import Any, Literal

import orjson

from shipper.batch import Batch, Event, merged
from shipper.net.lokilimits import Unfit
from shipper.text.jsonlines import encode_texts

__all__ = ["LineForm", "cut", "lines_of"]

LineForm = Literal["message", "json", "logfmt"]
CUT = "…[truncated]"

_QUOTED = re.compile(r'[\s"=\\\x00-\x1f\x7f]')
_KEY = re.compile(r'[\s"=\x00-\x1f\x7f]')


def lines_of(batch: Batch, form: LineForm) -> list[str]:
    """One for each event; raises Unfit where an event has none."""
    if form == "message" and batch.is_lines and batch.raw is not None:
        return batch.raw.decode("utf-8", "replace").split("\n")
    if form == "message":
        rest = batch.attrs.get("message")
        lines: list[Any] = [event.get("message", rest) for event in batch.events]
        if set(map(type, lines)) == {str}:
            return lines
        whole = _whole(batch)
        return [_text(line, other) for line, other in zip(lines, whole, strict=True)]
    if form == "logfmt":
        return [_logfmt(merged(event, batch.attrs)) for event in batch.events]
    return _whole(batch)


def cut(line: str, most: int) -> str:
    """Its beginning and a word that says so, together at most so many bytes."""
    room = max(0, most - len(CUT.encode()))
    return line.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + CUT


def _whole(batch: Batch) -> list[str]:
    """Each event with its attributes as one line."""
    lines, refused = encode_texts(batch)
    if refused:
        raise Unfit(refused[0].reason)
    return lines


def _text(line: Any, whole: str) -> str:
    if isinstance(line, str):
        return line
    return whole if line is None else _dumped(line)


def _logfmt(event: Event) -> str:
    """`key=value` pairs; what is nested is JSON in quotes, what has no value is left out."""
    pairs = []
    for key, value in event.items():
        if value is None:
            continue
        text = value if isinstance(value, str) else _dumped(value)
        if not text or _QUOTED.search(text):
            text = _dumped(text)
        pairs.append(f"{_KEY.sub('_', key)}={text}")
    return " ".join(pairs)


def _dumped(value: Any) -> str:
    try:
        return orjson.dumps(value, str).decode()
    except TypeError as error:
        raise Unfit(f"json: {error}") from None
