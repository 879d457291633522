"""Grafana Loki, by its push API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
from shipper.net.lokilimits import Limits, Unfit, different_in_each
from shipper.net.lokilines import LineForm, cut, lines_of
from shipper.net.lokiprobe import ask_labels
from shipper.net.lokipush import Form, Json, Protobuf
from shipper.net.lokirows import alike, rows_of
from shipper.net.lokitimes import as_rfc3339, times_of
from shipper.net.probing import asking
from shipper.net.session import Session
from shipper.net.status import printable, said_at
from shipper.net.tls import Tls
from shipper.options import Meta, Secret, Url, option
from shipper.policy import BUFFERED, Delivery
from shipper.text.templates import Template, grouped

TENANT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9!_.*'()-]{1,150}")

_PUSH = "/loki/api/v1/push"
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_BLOCKED = 260  # "ingestion blocked" for the tenant: a 2xx that stores nothing
_TIMES = re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.]+(?:Z| [+-]\d{4} UTC)?")
_NO_LABELS = {"service_name": "unknown_service"}  # Loki's own word for it


class Loki(Output):
    """Push events to Grafana Loki, as one stream for each set of labels.

    An event that Loki would refuse (a line over 256 KiB, more than 15 labels, a value of one over 2 KiB, older than a
    week) is not sent but set aside alone, with the limit in the reason; where yours is told others, say so in `limits`.
    How old an event is goes by Loki's own clock, as its last answer told it; until there was one, Loki decides. An
    event whose time cannot be read gets the time of reading.
    """

    delivery: ClassVar[Delivery] = Delivery(concurrency=1, buffer=BUFFERED)

    url: Annotated[Url, Meta(description="Loki's address, or the whole path of its push API.")]
    labels: Annotated[
        dict[str, Template],
        Meta(min_length=1, description="Labels of the streams; few values each. One without a value is left out."),
    ]
    structured_metadata: Annotated[
        dict[str, Template], Meta(description="What goes with each line without being indexed.")
    ] = option(dict)
    tenant: Annotated[
        Template | None, Meta(description="Tenant (X-Scope-OrgID); an event that has none is set aside.")
    ] = None
    line: Annotated[
        LineForm,
        Meta(
            description="What a line is: the whole event, or its `message` alone; then other fields arrive only as "
            "labels or metadata, and an event without `message` is written as JSON."
        ),
    ] = "json"
    format: Annotated[
        Literal["json", "protobuf"],
        Meta(description='Form of a request; `protobuf` needs `pip install "shipper[loki]"`.'),
    ] = "json"
    on_long_line: Annotated[
        Literal["set_aside", "truncate"],
        Meta(
            description="What becomes of an event whose line is too long for Loki: the dead letters, or its beginning is "
            "sent, which ends in `…[truncated]` and is counted in `truncated_lines` (and is no JSON any more)."
        ),
    ] = "set_aside"
    limits: Annotated[Limits, Meta(description="What your Loki takes.")] = option(Limits)
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
    _skew: float | None = None  # how far Loki's clock is ahead of ours, once it has said so

    def __post_init__(self) -> None:
        self._form = Protobuf() if self.format == "protobuf" else Json()
        whole = urlsplit(self.url.reveal()).path.rstrip("/").endswith("/push")
        self._push = self.url if whole else below(self.url, _PUSH)

    def shape(self) -> str:
        return self.format

    def check(self) -> Iterable[tuple[str, str]]:
        limits = self.limits
        always = sum(template.literal is not None for template in self.labels.values())
        if not self.labels:
            yield "labels", "found none, expected at least one"
        if always > limits.labels:
            yield "labels", f"found {always} that every event has, and this Loki takes {limits.labels} (limits.labels)"
        for name in self.labels:
            if not _NAME.fullmatch(name):
                yield "labels", f"found {name!r}, expected letters, digits and _, and no digit in front"
            elif len(name) > limits.label_name_bytes:
                yield "labels", f"found a name of {len(name)} letters, expected at most {limits.label_name_bytes}"
        always = sum(template.literal is not None for template in self.structured_metadata.values())
        if always > limits.metadata_entries:
            yield "structured_metadata", f"found {always}, and this Loki takes {limits.metadata_entries}"
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

    def warnings(self) -> Iterable[tuple[str, str]]:
        limits, aside = self.limits, "an event that has all of them is set aside"
        if len(self.labels) > limits.labels:
            yield "labels", f"this route will exceed Loki's {limits.labels} labels with its {len(self.labels)}: {aside}"
        if len(self.structured_metadata) > limits.metadata_entries:
            found = f"this route will exceed Loki's {limits.metadata_entries} entries of structured metadata"
            yield "structured_metadata", f"{found} with its {len(self.structured_metadata)}: {aside}"
        for name, template in self.labels.items():
            for field in different_in_each(template):
                what = f"{field} is different in nearly every event, and each value would be a stream of its own"
                yield f"labels.{name}", f"{what}, of which Loki takes 5000; expected it in structured_metadata"

    def unfit(self, delivery: Delivery) -> Iterable[tuple[str, str]]:
        most = self.limits.request_bytes
        if delivery.batch.bytes > most:
            found = (
                f"found {delivery.batch.bytes}: requests are split, for this Loki takes {most} (limits.request_bytes)"
            )
            yield "delivery.batch.bytes", found
        if delivery.concurrency > 1:
            risk = "lines of a stream arrive out of order, and what comes an hour behind the newest is refused"
            yield (
                "delivery.concurrency",
                f"found {delivery.concurrency}: requests overtake each other, {risk}; 1 keeps order",
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
            streams, truncated = self._streams(batch)
        except Unfit as unfit:
            events = batch.events
            if unfit.which is None and len(events) > 1:
                for half in (events[: len(events) // 2], events[len(events) // 2 :]):
                    yield from self._encode(batch.with_events(half), tenant)
                return
            odd = {0} if unfit.which is None else set(unfit.which)
            yield from (Refused(merged(events[at], batch.attrs), str(unfit)) for at in sorted(odd))
            if rest := [event for at, event in enumerate(events) if at not in odd]:
                yield from self._encode(batch.with_events(rest), tenant)
        else:
            if truncated:
                self.scope.count("truncated_lines", truncated)
            yield Piece(self._form.join(streams), len(batch), tenant)

    def _streams(self, batch: Batch) -> tuple[list[bytes], int]:
        """The streams of a batch, and how many lines were cut; raises `Unfit` when events of it are against Loki's limits."""
        limits = self.limits
        lines = lines_of(batch, self.line)
        if long := limits.long_lines(lines):
            if self.on_long_line == "set_aside":
                raise Unfit(f"the line is longer than {limits.line_bytes} (limits.line_bytes)", long)
            for at in long:
                lines[at] = cut(lines[at], limits.line_bytes)
        times = self._times(batch, len(lines))
        if self._skew is not None:
            odd, why = limits.odd_times(times, self.scope.clock.time() + self._skew)
            if odd:
                raise Unfit(why, odd)
        metadata = self._metadata(batch, len(lines))
        streams = [
            ({name: value for name, value in zip(self.labels, key, strict=True) if value} or _NO_LABELS, mine)
            for key, mine in alike([template.each(batch) for template in self.labels.values()], len(lines))
        ]
        unfit = [(reason, mine) for labels, mine in streams if (reason := limits.odd_labels(labels))]
        if unfit:
            first = unfit[0][0]
            raise Unfit(first, [at for reason, mine in unfit if reason == first for at in mine])
        if len(streams) == 1:
            return [self._stream(streams[0][0], times, lines, metadata)], len(long)
        return [
            self._stream(
                labels,
                [times[at] for at in mine],
                [lines[at] for at in mine],
                [metadata[at] for at in mine] if metadata else None,
            )
            for labels, mine in streams
        ], len(long)

    def _stream(self, labels: dict[str, str], times: list[str], lines: list[str], metadata: Any) -> bytes:
        if True in map(gt, times, times[1:]):
            order = sorted(range(len(times)), key=lambda at: int(times[at]))
            times, lines = [times[at] for at in order], [lines[at] for at in order]
            metadata = metadata and [metadata[at] for at in order]
        try:
            return self._form.stream(labels, times, lines, metadata)
        except (TypeError, UnicodeEncodeError) as error:
            raise Unfit(f"text that is not Unicode: {error}") from None

    def _times(self, batch: Batch, count: int) -> list[str]:
        times, unread = times_of(batch, count, f"{self.scope.clock.time() * 1e6:.0f}000")
        if unread:
            self.scope.count("unreadable_timestamps", unread)
        return times

    def _metadata(self, batch: Batch, count: int) -> list[dict[str, str]] | None:
        if not self.structured_metadata:
            return None
        rows = rows_of({name: template.each(batch) for name, template in self.structured_metadata.items()}, count)
        odd, why = self.limits.odd_metadata(rows)
        if odd:
            raise Unfit(why, odd)
        return rows

    async def write(self, pieces: Sequence[Piece]) -> None:
        session, url = self._session, self._push
        if session is None or url is None:
            raise Unavailable("the output is not open")
        compression = self.compression if self.format == "json" else Plain()
        whole = self._form.join([piece.body for piece in pieces])
        if len(whole) > self.limits.request_bytes:
            raise TooLarge(f"longer than {self.limits.request_bytes} (limits.request_bytes)")
        body = await pack(compression, self._form.document(whole))
        headers = content_headers(self._form.content_type, compression)
        if pieces[0].key:
            headers["X-Scope-OrgID"] = pieces[0].key
        answer = await session.send("POST", url, body, headers)
        if (said := said_at(answer.headers)) is not None:
            self._skew = said - self.scope.clock.time()
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
