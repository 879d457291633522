"""The two forms of Loki's push API: JSON, and protobuf packed by snappy.

https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs and `pkg/push/push.proto`. Bodies can be
joined: JSON streams by a comma, protobuf messages as they are, for a repeated field goes on in the next message.
The message is small and fixed, so it is written by hand: that is faster than the protobuf package, which is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import orjson

__all__ = ["Form", "Json", "Labels", "Metadata", "Protobuf", "Stream"]

Labels = Mapping[str, str]
Metadata = Sequence[Labels] | None
Stream = tuple[dict[str, str], list[tuple[str, str, dict[str, str]]]]
"""Labels, and entries of nanoseconds since 1970 in digits, line, structured metadata."""


class Form(Protocol):
    """One way to write streams."""

    content_type: str

    def stream(self, labels: Labels, times: Sequence[str], lines: Sequence[str], metadata: Metadata) -> bytes:
        """One stream. Raises TypeError or UnicodeEncodeError when a text is not Unicode."""

    def join(self, bodies: Sequence[bytes]) -> bytes:
        """Streams, or what was joined of them, as one body."""

    def document(self, body: bytes) -> bytes:
        """A body as it is sent."""

    def streams(self, body: bytes) -> list[Stream]:
        """What is in a body."""


class Json:
    """`{"streams": [{"stream": labels, "values": [[ns, line, metadata], ...]}, ...]}`."""

    content_type = "application/json"

    def stream(self, labels: Labels, times: Sequence[str], lines: Sequence[str], metadata: Metadata) -> bytes:
        values = list(zip(times, lines, metadata, strict=True) if metadata else zip(times, lines, strict=True))
        return orjson.dumps({"stream": labels, "values": values})

    def join(self, bodies: Sequence[bytes]) -> bytes:
        return b",".join(bodies)

    def document(self, body: bytes) -> bytes:
        return b'{"streams":[' + body + b"]}"

    def streams(self, body: bytes) -> list[Stream]:
        found = orjson.loads(self.document(body))["streams"]
        return [(each["stream"], [(at, line, *(rest or [{}])) for at, line, *rest in each["values"]]) for each in found]


class Protobuf:
    """`logproto.PushRequest`, packed by snappy (the package cramjam, of the extra `loki`)."""

    content_type = "application/x-protobuf"

    def stream(self, labels: Labels, times: Sequence[str], lines: Sequence[str], metadata: Metadata) -> bytes:
        texts = [line.encode() for line in lines]
        # a value in Go's quotes; JSON writes nothing that Go would not read
        shown = b"{" + b", ".join([name.encode() + b"=" + orjson.dumps(labels[name]) for name in sorted(labels)]) + b"}"
        parts = [_field(1, shown)]
        if metadata is None:
            parts += [
                _field(2, _time(at) + b"\x12" + _length(len(text)) + text)
                for at, text in zip(times, texts, strict=True)
            ]
        else:
            parts += [
                _field(2, _time(at) + b"\x12" + _length(len(text)) + text + _pairs(pairs))
                for at, text, pairs in zip(times, texts, metadata, strict=True)
            ]
        return _field(1, b"".join(parts))

    def join(self, bodies: Sequence[bytes]) -> bytes:
        return b"".join(bodies)

    def document(self, body: bytes) -> bytes:
        import cramjam

        return bytes(cramjam.snappy.compress_raw(body))

    def streams(self, body: bytes) -> list[Stream]:
        return [_read_stream(stream) for _, stream in _fields(body)]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


_length = lru_cache(1 << 14)(_varint)


def _field(number: int, body: bytes) -> bytes:
    return _KEYS[number] + _length(len(body)) + body


_KEYS = [bytes((number << 3 | 2,)) for number in range(16)]


def _time(at: str) -> bytes:
    """The entry's first field: seconds and nanoseconds."""
    return _field(1, _seconds(at[:-9]) + _varint(int(at[-9:])))


@lru_cache(1 << 10)
def _seconds(digits: str) -> bytes:
    return b"\x08" + _varint(int(digits or 0)) + b"\x10"


def _pairs(pairs: Labels) -> bytes:
    return b"".join([_field(3, _field(1, name.encode()) + _field(2, value.encode())) for name, value in pairs.items()])


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: bytes, or an integer. Only for what was written here."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        value, at = _number(data, at)
        if key & 7 == 2:
            yield key >> 3, data[at : at + value]
            at += value
        else:
            yield key >> 3, value


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7


def _read_stream(data: bytes) -> Stream:
    labels: dict[str, str] = {}
    entries: list[tuple[str, str, dict[str, str]]] = []
    for number, value in _fields(data):
        if number == 1:
            labels = _read_labels(value)
        else:
            entries.append(_read_entry(value))
    return labels, entries


def _read_labels(shown: bytes) -> dict[str, str]:
    labels = {}
    rest = shown.decode()[1:-1]
    while rest:
        name, _, rest = rest.partition("=")
        end = 1
        while rest[end] != '"':
            end += 2 if rest[end] == "\\" else 1
        labels[name] = orjson.loads(rest[: end + 1])
        rest = rest[end + 1 :].removeprefix(", ")
    return labels


def _read_entry(data: bytes) -> tuple[str, str, dict[str, str]]:
    at, line, metadata = "", "", {}
    for number, value in _fields(data):
        if number == 1:
            seconds = dict(_fields(value))
            at = f"{seconds[1]}{seconds[2]:09}"
        elif number == 2:
            line = value.decode()
        else:
            pair = dict(_fields(value))
            metadata[pair[1].decode()] = pair[2].decode()
    return at, line, metadata
