from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import cramjam
import orjson
import pytest

from shipper.batch import Batch, Event, Piece
from shipper.clock import rfc3339
from shipper.errors import Refused, Rejected, TooLarge, Unavailable
from shipper.net.lokilimits import Limits
from shipper.net.lokipush import Json, Protobuf
from shipper.options import Secret, Size, Url
from shipper.outputs.loki import Loki
from shipper.policy import BatchPolicy, Delivery
from shipper.testing.clock import FakeClock
from shipper.text.templates import Template

LINE_BYTES = 256 * 1024
NOON = "1795348800"  # 2026-11-22T12:00:00Z
NOW = {"timestamp": "2026-11-22T12:00:00Z"}
FORMS = ["json", "protobuf"]


def loki(url: str = "http://127.0.0.1:1", labels: dict[str, str] | None = None, **options: Any) -> Loki:
    for name in ("structured_metadata",):
        if name in options:
            options[name] = {key: Template(text) for key, text in options[name].items()}
    given = {key: Template(text) for key, text in (labels or {"app": "x"}).items()}
    return Loki(url=Url(url), labels=given, **options)


@asynccontextmanager
async def output(server: Any, **options: Any) -> AsyncIterator[Loki]:
    made = loki(server.url, **options)
    assert not [*made.check()]
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        await made.close()


def encoded(made: Loki, *events: Event, **attrs: Any) -> tuple[list[Piece], list[Refused]]:
    found = [*made.encode(Batch([*events], attrs={**NOW, **attrs}))]
    return [each for each in found if isinstance(each, Piece)], [each for each in found if isinstance(each, Refused)]


def streams(made: Loki, *events: Event, **attrs: Any) -> list[Any]:
    """Labels and entries of the one piece that these events make."""
    (piece,), refused = encoded(made, *events, **attrs)
    assert not refused and piece.count == len(events)
    return made._form.streams(piece.body)


def test_golden_json() -> None:
    """The very bytes of a push in JSON."""
    made = loki(labels={"app": "{app}"}, structured_metadata={"id": "{id}"}, line="message")
    (piece,), _ = encoded(made, {"app": "a", "id": 7, "message": "one"}, {"app": "a", "message": "two"})
    assert made._form.document(made._form.join([piece.body, piece.body])).decode() == (
        '{"streams":[%s,%s]}'
        % (
            (
                '{"stream":{"app":"a"},"values":[["1795348800000000000","one",{"id":"7"}],["1795348800000000000","two",{}]]}',
            )
            * 2
        )
    )


def test_golden_protobuf() -> None:
    """The very bytes of `logproto.PushRequest`, worked out by hand from push.proto."""
    made = loki(format="protobuf", line="message", structured_metadata={"k": "v"})
    (piece,), _ = encoded(made, {"message": "one", "timestamp": "2026-11-22T12:00:00.000000001Z"})
    entry = bytes.fromhex("0a08 08c0b28bd806 1001".replace(" ", "")) + b"\x12\x03one" + b"\x1a\x06\x0a\x01k\x12\x01v"
    stream = b'\x0a\x09{app="x"}' + b"\x12" + bytes([len(entry)]) + entry
    assert piece.body == b"\x0a" + bytes([len(stream)]) + stream
    assert bytes(cramjam.snappy.decompress_raw(made._form.document(piece.body))) == piece.body


@pytest.mark.parametrize("format", FORMS)
def test_streams_and_order(format: str) -> None:
    """One stream for each set of labels, its entries by time; a label without a value is left out."""
    made = loki(format=format, labels={"app": "{app}", "host": "{host}", "none": "{none}"}, line="message")
    times = ["2026-11-22T12:00:02Z", "2026-11-22T12:00:01.5Z", "2026-11-22T13:00:00.25+01:00"]
    events: list[Event] = [{"app": "a", "message": str(n), "timestamp": at} for n, at in enumerate(times)]
    found = streams(made, *events, {"app": "b", "message": "b"}, host="web")
    assert found == [
        (
            {"app": "a", "host": "web"},
            [(NOON + "250000000", "2", {}), ("1795348801500000000", "1", {}), ("1795348802000000000", "0", {})],
        ),
        ({"app": "b", "host": "web"}, [(NOON + "000000000", "b", {})]),
    ]


