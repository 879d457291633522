from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from shipper.batch import ID, Batch, Event, Piece
from shipper.errors import Partial, Refused, Rejected, TooLarge, Unavailable
from shipper.net.bulk import LIMITS
from shipper.net.compression import Plain
from shipper.options import Size, Url
from shipper.outputs.elasticsearch import DataStream, Elasticsearch
from shipper.policy import BatchPolicy, Delivery
from shipper.text.templates import Template

NOW = {"timestamp": "2026-11-22T12:00:00Z"}
FINE = {"create": {"status": 201}}
CONFLICT = {
    "create": {
        "status": 400,
        "error": {"type": "mapper_parsing_exception", "reason": "failed to parse field [n] of type [long]"},
    }
}
MISSING = {"create": {"status": 404, "error": {"type": "index_not_found_exception", "reason": "no such index [x]"}}}
THERE = {"create": {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "exists"}}}
BUSY = {"create": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue"}}}
DOWN = {"create": {"status": 503, "error": {"type": "unavailable_shards_exception", "reason": "primary"}}}
FLOOD = {"create": {"status": 403, "error": {"type": "cluster_block_exception", "reason": "read-only"}}}


def elasticsearch(url: str = "http://127.0.0.1:1", **options: Any) -> Elasticsearch:
    if "data_stream" not in options:
        options.setdefault("index", Template("logs"))
    options.setdefault("endpoints", [Url(url)])
    return Elasticsearch(**options)


@asynccontextmanager
async def output(server: Any, **options: Any) -> AsyncIterator[Elasticsearch]:
    made = elasticsearch(server.url, **options)
    assert not [*made.check()]
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        await made.close()


def encoded(made: Elasticsearch, *events: Event, **attrs: Any) -> tuple[list[Piece], list[Refused]]:
    found = [*made.encode(Batch([*events], attrs={**NOW, **attrs}))]
    return [each for each in found if isinstance(each, Piece)], [each for each in found if isinstance(each, Refused)]


def body(made: Elasticsearch, *events: Event, **attrs: Any) -> list[Any]:
    return [orjson.loads(line) for piece in encoded(made, *events, **attrs)[0] for line in piece.body.splitlines()]


def answer(*items: Any) -> bytes:
    errors = any("error" in next(iter(item.values())) for item in items)
    return orjson.dumps({"errors": errors, "items": items})


async def write(made: Elasticsearch, *events: Event) -> None:
    half = len(events) // 2
    pieces = [*encoded(made, *events[:half])[0], *encoded(made, *events[half:])[0]]
    await made.write(pieces)


def test_a_bulk_body() -> None:
    """An action line and the document with its attributes for each event; `timestamp` is `@timestamp`."""
    (piece,), refused = encoded(elasticsearch(), {"a": 1}, {"a": 2, "timestamp": "2026-01-01T00:00:00Z"}, host="web")
    assert piece.count == 2 and piece.body.endswith(b"\n") and not refused
    assert [orjson.loads(line) for line in piece.body.splitlines()] == [
        {"create": {"_index": "logs"}},
        {"@timestamp": "2026-11-22T12:00:00Z", "host": "web", "a": 1},
        {"create": {"_index": "logs"}},
        {"@timestamp": "2026-01-01T00:00:00Z", "host": "web", "a": 2},
    ]


def test_lines_that_nobody_looked_into() -> None:
    """A raw batch is encoded without its events being made, and an empty one is nothing; neither is changed."""
    made = elasticsearch()
    batch = Batch(raw=b"one\ntwo", attrs=NOW)
    (piece,) = made.encode(batch)
    assert isinstance(piece, Piece) and batch.raw == b"one\ntwo"
    assert [event["message"] for event in made.events(piece)] == ["one", "two"]
    assert not [*made.encode(Batch([]))]


def test_an_event_without_a_time_gets_one() -> None:
    """Data streams refuse documents without @timestamp, so one is there always."""
    (piece,) = elasticsearch().encode(Batch([{"a": 1}]))
    assert isinstance(piece, Piece)
    assert orjson.loads(piece.body.splitlines()[1])["@timestamp"].endswith("Z")


def test_the_index_of_each_event() -> None:
    """One piece for each index; an event without one, or with a name the server refuses, is set aside alone."""
    made = elasticsearch(index=Template("logs-{app}"))
    names = ["Upper", "a/b", "a*", "a b", "a,b", "a:b", 'a"b', "x" * 300, "a\nb", "\ud800", "", "_x"]
    pieces, refused = encoded(made, {"app": "a"}, {"app": "b"}, {"app": "a"}, {}, *({"app": name} for name in names))
    assert sorted(piece.count for piece in pieces) == [1, 1, 1, 2]  # `logs-` and `logs-_x` are good names
    assert {each.event.get("app") for each in refused} == {*names, None} - {"", "_x"}
    assert all(each.event["timestamp"] and each.reason.isprintable() for each in refused)
    assert {each.reason.split(":")[0] for each in refused} == {"no index"}


def test_values_cannot_forge_an_action() -> None:
    """Whatever stands in an id or an index, there is one action a document, and it creates."""
    evil = '"}\n{"delete":{"_index":"logs","_id":"1"}}'
    made = elasticsearch(index=Template("logs-{i}"), id=Template("{id}"))
    lines = body(made, {"id": evil, "i": "a", evil: evil}, {"id": "ü\u2028", "i": "a"})
    assert [list(line) for line in lines[::2]] == [["create"], ["create"]]
    assert lines[0]["create"] == {"_index": "logs-a", "_id": evil}
    assert lines[1][evil] == evil
    assert encoded(made, {"id": "1", "i": evil})[0] == []


def test_ids() -> None:
    """Each document its own; a missing or empty one is the server's to make; one too long is set aside alone."""
    made = elasticsearch(id=Template("{id}"))
    events: list[Event] = [
        {"id": "1"},
        {},
        {"id": ""},
        {"id": "é" * 257},
        {"id": "é" * 256},
        {"id": 5, "bad": "\ud800"},
    ]
    pieces, refused = encoded(made, *events)
    actions = [orjson.loads(line) for piece in pieces for line in piece.body.splitlines()[::2]]
    assert [action["create"].get("_id") for action in actions] == ["1", None, None, "é" * 256]
    assert [each.reason.split(":")[0] for each in refused] == ["id is longer than 512 bytes", "json"]


def test_ids_of_an_attribute() -> None:
    """A long id costs no piece of its own; one of a file whose name is not Unicode is refused with the reason."""
    made = elasticsearch(id=Template("{file}-{n}"))
    events: list[Event] = [{"n": 1}, {"n": 2}]
    (piece,) = made.encode(Batch(events, attrs={"file": "x" * 500}))
    assert isinstance(piece, Piece)
    assert piece.count == 2
    refused = list(made.encode(Batch(events, attrs={"file": "a\udcff"})))
    assert [each.reason for each in refused if isinstance(each, Refused)] == ["id is not Unicode"] * 2


def test_a_data_stream_of_parts() -> None:
    """Its name is made of the parts, which each document carries too."""
    made = elasticsearch(data_stream=DataStream(dataset=Template("{app}")))
    lines = body(made, {"app": "nginx"}, {"app": "db"})
    assert [line["create"]["_index"] for line in lines[::2]] == ["logs-nginx-default", "logs-db-default"]
    assert lines[1]["data_stream"] == {"type": "logs", "dataset": "nginx", "namespace": "default"}
    assert [each.reason for each in encoded(made, {})[1]] == ["no index: a field that its name needs is missing"]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"index": None}, "index"),
        ({"index": Template("a"), "data_stream": DataStream()}, "index"),
        ({"index": Template("Logs")}, "index"),
        ({"data_stream": True, "index": Template("a"), "op": "index"}, "op"),
        ({"id": Template("auto")}, "id"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], where: str) -> None:
    """Each is reported at the option that is wrong."""
    assert [name for name, _ in elasticsearch(**options).check()] == [where]


