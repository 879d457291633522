"""A whole JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import orjson

from shipper.batch import Batch, Event, Piece
from shipper.component import Codec
from shipper.errors import Refused
from shipper.text.jsonlines import encode_lines, written
from shipper.text.objects import together

_SPACE = b" \t\r\n"  # JSON's; `strip` knows two more


class Json(Codec):
    """A JSON document: an array of objects, one object, or objects one behind the other, with or without newlines.

    What is no object stays as `message`, marked. Written, events are an array.
    """

    content_type: ClassVar[str] = "application/json"
    framed: ClassVar[bool] = False

    def decode(self, data: bytes) -> list[Event]:
        if not data.strip():
            return []
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            # mostly they are lines, which orjson reads all at once in a tenth of the time
            return together(data.strip(_SPACE)) or _one_behind_the_other(data)
        return [_event(each) for each in value] if isinstance(value, list) else [_event(value)]

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        body, count, refused = encode_lines(batch)
        if count:
            yield Piece(body[:-1].replace(b"\n", b",\n"), count)  # no JSON line has a newline inside
        yield from refused

    def document(self, bodies: Sequence[bytes]) -> bytes:
        return b"[" + b",\n".join(bodies) + b"]\n"

    def split(self, piece: Piece) -> list[Piece]:
        return [Piece(line, 1, piece.key) for line in piece.body.split(b",\n")]

    def events(self, piece: Piece) -> list[Event]:
        return self.decode(self.document([piece.body]))


def _event(value: Any) -> Event:
    if type(value) is dict:
        return value
    return {"message": written(value), "shipper_error": "json: not an object"}


def _one_behind_the_other(data: bytes) -> list[Event]:
    """Values without a comma between them; from the first that is no JSON on, all the rest is one event."""
    text = data.decode("utf-8", "replace")
    scan = json.JSONDecoder().raw_decode
    events: list[Event] = []
    at = _skip(text, 0)
    while at < len(text):
        try:
            end = scan(text, at)[1]
            value = orjson.loads(text[at:end])  # its rules, not those of the standard library, which takes NaN
        except (ValueError, RecursionError):
            events.append({"message": text[at:].rstrip(), "shipper_error": "json: not a document"})
            break
        events += map(_event, value) if isinstance(value, list) else [_event(value)]
        at = _skip(text, end)
    return events


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
