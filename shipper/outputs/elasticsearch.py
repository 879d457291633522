"""Elasticsearch and OpenSearch, by the bulk API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import orjson

from shipper.batch import ID, Batch, Event, Piece, merged
from shipper.component import Output
from shipper.errors import Refused, TooLarge, Unavailable
from shipper.net.address import below
from shipper.net.auth import Auth
from shipper.net.bulk import LIMITS, actions, bad_id, bad_name, defaults, fixed, one_document
from shipper.net.bulkanswer import FILTER, documents, judge, sources
from shipper.net.checks import check_client
from shipper.net.compression import Compression, Gzip, content_headers, pack
from shipper.net.elasticprobe import welcome
from shipper.net.endpoints import Endpoints
from shipper.net.probing import asking
from shipper.net.session import Session
from shipper.net.status import printable
from shipper.net.tls import Tls
from shipper.options import Duration, Group, Meta, Secret, Size, Url, option
from shipper.policy import BUFFERED, BatchPolicy, Delivery
from shipper.text.ids import distinct, parted
from shipper.text.jsonlines import encode_lines
from shipper.text.templates import Template, grouped


class DataStream(Group):
    """The three parts of a data stream's name, also written to each document as `data_stream.*`."""

    type: Annotated[Template, Meta(description="First part of the name.")] = Template("logs")
    dataset: Annotated[Template, Meta(description="Second part.")] = Template("generic")
    namespace: Annotated[Template, Meta(description="Third part.")] = Template("default")