async def test_a_request(server: Any) -> None:
    """One request for many pieces, packed, with the pipeline and a filter that keeps the answer small."""
    server.answer(200, answer(FINE, FINE, FINE))
    async with output(server, endpoints=[Url(server.url + "/es/")], pipeline="a&b") as made:
        await write(made, {"a": 1}, {"a": 2}, {"a": 3})
    (got,) = server.got
    assert got.path.startswith("/es/_bulk?filter_path=errors,items.*.status") and got.path.endswith("&pipeline=a%26b")
    assert got.headers["Content-Encoding"] == "gzip" and got.headers["Content-Type"] == "application/x-ndjson"
    assert got.body.count(b"\n") == 6


async def test_each_item_counts(server: Any) -> None:
    """Only what is busy goes again, from the piece it was in; 4xx are set aside with the reason; 409 is there already."""
    server.answer(200, answer(FINE, BUSY, CONFLICT, MISSING, THERE, DOWN), Retry_After="3")
    async with output(server) as made:
        with pytest.raises(Partial) as caught:
            await write(made, *({"n": n} for n in range(6)))
    rest = [(piece.count, [event["n"] for event in made.events(piece)]) for piece in caught.value.rest]
    assert rest == [(1, [1]), (1, [5])]
    assert [(each.event["n"], each.status) for each in caught.value.refused] == [(2, 400), (3, 404)]
    assert caught.value.refused[0].event == {"n": 2, **NOW}
    assert caught.value.refused[0].reason == "mapper_parsing_exception: failed to parse field [n] of type [long]"
    assert caught.value.after == 3 and "429" in caught.value.reason


