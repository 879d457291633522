"""Whole bodies, as requests bring them, as batches: JSON, JSON lines or text, cut into chunks for the cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import orjson

from shipper.batch import Attrs, Batch, Event
from shipper.text.jsonlines import decode_lines, written

__all__ = ["Form", "batches", "form_of"]

Form = Literal["auto", "json", "ndjson", "text"]

CHUNK = 64 * 1024
EVENTS = 500
EMPTY = re.compile(rb"\n\n")  # three times as fast as `b"\n\n" in`
BOM = b"\xef\xbb\xbf"
LINES = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
)


def form_of(content_type: str, body: bytes) -> Form:
    """What a body is, by its media type; where that says nothing (`curl -d`), by its first byte."""
    if content_type in LINES:
        return "ndjson"
    if content_type == "application/json" or content_type.endswith("+json"):
        return "auto"
    if content_type == "text/plain":
        return "text"
    return "auto" if body.lstrip()[:1] in (b"{", b"[") else "text"


def batches(body: bytes, form: Form, attrs: Attrs, *, chunk: int = CHUNK) -> Iterator[Batch]:
    """The events of a body. Raises ValueError, with a sentence and before the first batch, when nothing in it is valid.

    `json` is an object, or an array of objects; `ndjson` is an object a line; `auto` is either; `text` is an event a
    line. Where some lines or items are objects, those that are not are kept raw and marked with `shipper_error`.
    """
    body = body.removeprefix(BOM)
    if form == "text":
        yield from _text(body, attrs, chunk)
        return
    if form != "ndjson":
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            if form == "json" or b"\n" not in body.strip():
                raise ValueError(f"the body is not JSON: {error}") from error
        else:
            yield from _items(value, len(body), attrs)
            return
    yield from _lines(body, attrs, chunk)


def _text(body: bytes, attrs: Attrs, size: int) -> Iterator[Batch]:
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n")
    for chunk in _chunks(body, size):
        if chunk[:1] != b"\n" and chunk[-1:] != b"\n" and not EMPTY.search(chunk):
            yield Batch(raw=chunk, attrs=attrs)
        elif kept := b"\n".join(filter(None, chunk.split(b"\n"))):
            yield Batch(raw=kept, attrs=attrs)


def _items(value: Any, size: int, attrs: Attrs) -> Iterator[Batch]:
    values = value if isinstance(value, list) else [value]
    events: list[Event] = values
    if set(map(type, values)) - {dict}:
        if not any(type(each) is dict for each in values):
            raise ValueError("the body holds no object: expected a JSON object, or an array of objects")
        events = [each if type(each) is dict else _kept(each) for each in values]
    for at in range(0, len(events), EVENTS):
        some = events[at : at + EVENTS]
        yield Batch(some, attrs=attrs, size=max(1, size * len(some) // len(events)))


def _lines(body: bytes, attrs: Attrs, size: int) -> Iterator[Batch]:
    held: list[Batch] | None = []
    for chunk in _chunks(body, size):
        events = decode_lines(chunk)
        if not events:
            continue
        batch = Batch(events, attrs=attrs, size=len(chunk))
        if held is None:
            yield batch
            continue
        held.append(batch)
        if not all("shipper_error" in event for event in events):  # an object may have such a field of its own: no harm
            yield from held
            held = None
    if held:
        raise ValueError("the body holds no object: expected a JSON object on each line")


def _chunks(body: bytes, size: int) -> Iterator[bytes]:
    """Whole lines, about `size` bytes at a time, without the newline at the end."""
    at, end = 0, len(body.rstrip(b"\n"))
    while at < end:
        cut = body.find(b"\n", min(at + size, end), end)
        cut = end if cut < 0 else cut
        yield body[at:cut]
        at = cut + 1


def _kept(value: Any) -> Event:
    text = value if isinstance(value, str) else written(value)
    return {"message": text, "shipper_error": "json: not an object"}
