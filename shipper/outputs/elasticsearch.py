"""Elasticsearch and OpenSearch, by the bulk API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import orjson

from shipper.batch import Batch, Event, Piece, merged
from shipper.component import Output
from shipper.errors import Partial, Refused, Unavailable
from shipper.net.address import below
from shipper.net.auth import Auth
from shipper.net.checks import check_client
from shipper.net.compression import Compression, Gzip, content_headers, pack
from shipper.net.endpoints import Endpoints
from shipper.net.session import Answer, Session
from shipper.net.status import printable, retry_after
from shipper.net.tls import Tls
from shipper.options import Duration, Group, Meta, Secret, Size, Url, option
from shipper.policy import BatchPolicy, Delivery
from shipper.text.jsonlines import encode_lines
from shipper.text.templates import Template, grouped

# What the server refuses in a name: `MetadataCreateIndexService.validateIndexOrAliasName`.
_BAD_NAME = re.compile(r'[\\/*?"<>|` ,#:\x00-\x1f\x7f\ud800-\udfff]|^[-_+]|^\.{1,2}$')
_NAME_BYTES = 255
_ID_BYTES = 512  # a longer one fails the whole request
# numbers stand in front (`took`, `ingest_took`) where a proxy does not pass our `filter_path` on
_NO_ERRORS = re.compile(rb'\{(?:"\w+":\d+,)*"errors":false,')
_ANSWER = "errors,items.*.status,items.*.error.type,items.*.error.reason"


class DataStream(Group):
    """The three parts of a data stream's name, also written to each document as `data_stream.*`."""

    type: Annotated[Template, Meta(description="First part of the name.")] = Template("logs")
    dataset: Annotated[Template, Meta(description="Second part.")] = Template("generic")
    namespace: Annotated[Template, Meta(description="Third part.")] = Template("default")