@pytest.mark.parametrize("format", FORMS)
def test_odd_values_survive(format: str) -> None:
    """Quotes, newlines, control characters and any language in labels, lines and metadata."""
    odd = 'a"b\\c\n\t\x01é한{},="'
    made = loki(format=format, labels={"l": "{l}"}, structured_metadata={"m": "{m}"}, line="message")
    assert streams(made, {"l": odd, "m": odd, "message": odd}) == [
        ({"l": odd}, [(NOON + "000000000", odd, {"m": odd})])
    ]


def test_what_a_line_is() -> None:
    """The whole event by default; or its message, with JSON where there is none; or logfmt."""
    event: Event = {"message": 'say "hi"', "n": 1, "nest": {"a": None}, "none": None, "odd key": "x=y", "empty": ""}

    def line(how: str, event: Event, **options: Any) -> str:
        return str(streams(loki(line=how, **options), event, host="web")[0][1][0][1])

    assert orjson.loads(line("json", event)) == {**NOW, "host": "web", **event}
    assert line("message", event) == 'say "hi"'
    assert line("message", {"message": 5}) == "5"
    assert orjson.loads(line("message", {"n": 1})) == {**NOW, "host": "web", "n": 1}
    assert line("logfmt", event) == (
        'timestamp=2026-11-22T12:00:00Z host=web message="say \\"hi\\"" n=1 nest="{\\"a\\":null}" odd_key="x=y" empty=""'
    )


def test_raw_lines_are_not_looked_into() -> None:
    """A batch of lines with labels of its attributes is encoded without its events being made."""
    batch = Batch(raw=b"one\ntwo", attrs={**NOW, "app": "a"})
    made = loki(labels={"app": "{app}"}, line="message")
    (piece,) = made.encode(batch)
    assert isinstance(piece, Piece) and piece.count == 2 and batch.raw is not None
    assert made._form.streams(piece.body) == [({"app": "a"}, [(NOON + "000000000", t, {}) for t in ("one", "two")])]
    assert not [*made.encode(Batch([]))]