@pytest.mark.parametrize("front", [b"", b'"took":7,', b'"took":7,"ingest_took":1,'])
async def test_an_answer_without_errors_is_not_taken_apart(server: Any, front: bytes) -> None:
    """It counts what was done, whatever numbers stand in front; one that is short of items is no answer."""
    server.answer(200, b"{" + front + answer(FINE, FINE)[1:])
    async with output(server) as made:
        await write(made, {"a": 1}, {"a": 2})
        with pytest.raises(Unavailable):
            await write(made, {"a": 1}, {"a": 2}, {"a": 3})


async def test_what_is_already_there_is_done(server: Any) -> None:
    """A 409 on `create` is delivered, also when a reload has changed `op` since; on `index` it is a refusal."""
    server.answer(200, answer(THERE, THERE))
    async with output(server) as made, output(server, op="index") as reloaded:
        await write(made, {"a": 1}, {"a": 2})
        await reloaded.write([piece for piece in made.encode(Batch([{"a": 1}, {"a": 2}])) if isinstance(piece, Piece)])
    server.answer(200, answer({"index": THERE["create"]}, {"index": THERE["create"]}))
    async with output(server, op="index") as made:
        with pytest.raises(Partial) as caught:
            await write(made, {"a": 1}, {"a": 2})
    assert len(caught.value.refused) == 2 and not caught.value.rest


async def test_a_blocked_index_loses_nothing(server: Any) -> None:
    """403 of an item is about the index or our rights, not about the document: again."""
    server.answer(200, answer(FINE, FLOOD))
    async with output(server) as made:
        with pytest.raises(Partial) as caught:
            await write(made, {"n": 1}, {"n": 2})
    assert [made.events(piece)[0]["n"] for piece in caught.value.rest] == [2] and not caught.value.refused


@pytest.mark.parametrize(
    "said",
    [
        b"", b"<html>", b"{", b"null", b"[]", b"{}", b'{"errors":false}', b'{"errors":false,"items":[]}', answer(FINE),
        answer(FINE, FINE, FINE), answer(CONFLICT), b'{"errors":true,"items":[{},{}]}',
        b'{"errors":true,"items":[{"create":{}},{"create":{}}]}', b'{"errors":true,"items":[1,2]}',
        b'{"errors":true,"items":{"a":1,"b":2}}', b'{"errors":true,"items":[{"create":{"status":"x"}},{}]}',
    ],
)  # fmt: skip
async def test_an_answer_that_is_none(server: Any, said: bytes) -> None:
    """Fewer or more items than documents, or no bulk answer at all: nothing is believed, all is tried again."""
    server.answer(200, said)
    async with output(server) as made:
        with pytest.raises(Unavailable):
            await write(made, {"a": 1}, {"a": 2})


@pytest.mark.parametrize(
    ("status", "error"),
    [(413, TooLarge), (400, Rejected), (401, Unavailable), (404, Unavailable), (429, Unavailable), (503, Unavailable)],
)
async def test_whole_requests(server: Any, status: int, error: type[Exception]) -> None:
    """The answer to the whole request means what the contract says."""
    server.answer(status, b'{"error":{"type":"x"}}')
    async with output(server, compression=Plain()) as made:
        with pytest.raises(error):
            await write(made, {"a": 1}, {"a": 2})


async def test_another_node_takes_over(server: Any) -> None:
    """A node that is down costs one failed try; then it rests, and the other serves."""
    server.answer(200, answer(FINE, FINE))
    async with output(server, endpoints=[Url("http://127.0.0.1:1"), Url(server.url)]) as made:
        with pytest.raises(Unavailable, match="connection refused"):
            await write(made, {"a": 1}, {"a": 2})
        for _ in range(3):
            await write(made, {"a": 1}, {"a": 2})
    assert len(server.got) == 3


def test_split_gives_one_piece_an_event() -> None:
    """Joined again they are the body; each decodes to its event, with `timestamp` as it was."""
    made = elasticsearch()
    (piece,), _ = encoded(made, *({"n": n, "text": "a\nb"} for n in range(5)))
    parts = made.split(piece)
    assert [part.count for part in parts] == [1] * 5
    assert b"".join(part.body for part in parts) == piece.body
    assert made.events(piece) == [event for part in parts for event in made.events(part)]
    assert made.events(parts[3]) == [{"n": 3, "text": "a\nb", **NOW}]


def named(made: Elasticsearch, batch: Batch) -> list[tuple[Any, Any]]:
    """The id and the document of each event of a batch."""
    batch.attrs = {**NOW, **batch.attrs}
    pieces = [each for each in made.encode(batch) if isinstance(each, Piece)]
    lines = [orjson.loads(line) for piece in pieces for line in piece.body.splitlines()]
    return [(action["create"].get("_id"), doc) for action, doc in zip(lines[::2], lines[1::2], strict=True)]