class Elasticsearch(Output):
    """Index events by the bulk API of Elasticsearch 7 to 9 and OpenSearch 1 to 3.

    `timestamp` is written as `@timestamp`. Each document's own answer counts: 429 and 5xx are sent again alone, a
    409 on `create` is there already, any other 4xx is set aside with the server's reason.

    With `id: auto` a line that is sent twice (after a crash, or when an answer was lost) is one document. The id is
    `<identity>-<place>`, for a file 64 random bits that are kept with its position and where the line begins, for
    anything else 64 random bits and a number, both given at receipt: who sends it to Shipper again gets another. Two
    equal lines stay two documents. It holds within one index, so name indices by times that the events bring
    themselves. What a filter makes of nothing has no such id, and is counted in `events_without_id`.

    | what the server takes | at most | what becomes of more |
    |---|---|---|
    | request, unpacked (`http.max_content_length`) | 100MiB | split; one event alone is set aside |
    | id | 512 bytes | set aside |
    | name of an index | 255 bytes, in lower case, without spaces and without any of `\\/*?"<>,#:` | set aside |
    """

    delivery: ClassVar[Delivery] = Delivery(
        batch=BatchPolicy(bytes=Size(5 << 20), events=5000, wait=Duration(1)), concurrency=2, buffer=BUFFERED
    )

    endpoints: Annotated[
        list[Url], Meta(min_length=1, description="Addresses of nodes or of a proxy, taken in turn; a path is kept.")
    ]
    index: Annotated[
        Template | None,
        Meta(description="Index, alias or data stream of each event; an event that has none is set aside."),
    ] = None
    data_stream: Annotated[
        bool | DataStream,
        Meta(description="Write to data streams: named by `index` (`true`), or by the parts given here."),
    ] = False
    op: Annotated[
        Literal["create", "index"],
        Meta(description="`create` keeps a document that has the same id, `index` replaces it."),
    ] = "create"
    id: Annotated[
        Literal["auto"] | Template | None,
        Meta(
            description="Id of each document: a template, or `auto` for one that stays the same when an event is sent "
            "again; the server makes one when it is left out."
        ),
    ] = None
    pipeline: Annotated[str | None, Meta(description="Ingest pipeline that the documents pass through.")] = None
    headers: Annotated[dict[str, Secret], Meta(description="More headers for each request.")] = option(dict)
    auth: Annotated[Auth | None, Meta(description="How to log in.")] = None
    tls: Annotated[Tls, Meta(description="Certificates.")] = option(Tls)
    proxy: Annotated[Url | None, Meta(description="Proxy for all requests.")] = None
    compression: Annotated[Compression, Meta(description="How requests are packed.")] = option(Gzip)

    _session: Session | None = None
    _nodes: Endpoints | None = None
    _action: bytes = b""

    def __post_init__(self) -> None:
        self._action = b'{"%s":{"_index":' % self.op.encode()

    def check(self) -> Iterable[tuple[str, str]]:
        if isinstance(self.data_stream, DataStream) == (self.index is not None):
            yield "index", "expected either `index` or the parts of `data_stream`, and not both"
        elif self.index is not None and (why := bad_name(fixed(self.index))):
            yield "index", f"found {self.index.text!r}: {why}"
        elif isinstance(self.data_stream, DataStream):
            for name in ("type", "dataset", "namespace"):
                if why := bad_name(fixed(getattr(self.data_stream, name))):
                    yield f"data_stream.{name}", f"found {getattr(self.data_stream, name).text!r}: {why}"
        if self.data_stream and self.op != "create":
            yield "op", "a data stream takes `create` only"
        if isinstance(self.id, Template) and self.id.literal is not None:
            yield "id", f"found {self.id.text!r}, expected a field in it: all events would be one document"
        yield from check_client(
            headers=self.headers, auth=self.auth, tls=self.tls, compression=self.compression, own=("Content-Type",)
        )

    def warnings(self) -> Iterable[tuple[str, str]]:
        parts = self.data_stream if isinstance(self.data_stream, DataStream) else None
        named = (
            {"index": self.index}
            if parts is None
            else {f"data_stream.{name}": value for name, value in vars(parts).items()}
        )
        for name, template in named.items():
            for default in defaults(template) if template is not None else ():
                if why := bad_name(f"x{default}"):
                    yield name, f"events for which {default!r} stands are set aside, as the server refuses it: {why}"
        if isinstance(self.id, Template) and (fields := [*one_document(self.id)]):
            what = "is taken for delivered and not stored" if self.op == "create" else "replaces the one before"
            yield "id", f"of events with equal {' and '.join(fields)} each but the first {what}; consider `auto`"

    def unfit(self, delivery: Delivery) -> Iterable[tuple[str, str]]:
        if delivery.batch.bytes > LIMITS.request:
            most = f"{Size(LIMITS.request)} (http.max_content_length)"
            yield "delivery.batch.bytes", f"found {delivery.batch.bytes}: requests are split, for servers take {most}"

    @property
    def wants_ids(self) -> bool:
        return self.id == "auto"

    async def open(self) -> None:
        query = {"filter_path": FILTER} | ({"pipeline": self.pipeline} if self.pipeline else {})
        urls = [below(url, "/_bulk", query) for url in self.endpoints]
        self._nodes = Endpoints(urls, self.scope.clock)
        self._session = Session(
            self.scope, tls=self.tls, auth=self.auth, proxy=self.proxy, headers=self.headers, urls=urls
        )
        await self._session.open()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def probe(self) -> str:
        parts = self.data_stream
        named = "-".join(each.prefix for each in (parts.type, parts.dataset)) if isinstance(parts, DataStream) else ""
        async with asking(
            self.scope, tls=self.tls, auth=self.auth, proxy=self.proxy, headers=self.headers, urls=self.endpoints
        ) as ask:
            name = self.index.literal or f"{self.index.prefix}*" if self.index is not None else f"{named}*"
            said = [await welcome(ask, url, name, self.op) for url in self.endpoints]
            return "; ".join(dict.fromkeys(said))

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        if not batch:
            return
        if "timestamp" not in batch.attrs:
            batch = _with(batch, timestamp=self.scope.clock.now())
        for name, part in self._named(batch):
            if name is None or (why := bad_name(name)):
                found = "a field that its name needs is missing" if name is None else f"{name!r}, {why}"
                reason = f"no index: {found}"
                yield from (Refused(merged(event, part.attrs), printable(reason, 300)) for event in part.events)
                continue
            head = self._action + orjson.dumps(name)
            if self.wants_ids:
                ids, bare = parted(part)
                if missing := ids.count(None):
                    self.scope.count("events_without_id", missing)
                yield from self._with_ids(bare, head, distinct(ids))
                continue
            if isinstance(self.id, Template):
                made = self.id.each(part)
                yield from self._with_ids(part, head, made if isinstance(made, list) else [made] * len(part))
                continue
            body, count, refused = encode_lines(part, head + b"}}\n", timestamp_as="@timestamp")
            if count:
                yield Piece(body, count)
            yield from refused

    def _named(self, batch: Batch) -> Iterable[tuple[str | None, Batch]]:
        """The batch in parts, each with its index."""
        if not isinstance(self.data_stream, DataStream):
            assert self.index is not None
            yield from grouped(batch, self.index)
            return
        parts: list[tuple[list[str | None], Batch]] = [([], batch)]
        for template in (self.data_stream.type, self.data_stream.dataset, self.data_stream.namespace):
            parts = [([*names, name], less) for names, part in parts for name, less in grouped(part, template)]
        for names, part in parts:
            if None in names:
                yield None, part
                continue
            kind, dataset, namespace = (name or "" for name in names)
            stream = {"type": kind, "dataset": dataset, "namespace": namespace}
            yield f"{kind}-{dataset}-{namespace}", _with(part, data_stream=stream)

    def _with_ids(self, batch: Batch, head: bytes, ids: list[str | None]) -> Iterable[Piece | Refused]:
        """Each document with an action line of its own."""
        body, count, refused = encode_lines(batch, timestamp_as="@timestamp")
        heads = actions(head, ids)
        if refused or heads is None:
            if len(ids) > 1:
                middle = len(ids) // 2
                yield from self._with_ids(batch.with_events(batch.events[:middle]), head, ids[:middle])
                yield from self._with_ids(batch.with_events(batch.events[middle:]), head, ids[middle:])
                return
            if why := bad_id(ids[0]):
                refused = [Refused(merged(batch.events[0], batch.attrs), why)]
        for each in refused:
            own = {ID: ids[0]} if self.wants_ids and ids[0] is not None else {}
            yield Refused({**each.event, **own}, each.reason)
        if heads is None or refused:
            return
        lines = body.split(b"\n")
        yield Piece(b"\n".join([a + b for a, b in zip(heads, lines, strict=False)]) + b"\n", count)

    async def write(self, pieces: Sequence[Piece]) -> None:
        session, nodes = self._session, self._nodes
        if session is None or nodes is None:
            raise Unavailable("the output is not open")
        whole = b"".join([piece.body for piece in pieces])
        if len(whole) > LIMITS.request:
            raise TooLarge(
                f"longer than {LIMITS.request} bytes, which is all that servers take (http.max_content_length)"
            )
        body = await pack(self.compression, whole)
        url = nodes.pick()
        try:
            answer = await session.send("POST", url, body, content_headers("application/x-ndjson", self.compression))
            session.settle(url, answer)
        except Unavailable:
            nodes.failed(url)
            raise
        nodes.worked(url)
        judge(answer, url, pieces, self.scope.clock.time(), self.wants_ids)

    def split(self, piece: Piece) -> list[Piece]:
        return documents(piece)

    def events(self, piece: Piece) -> list[Event]:
        return sources(piece, ids=self.wants_ids)


def _with(batch: Batch, **attrs: Any) -> Batch:
    """The same batch with some attributes more; the one given is not changed."""
    more = batch.copy() if batch.raw is not None else Batch(batch.events, size=batch.size)
    more.attrs = {**batch.attrs, **attrs}
    return more