@pytest.mark.parametrize(
    "time", ["yesterday", "", 5, {}, "1960-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "2026-11-22T12:00:00.x1Z"]
)
def test_a_time_that_cannot_be_read(time: Any) -> None:
    """It becomes the time of reading and is counted; its neighbour keeps its own."""
    made = loki(line="message")
    ((_, entries),) = streams(
        made, {"message": "a", "timestamp": time}, {"message": "b", "timestamp": "2026-11-22T12:00:01.1Z"}
    )
    assert [at for at, _, _ in entries] == [NOON + "000000000", "1795348801100000000"]
    assert made.scope.counters == {("unreadable_timestamps", ()): 1}


def test_no_time_at_all() -> None:
    """An event that has none and was given none gets the time now, as digits of a whole number."""
    (piece,) = loki().encode(Batch([{"a": 1}]))
    assert isinstance(piece, Piece)
    at = Json().streams(piece.body)[0][1][0][0]
    assert len(at) == 19 and at.isdecimal()


@pytest.mark.parametrize("format", FORMS)
def test_limits(format: str) -> None:
    """What Loki would refuse or throw away is set aside alone, with the reason; what just fits goes."""
    made = loki(format=format, labels={"l": "{l:x}"}, structured_metadata={"m": "{m:x}"}, line="message")
    events: list[Event] = [
        {"message": "é" * (LINE_BYTES // 2)}, {"message": "é" * (LINE_BYTES // 2) + "x"},
        {"message": "a", "l": "é" * 1024}, {"message": "a", "l": "é" * 1025},
        {"message": "a", "m": "x" * 65000}, {"message": "a", "m": "x" * 65536}, {"message": "\ud800"}, {"message": "z"},
    ]  # fmt: skip
    pieces, refused = encoded(made, *events)
    assert sum(piece.count for piece in pieces) == 4
    assert [each.reason.split(":")[0] for each in refused] == [
        "the line is longer than 256KiB (limits.line_bytes)",
        "its structured metadata is longer than 64KiB (limits.metadata_bytes)",
        "the value of the label l is longer than 2KiB (limits.label_value_bytes)",
        "text that is not Unicode",
    ]
    assert [each.event for each in refused[:3]] == [{**NOW, **events[at]} for at in (1, 5, 3)]


def test_a_stream_needs_a_label() -> None:
    """An event for which no label has a value is kept, under the name that Loki itself gives such."""
    assert streams(loki(labels={"app": "{app}"}), {"a": 1})[0][0] == {"service_name": "unknown_service"}


def test_tenants_never_share_a_request() -> None:
    """The tenant is the key of a piece; a missing one, or one that cannot be, is set aside."""
    made = loki(tenant=Template("{team}"))
    pieces, refused = encoded(
        made, *({"team": team} for team in ("red", "blue", "red", "a\r\nX: y", "..", "a|b", "")), {}
    )
    assert {piece.key: piece.count for piece in pieces} == {"red": 2, "blue": 1}
    assert len(refused) == 5 and all(each.reason.isprintable() for each in refused)
    assert {part.key for piece in pieces for part in made.split(piece)} == {"red", "blue"}


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"labels": {f"l{n}": "x" for n in range(16)}}, {"labels"}),
        ({"labels": {f"l{n}": "x" for n in range(3)}, "limits": Limits(labels=2)}, {"labels"}),
        ({"labels": {"l" * 1025: "x"}}, {"labels"}),
        ({"labels": {"a-b": "x"}}, {"labels"}),
        ({"labels": {"é": "x"}}, {"labels"}),
        ({"structured_metadata": {str(n): "x" for n in range(129)}}, {"structured_metadata"}),
        ({"tenant": Template("a b")}, {"tenant"}),
        ({"tenant": Template("a"), "headers": {"x-scope-orgid": Secret("b")}}, {"headers.x-scope-orgid"}),
    ],
)
def test_options_against_the_limits(options: dict[str, Any], where: set[str]) -> None:
    """Each is reported at its option before anything is sent."""
    assert {name for name, _ in loki(**options).check()} == where
    assert [name for name, _ in Loki(url=Url("http://h"), labels={}).check()] == ["labels"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cramjam protobuf says what to install."""
    monkeypatch.setitem(sys.modules, "cramjam", None)
    ((name, why),) = loki(format="protobuf").check()
    assert name == "format" and 'pip install "shipper[loki]"' in why


@pytest.mark.parametrize(
    ("path", "asked"),
    [("", "/loki/api/v1/push"), ("/", "/loki/api/v1/push"), ("/base", "/base/loki/api/v1/push"),
     ("/insert/loki/api/v1/push", "/insert/loki/api/v1/push"), ("/api/prom/push?x=1", "/api/prom/push?x=1")],
)  # fmt: skip
async def test_the_address(server: Any, path: str, asked: str) -> None:
    """A base address gets the path of the push API, a whole one is taken as it is."""
    server.answer(204)
    made = loki(server.url + path)
    await made.open()
    await made.write(encoded(made, {"a": 1})[0])
    await made.close()
    assert [got.path for got in server.got] == [asked]


async def test_a_request(server: Any) -> None:
    """JSON is packed by gzip, protobuf by snappy; the tenant is a header."""
    server.answer(204)
    for format in FORMS:
        async with output(server, format=format, tenant=Template("red")) as made:
            await made.write([*encoded(made, {"a": 1})[0], *encoded(made, {"a": 2})[0]])
    json, protobuf = server.got
    assert json.headers["Content-Encoding"] == "gzip" and json.headers["Content-Type"] == "application/json"
    assert len(orjson.loads(json.body)["streams"]) == 2
    assert "Content-Encoding" not in protobuf.headers and protobuf.headers["Content-Type"] == "application/x-protobuf"
    assert len(Protobuf().streams(bytes(cramjam.snappy.decompress_raw(protobuf.body)))) == 2
    assert {got.headers["X-Scope-OrgID"] for got in server.got} == {"red"}


OLD = b"entry for stream '{app=\"x\"}' has timestamp too old: 2026-10-23T16:08:34Z, oldest acceptable timestamp is: 2026-11-15T16:08:37Z"
BIG = b"rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5002096 vs. 4194304)"


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [(200, b"", None), (260, b"blocked", Unavailable), (429, b"rate limit", Unavailable), (500, b"oops", Unavailable),
     (500, BIG, TooLarge), (413, b"", TooLarge), (400, OLD, Rejected), (401, b"no org id", Unavailable)],
)  # fmt: skip
async def test_every_answer_is_typed(server: Any, status: int, said: bytes, error: type[Exception] | None) -> None:
    """What real Loki says, and what comes next: its 500 for a message too large is split, its 260 is no success."""
    server.answer(status, said)
    async with output(server) as made:
        if error is None:
            await made.write(encoded(made, {"a": 1})[0])
            return
        with pytest.raises(error) as caught:
            await made.write(encoded(made, {"a": 1})[0])
    assert type(caught.value) in (error, *error.__subclasses__()) and (
        error is not Rejected or type(caught.value) is Rejected
    )


async def test_reasons_repeat(server: Any) -> None:
    """The reason of a refusal has no times in it, so that the core sees that it is the same again."""
    server.answer(400, OLD)
    async with output(server) as made:
        with pytest.raises(Rejected) as caught:
            await made.write(encoded(made, {"a": 1})[0])
    assert caught.value.reason == (
        "HTTP 400: entry for stream '{app=\"x\"}' has timestamp too old: (time), oldest acceptable timestamp is: (time)"
    )
    assert caught.value.status == 400


@pytest.mark.parametrize("format", FORMS)
@pytest.mark.parametrize("line", ["json", "message", "logfmt"])
def test_split_and_events(format: str, line: str) -> None:
    """A piece of several streams comes apart into one piece an event, and says what was to be sent."""
    made = loki(format=format, line=line, labels={"app": "{app}"}, structured_metadata={"m": "{m}"})
    (piece,), _ = encoded(made, *({"app": "ab"[n % 2], "m": n, "message": f"m{n}"} for n in range(6)))
    parts = made.split(piece)
    assert [part.count for part in parts] == [1] * 6
    assert made._form.streams(made._form.join([part.body for part in parts]))
    events = [event for part in parts for event in made.events(part)]
    assert events == made.events(piece)
    if line == "json":
        assert sorted(event["message"] for event in events) == [f"m{n}" for n in range(6)]
    elif line == "message":
        assert events[0] == {"app": "a", "m": "0", "timestamp": "2026-11-22T12:00:00.000000000Z", "message": "m0"}


def test_limits_can_be_others() -> None:
    """What your Loki is told to take goes; the limits are measured on what is sent."""
    event: Event = {"message": "é" * LINE_BYTES, "l": "x" * 3000}
    made = loki(
        labels={"l": "{l}"}, line="message", limits=Limits(line_bytes=Size(1 << 20), label_value_bytes=Size(3000))
    )
    assert not encoded(made, event)[1]
    made.limits = Limits(line_bytes=Size(100))
    (refused,) = encoded(made, event)[1]
    assert refused.reason == "the line is longer than 100 (limits.line_bytes)"


def test_more_labels_than_loki_takes() -> None:
    """An event that has them all is set aside alone; those that have fewer go."""
    made = loki(labels={f"l{n}": f"{{l{n}}}" for n in range(16)})
    full = {f"l{n}": "x" for n in range(16)}
    assert not [*made.check()]
    pieces, refused = encoded(made, {**full, "l3": None}, full, {**full, "l0": "y"}, {"l1": "x"})
    assert sum(piece.count for piece in pieces) == 2
    assert {each.reason for each in refused} == {"it has 16 labels, at most 15 are taken (limits.labels)"}
    ((name, why),) = made.warnings()
    assert name == "labels" and why.startswith("this route will exceed Loki's 15 labels with its 16")


def test_a_thousand_streams_that_are_not_taken() -> None:
    """However many streams are over a limit, finding them costs one pass."""
    events = [{"l": f"{n:05}" * 500} for n in range(3000)]
    pieces, refused = encoded(loki(labels={"l": "{l}"}), *events, {"l": "a"})
    assert len(refused) == 3000 and [piece.count for piece in pieces] == [1]


def test_more_metadata_than_loki_takes() -> None:
    """Too many entries are set aside, and `validate` says beforehand that there may be."""
    made = loki(structured_metadata={f"m{n}": f"{{m{n}}}" for n in range(129)})
    full = {f"m{n}": "x" for n in range(129)}
    assert not [*made.check()]
    pieces, refused = encoded(made, full, {**full, "m0": None})
    assert [piece.count for piece in pieces] == [1]
    assert [each.reason for each in refused] == ["it has more than 128 structured metadata (limits.metadata_entries)"]
    assert [name for name, _ in made.warnings()] == ["structured_metadata"]


def test_truncation_is_chosen_marked_and_counted() -> None:
    """Told to, a line over the limit is sent up to it, on a whole character, with a word that says so."""
    made = loki(line="message", on_long_line="truncate", limits=Limits(line_bytes=Size(21)))
    ((_, entries),) = streams(made, {"message": "é" * 30}, {"message": "ok"}, {"message": "x" * 22})
    assert [line for _, line, _ in entries] == ["ééé…[truncated]", "ok", "xxxxxxx…[truncated]"]
    assert all(len(line.encode()) <= 21 for _, line, _ in entries)
    assert made.scope.counters["truncated_lines", ()] == 2


AGES = ["-6d", "+15m", "-8d", "+5m", "1970", "2255"]


def moment(age: str, now: float) -> str:
    if age[0] not in "+-":
        return f"{age}-06-01T00:00:00Z"
    return rfc3339(now + int(age[:-1]) * {"d": 86400, "m": 60}[age[-1]])


@pytest.mark.parametrize("ours", [0, 365 * 86400, -365 * 86400])
async def test_age_goes_by_lokis_clock(server: Any, ours: float) -> None:
    """Before Loki has said its time nothing is judged; then what is older than a week or ahead is set aside alone,
    however wrong our own clock is."""
    theirs = float(NOON)
    clock = FakeClock(theirs + ours)
    events: list[Event] = [{"timestamp": moment(age, theirs), "age": age} for age in AGES]
    server.answer(204, Date=formatdate(theirs, usegmt=True))
    async with output(server) as made:
        made.scope.clock = clock
        pieces, refused = encoded(made, *events)
        assert not refused
        await made.write(pieces)
        pieces, refused = encoded(made, *events)
    assert [each.event["age"] for each in refused] == ["-8d", "1970", "+15m", "2255"]
    assert {each.reason for each in refused} == {
        "the event is older than 7d (limits.age)",
        "the time of the event is more than 10m in the future (limits.ahead)",
    }
    made.limits = Limits(age=None, ahead=None)
    assert not encoded(made, *events)[1]


async def test_a_request_is_never_larger_than_loki_takes(server: Any) -> None:
    """What would be refused for its size is not sent: the core splits it."""
    async with output(server, limits=Limits(request_bytes=Size(300))) as made:
        (piece,), _ = encoded(made, *({"message": "x" * 50} for _ in range(3)))
        with pytest.raises(TooLarge):
            await made.write([piece])
        assert not server.got
        await made.write(made.split(piece)[:1])
    assert len(server.got) == 1


def test_warnings() -> None:
    """What cannot fit is said beforehand, at the option that is to blame."""
    made = loki(labels={"app": "{app}", "trace": "{labels.trace_id}", "m": "x {message}"})
    assert [name for name, _ in made.warnings()] == ["labels.trace", "labels.m"]
    policy = Delivery(batch=BatchPolicy(bytes=Size(5 << 20)), concurrency=3)
    assert [name for name, _ in made.unfit(policy)] == ["delivery.batch.bytes", "delivery.concurrency"]
    assert not [*made.unfit(Loki.delivery)] and not [*loki().warnings()]