@pytest.mark.parametrize("touched", [False, True])
def test_ids_that_stay_the_same(touched: bool) -> None:
    """With `auto` each document has the id of its event, which is not in it; the batch is not changed."""
    made = elasticsearch(id="auto")
    batch = Batch(raw=b"a\nb", ids=["f-0", "f-2"])
    if touched:
        assert len(batch.events) == 2
    found = named(made, batch)
    assert found == [("f-0", {"@timestamp": NOW["timestamp"], "message": "a"}),
                     ("f-2", {"@timestamp": NOW["timestamp"], "message": "b"})]  # fmt: skip
    assert named(made, batch) == found
    assert made.wants_ids and not elasticsearch(id=Template("{id}")).wants_ids and not elasticsearch().wants_ids


def test_ids_by_index() -> None:
    """Events of one batch that go to several indices keep their ids; equal ones are told apart, always the same way."""
    made = elasticsearch(id="auto", index=Template("logs-{app}"))
    events = [{"app": app, ID: name} for app, name in (("a", "f-0"), ("b", "f-1"), ("a", "f-0"), ("a", "f-0-1"))]
    assert [name for name, _ in named(made, Batch(events))] == ["f-0", "f-0-2", "f-0-1", "f-1"]


def test_an_event_without_an_id() -> None:
    """What a filter made of nothing gets an id from the server, and is counted; so does what is no id."""
    made = elasticsearch(id="auto")
    found = named(made, Batch([{"n": 1}, {"n": 2, ID: "f-0"}, {"n": 3}]))
    assert [name for name, _ in found] == [None, "f-0", None]
    assert made.scope.counters["events_without_id", ()] == 2


async def test_what_is_set_aside_keeps_its_id(server: Any) -> None:
    """Refused by the encoder or by the server: sent again later it is the same document."""
    made = elasticsearch(id="auto")
    bad: Event = {"n": "\ud800", ID: "f-1"}
    found = [*made.encode(Batch([{"n": 0, ID: "f-0"}, bad, {"n": 2, ID: "f-2"}, {"n": 3, ID: "x" * 513}], attrs=NOW))]
    refused = [each for each in found if isinstance(each, Refused)]
    assert [each.event[ID] for each in refused] == ["f-1", "x" * 513]
    pieces = [each for each in found if isinstance(each, Piece)]
    assert [event[ID] for piece in pieces for event in made.events(piece)] == ["f-0", "f-2"]
    server.answer(200, answer(CONFLICT, THERE))
    async with output(server, id="auto") as opened:
        with pytest.raises(Partial) as caught:
            await opened.write(pieces)
    (letter,) = caught.value.refused
    assert letter.event[ID] == "f-0" and letter.status == 400


async def test_a_request_is_never_larger_than_servers_take(server: Any) -> None:
    """What would be refused for its size is not sent: the core splits it."""
    async with output(server) as made:
        (piece,), _ = encoded(made, {"message": "x" * (LIMITS.request // 2)})
        with pytest.raises(TooLarge):
            await made.write([piece, piece])
        assert not server.got
    assert [name for name, _ in made.unfit(Delivery(batch=BatchPolicy(bytes=Size(LIMITS.request + 1))))] == [
        "delivery.batch.bytes"
    ]
    assert not [*made.unfit(Elasticsearch.delivery)]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"index": Template("logs-{app}-LIVE")}, "index"),
        ({"index": Template("logs-{timestamp:%d.%b}")}, "index"),
        ({"index": Template("logs-{timestamp:%H:%M}")}, "index"),
        ({"index": Template("-{app}")}, "index"),
        ({"data_stream": DataStream(dataset=Template("My {app}"))}, "data_stream.dataset"),
        ({"id": Template("always")}, "id"),
    ],
)
def test_what_would_fail_for_every_event_is_an_error(options: dict[str, Any], where: str) -> None:
    """A name that no index can have, an id that all documents share: said before anything is sent."""
    assert [name for name, _ in elasticsearch(**options).check()] == [where]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"index": Template("logs-{app:Unknown}-{timestamp:%Y.%m.%d}")}, ["index"]),
        ({"data_stream": DataStream(dataset=Template("{app:a b}"))}, ["data_stream.dataset"]),
        ({"id": Template("{host}-{timestamp}")}, ["id"]),
        ({"id": Template("{host}-{trace_id}")}, []),
        ({"id": "auto", "index": Template('logs-{labels."a:b"}-{app:x}')}, []),
    ],
)
def test_what_would_fail_for_some_events_is_a_warning(options: dict[str, Any], where: list[str]) -> None:
    """A default that makes a bad name, an id that several events share."""
    made = elasticsearch(**options)
    assert not [*made.check()] and [name for name, _ in made.warnings()] == where