class Elasticsearch(Output):
    """Index events by the bulk API of Elasticsearch 7 to 9 and OpenSearch 1 to 3.

    `timestamp` is written as `@timestamp`. Each document's own answer counts: 429 and 5xx are sent again alone, a
    409 on `create` is there already, any other 4xx is set aside with the server's reason.
    """

    delivery: ClassVar[Delivery] = Delivery(
        batch=BatchPolicy(bytes=Size(5 << 20), events=5000, wait=Duration(1)), concurrency=2
    )
    late: ClassVar[frozenset[str]] = frozenset(
        {"endpoints", "pipeline", "headers", "compression", "auth", "tls", "proxy"}
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
        Template | None, Meta(description="Id of each document; the server makes one when it is left out.")
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
        elif self.index is not None and self.index.literal is not None and (why := _bad_name(self.index.literal)):
            yield "index", f"found {self.index.literal!r}: {why}"
        if self.data_stream and self.op != "create":
            yield "op", "a data stream takes `create` only"
        if self.id is not None and self.id.text == "auto":
            yield "id", "`auto` is not there yet; expected a template such as {event_id}, or nothing"
        yield from check_client(
            headers=self.headers, auth=self.auth, tls=self.tls, compression=self.compression, own=("Content-Type",)
        )

    async def open(self) -> None:
        query = {"filter_path": _ANSWER} | ({"pipeline": self.pipeline} if self.pipeline else {})
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

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        if not batch:
            return
        if "timestamp" not in batch.attrs:
            batch = _with(batch, timestamp=self.scope.clock.now())
        for name, part in self._named(batch):
            if name is None or (why := _bad_name(name)):
                found = "a field that its name needs is missing" if name is None else f"{name!r}, {why}"
                reason = f"no index: {found}"
                yield from (Refused(merged(event, part.attrs), printable(reason, 300)) for event in part.events)
                continue
            head = self._action + orjson.dumps(name)
            if self.id is not None:
                yield from self._with_ids(part, head, self.id)
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

    def _with_ids(self, batch: Batch, head: bytes, template: Template) -> Iterable[Piece | Refused]:
        """Each document with an action line of its own."""
        found = template.each(batch)
        ids = found if isinstance(found, list) else [found] * len(batch)
        body, count, refused = encode_lines(batch, timestamp_as="@timestamp")
        if refused or any(map(_bad_id, ids)):
            if len(ids) > 1:
                middle = len(ids) // 2
                for half in (batch.events[:middle], batch.events[middle:]):
                    yield from self._with_ids(batch.with_events(half), head, template)
                return
            if why := _bad_id(ids[0]):
                refused = [Refused(merged(batch.events[0], batch.attrs), why)]
        yield from refused
        if refused:
            return
        plain = head + b"}}\n"
        heads = [head + b',"_id":' + orjson.dumps(each) + b"}}\n" if each else plain for each in ids]
        lines = body.split(b"\n")
        yield Piece(b"\n".join([a + b for a, b in zip(heads, lines, strict=False)]) + b"\n", count)

    async def write(self, pieces: Sequence[Piece]) -> None:
        session, nodes = self._session, self._nodes
        if session is None or nodes is None:
            raise Unavailable("the output is not open")
        body = await pack(self.compression, b"".join([piece.body for piece in pieces]))
        url = nodes.pick()
        try:
            answer = await session.send("POST", url, body, content_headers("application/x-ndjson", self.compression))
            session.settle(url, answer)
        except Unavailable:
            nodes.failed(url)
            raise
        nodes.worked(url)
        self._items(url, answer, pieces)

    def _items(self, url: Url, answer: Answer, pieces: Sequence[Piece]) -> None:
        """Return when every document is there, else raise what became of which."""
        count = sum(piece.count for piece in pieces)
        if _NO_ERRORS.match(answer.body) and answer.body.count(b'"status":') == count:
            return
        try:
            said = orjson.loads(answer.body)
            items = [next(iter(item.values())) for item in said["items"]]
            states = [int(item["status"]) for item in items]
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
            raise Unavailable(f"{url} answered what is no answer to a bulk request") from None
        if len(states) != count:
            raise Unavailable(f"{url} answered for {len(states)} documents of {count}")
        if all(200 <= status < 300 for status in states):
            return
        self._sort(items, states, pieces, retry_after(answer.headers, self.scope.clock.time()))

    def _sort(self, items: list[dict[str, Any]], states: list[int], pieces: Sequence[Piece], after: float) -> None:
        rest: list[Piece] = []
        refused: list[Refused] = []
        again = ""
        at = 0
        for piece in pieces:
            mine = range(at, at + piece.count)
            at += piece.count
            if all(_is_done(states[i], self.op) for i in mine):
                continue
            docs = self.split(piece)
            keep = []
            for i, doc in zip(mine, docs, strict=True):
                if _is_done(states[i], self.op):
                    continue
                reason = _reason(items[i])
                # 401 and 403 are about our rights or a blocked index: the document is fine
                if states[i] in (401, 403, 408, 429) or states[i] >= 500 or states[i] < 400:
                    keep.append(doc.body)
                    again = again or f"HTTP {states[i]}: {reason}"
                else:
                    refused.append(Refused(self.events(doc)[0], reason, states[i]))
            if keep:
                rest.append(Piece(b"".join(keep), len(keep), piece.key))
        if rest or refused:
            raise Partial(rest, refused, after, again)

    def split(self, piece: Piece) -> list[Piece]:
        lines = piece.body.split(b"\n")
        return [Piece(a + b"\n" + b + b"\n", 1, piece.key) for a, b in zip(lines[:-1:2], lines[1::2], strict=True)]

    def events(self, piece: Piece) -> list[Event]:
        events: list[Event] = orjson.loads(b"[" + b",".join(piece.body.split(b"\n")[1::2]) + b"]")
        for event in events:
            if "@timestamp" in event:
                event["timestamp"] = event.pop("@timestamp")
        return events


def _with(batch: Batch, **attrs: Any) -> Batch:
    """The same batch with some attributes more; the one given is not changed."""
    more = batch.copy() if batch.raw is not None else Batch(batch.events, size=batch.size)
    more.attrs = {**batch.attrs, **attrs}
    return more


def _bad_name(name: str) -> str | None:
    """Why the server would refuse it as the name of an index."""
    if not name or _BAD_NAME.search(name):
        return 'expected no \\ / * ? " < > | ` , # : or space in it, and no - _ + in front'
    if name != name.lower():
        return "expected lower case only"
    if len(name.encode("utf-8", "surrogatepass")) > _NAME_BYTES:
        return f"expected at most {_NAME_BYTES} bytes"
    return None


def _bad_id(text: str | None) -> str | None:
    """Why the server would refuse the whole request for it."""
    if text is None or (text.isascii() and len(text) <= _ID_BYTES):
        return None
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # of an attribute, such as the name of a file
        return "id is not Unicode"
    return f"id is longer than {_ID_BYTES} bytes" if size > _ID_BYTES else None


def _is_done(status: int, op: str) -> bool:
    return 200 <= status < 300 or (status == 409 and op == "create")


def _reason(item: dict[str, Any]) -> str:
    error = item.get("error")
    if not isinstance(error, dict):
        return printable(str(error or "refused"), 500)
    return printable(f"{error.get('type')}: {error.get('reason')}", 500)
