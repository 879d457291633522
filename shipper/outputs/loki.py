"""Grafana Loki, by its push API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import repeat
from operator import gt
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import orjson

from shipper.batch import Batch, Event, Piece, merged
from shipper.component import Output
from shipper.errors import Refused, Rejected, TooLarge, Unavailable
from shipper.net.address import below
from shipper.net.auth import Auth
from shipper.net.checks import check_client
from shipper.net.compression import Compression, Gzip, Plain, content_headers, pack
from shipper.net.lokiprobe import ask_labels
from shipper.net.lokipush import Form, Json, Protobuf
from shipper.net.lokitimes import all_nanoseconds, as_rfc3339, nanoseconds
from shipper.net.probing import asking
from shipper.net.session import Session
from shipper.net.status import printable
from shipper.net.tls import Tls
from shipper.options import Meta, Secret, Url, option
from shipper.policy import BUFFERED, Delivery
from shipper.text.jsonlines import encode_lines
from shipper.text.templates import Template, grouped

# Loki's defaults (`limits_config`): what is beyond them it refuses or, worse, throws away.
LINE_BYTES = 256 * 1024
LABELS = 15
NAME_BYTES = 1024
VALUE_BYTES = 2048
METADATA_BYTES = 64 * 1024
METADATA_ENTRIES = 128
TENANT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9!_.*'()-]{1,150}")

_PUSH = "/loki/api/v1/push"
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_BLOCKED = 260  # "ingestion blocked" for the tenant: a 2xx that stores nothing
_TIMES = re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.]+(?:Z| [+-]\d{4} UTC)?")
_QUOTED = re.compile(r'[\s"=\\\x00-\x1f\x7f]')
_KEY = re.compile(r'[\s"=\x00-\x1f\x7f]')
_NO_LABELS = {"service_name": "unknown_service"}  # Loki's own word for it


class Loki(Output):
    """Push events to Grafana Loki, as one stream for each set of labels.

    An event that Loki's limits do not allow (a line over 256 KiB, a label over 2 KiB, a tenant that is none) is set
    aside alone with the reason; one whose time cannot be read gets the time of reading.
    """

    delivery: ClassVar[Delivery] = Delivery(concurrency=1, buffer=BUFFERED)

    url: Annotated[Url, Meta(description="Loki's address, or the whole path of its push API.")]
    labels: Annotated[
        dict[str, Template],
        Meta(description="Labels of the streams, 1 to 15; few values each. One without a value is left out."),
    ]
    structured_metadata: Annotated[
        dict[str, Template], Meta(description="What goes with each line without being indexed.")
    ] = option(dict)
    tenant: Annotated[
        Template | None, Meta(description="Tenant (X-Scope-OrgID); an event that has none is set aside.")
    ] = None
    line: Annotated[
        Literal["message", "json", "logfmt"],
        Meta(
            description="What a line is: the whole event, or its `message` alone; then other fields arrive only as "
            "labels or metadata, and an event without `message` is written as JSON."
        ),
    ] = "json"
    format: Annotated[
        Literal["json", "protobuf"],
        Meta(description='Form of a request; `protobuf` needs `pip install "shipper[loki]"`.'),
    ] = "json"
    headers: Annotated[dict[str, Secret], Meta(description="More headers for each request.")] = option(dict)
    auth: Annotated[Auth | None, Meta(description="How to log in.")] = None
    tls: Annotated[Tls, Meta(description="Certificates.")] = option(Tls)
    proxy: Annotated[Url | None, Meta(description="Proxy for all requests.")] = None
    compression: Annotated[
        Compression, Meta(description="How JSON is packed; protobuf is packed by snappy always.")
    ] = option(Gzip)

    _session: Session | None = None
    _push: Url | None = None
    _form: Form = option(Json)

    def __post_init__(self) -> None:
        self._form = Protobuf() if self.format == "protobuf" else Json()
        whole = urlsplit(self.url.reveal()).path.rstrip("/").endswith("/push")
        self._push = self.url if whole else below(self.url, _PUSH)

    def shape(self) -> str:
        return self.format

    def check(self) -> Iterable[tuple[str, str]]:
        if not 1 <= len(self.labels) <= LABELS:
            yield "labels", f"found {len(self.labels)}, expected 1 to {LABELS}"
        for name in self.labels:
            if not _NAME.fullmatch(name) or len(name) > NAME_BYTES:
                yield "labels", f"found {name!r}, expected letters, digits and _, and no digit in front"
        if len(self.structured_metadata) > METADATA_ENTRIES:
            yield "structured_metadata", f"found {len(self.structured_metadata)}, expected at most {METADATA_ENTRIES}"
        literal = self.tenant.literal if self.tenant is not None else None
        if literal is not None and not TENANT.fullmatch(literal):
            yield "tenant", f"found {literal!r}, expected 1 to 150 letters, digits or one of !-_.*'()"
        if self.format == "protobuf":
            try:
                import cramjam  # noqa: F401
            except ImportError:
                yield "format", 'protobuf needs the package cramjam: pip install "shipper[loki]"'
        own = ("Content-Type", *(("X-Scope-OrgID",) if self.tenant is not None else ()))
        yield from check_client(
            headers=self.headers, auth=self.auth, tls=self.tls, compression=self.compression, own=own
        )

    async def open(self) -> None:
        self._session = Session(
            self.scope, tls=self.tls, auth=self.auth, proxy=self.proxy, headers=self.headers, urls=[self.url]
        )
        await self._session.open()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def probe(self) -> str:
        tenant = self.tenant.literal if self.tenant is not None else None
        headers = {"X-Scope-OrgID": tenant} if tenant else {}
        async with asking(
            self.scope, tls=self.tls, auth=self.auth, proxy=self.proxy, headers=self.headers, urls=[self.url]
        ) as ask:
            return await ask_labels(ask, self._push or self.url, headers)

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        if not batch:
            return
        for tenant, part in grouped(batch, self.tenant) if self.tenant is not None else [("", batch)]:
            if self.tenant is not None and not TENANT.fullmatch(tenant or ""):
                why = (
                    "no tenant: a field that its name needs is missing" if tenant is None else f"no tenant: {tenant!r}"
                )
                yield from (Refused(merged(event, part.attrs), printable(why, 300)) for event in part.events)
            else:
                yield from self._encode(part, tenant or "")

    def _encode(self, batch: Batch, tenant: str) -> Iterable[Piece | Refused]:
        try:
            yield Piece(self._form.join(self._streams(batch)), len(batch), tenant)
        except _Unfit as unfit:
            events = batch.events
            if len(events) == 1:
                yield Refused(merged(events[0], batch.attrs), str(unfit))
                return
            for half in (events[: len(events) // 2], events[len(events) // 2 :]):
                yield from self._encode(batch.with_events(half), tenant)

    def _streams(self, batch: Batch) -> list[bytes]:
        """The streams of a batch; raises `_Unfit` when an event of it is against Loki's limits."""
        lines = self._lines(batch)
        if (
            max(map(len, lines)) * 4 > LINE_BYTES
            and max(len(line.encode("utf-8", "replace")) for line in lines) > LINE_BYTES
        ):
            raise _Unfit(f"the line is longer than {LINE_BYTES} bytes")
        times = self._times(batch, len(lines))
        metadata = self._metadata(batch, len(lines))
        columns = [_same(template.each(batch)) for template in self.labels.values()]
        if not any(isinstance(texts, list) for texts in columns):
            return [self._stream(columns, times, lines, metadata)]
        rows = [texts if isinstance(texts, list) else repeat(texts, len(lines)) for texts in columns]
        groups: dict[tuple[str | None, ...], list[int]] = {}
        for at, key in enumerate(zip(*rows, strict=True)):
            groups.setdefault(key, []).append(at)
        return [
            self._stream(
                key,
                [times[at] for at in mine],
                [lines[at] for at in mine],
                [metadata[at] for at in mine] if metadata else None,
            )
            for key, mine in groups.items()
        ]

    def _stream(self, values: Sequence[Any], times: list[str], lines: list[str], metadata: Any) -> bytes:
        labels = {name: value for name, value in zip(self.labels, values, strict=True) if value} or _NO_LABELS
        if any(
            len(value) * 4 > VALUE_BYTES and len(value.encode("utf-8", "replace")) > VALUE_BYTES
            for value in labels.values()
        ):
            raise _Unfit(f"the value of a label is longer than {VALUE_BYTES} bytes")
        if True in map(gt, times, times[1:]):
            order = sorted(range(len(times)), key=lambda at: int(times[at]))
            times, lines = [times[at] for at in order], [lines[at] for at in order]
            metadata = metadata and [metadata[at] for at in order]
        try:
            return self._form.stream(labels, times, lines, metadata)
        except (TypeError, UnicodeEncodeError) as error:
            raise _Unfit(f"text that is not Unicode: {error}") from None

    def _lines(self, batch: Batch) -> list[str]:
        if self.line == "message" and batch.is_lines and batch.raw is not None:
            return batch.raw.decode("utf-8", "replace").split("\n")
        if self.line == "message":
            rest = batch.attrs.get("message")
            lines: list[Any] = [event.get("message", rest) for event in batch.events]
            if set(map(type, lines)) == {str}:
                return lines
            whole = self._whole(batch)
            return [_text(line, other) for line, other in zip(lines, whole, strict=True)]
        if self.line == "logfmt":
            return [_logfmt(merged(event, batch.attrs)) for event in batch.events]
        return self._whole(batch)

    def _whole(self, batch: Batch) -> list[str]:
        """Each event with its attributes as one line."""
        body, _, refused = encode_lines(batch)
        if refused:
            raise _Unfit(refused[0].reason)
        lines = body.decode().split("\n")
        lines.pop()
        return lines

    def _times(self, batch: Batch, count: int) -> list[str]:
        """Nanoseconds since 1970 of each event, in digits; what cannot be read gets the time of reading, and is counted."""
        shared = batch.attrs.get("timestamp")
        if not batch.has("timestamp"):
            at = nanoseconds(shared)
            if at is None and shared is not None:
                self.scope.count("unreadable_timestamps", count)
            return [at or self._now()] * count
        written: list[Any] = [event.get("timestamp", shared) for event in batch.events]
        try:
            return all_nanoseconds(written)
        except (ValueError, TypeError):
            found = [nanoseconds(text) for text in written]
        if None in found:
            self.scope.count("unreadable_timestamps", found.count(None) - written.count(None))
        read = nanoseconds(shared) or self._now()
        return [at or read for at in found]

    def _now(self) -> str:
        return f"{self.scope.clock.time() * 1e6:.0f}000"

    def _metadata(self, batch: Batch, count: int) -> list[dict[str, str]] | None:
        if not self.structured_metadata:
            return None
        found = [(name, template.each(batch)) for name, template in self.structured_metadata.items()]
        shared = {name: text for name, text in found if isinstance(text, str)}
        rows = [shared] * count
        for name, texts in found:
            if isinstance(texts, list):
                rows = [row if text is None else {**row, name: text} for row, text in zip(rows, texts, strict=True)]
        if any(
            sum(map(len, row)) + sum(map(len, row.values())) > METADATA_BYTES // 4 and _weight(row) > METADATA_BYTES
            for row in rows
        ):
            raise _Unfit(f"the structured metadata is longer than {METADATA_BYTES} bytes")
        return rows

    async def write(self, pieces: Sequence[Piece]) -> None:
        session, url = self._session, self._push
        if session is None or url is None:
            raise Unavailable("the output is not open")
        compression = self.compression if self.format == "json" else Plain()
        body = await pack(compression, self._form.document(self._form.join([piece.body for piece in pieces])))
        headers = content_headers(self._form.content_type, compression)
        if pieces[0].key:
            headers["X-Scope-OrgID"] = pieces[0].key
        answer = await session.send("POST", url, body, headers)
        if answer.status == _BLOCKED:
            raise Unavailable(f"HTTP {_BLOCKED}: Loki takes nothing for this tenant now")
        if answer.status == 500 and b"received message larger than max" in answer.body:
            raise TooLarge("HTTP 500: received message larger than max", 500)
        try:
            session.settle(url, answer)
        except TooLarge:
            raise
        except Rejected as refusal:
            # without its times a reason is the same for each event, and the core sees a mistake when it repeats
            raise Rejected(_TIMES.sub("(time)", refusal.reason), refusal.status) from None

    def split(self, piece: Piece) -> list[Piece]:
        return [
            Piece(self._form.stream(labels, [at], [line], [metadata] if metadata else None), 1, piece.key)
            for labels, entries in self._form.streams(piece.body)
            for at, line, metadata in entries
        ]

    def events(self, piece: Piece) -> list[Event]:
        streams = self._form.streams(piece.body)
        if self.line == "json":
            return [orjson.loads(line) for _, entries in streams for _, line, _ in entries]
        return [
            {**labels, **metadata, "timestamp": as_rfc3339(at), "message": line}
            for labels, entries in streams
            for at, line, metadata in entries
        ]


def _same(texts: str | list[str | None] | None) -> str | list[str | None] | None:
    """One text instead of a list of equal ones."""
    return texts[0] if isinstance(texts, list) and texts.count(texts[0]) == len(texts) else texts


class _Unfit(Exception):
    """An event of the batch cannot be sent, and why."""


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
        raise _Unfit(f"json: {error}") from None


def _weight(row: dict[str, str]) -> int:
    return sum(len(text.encode("utf-8", "replace")) for pair in row.items() for text in pair)
