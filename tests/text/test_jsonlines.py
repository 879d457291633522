"""JSON lines, read and written a chunk at a time, against the obvious way: each line by itself."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.batch import NO_ATTRS, Attrs, Batch, Event
from shipper.text.jsonlines import decode_lines, decode_objects, encode_lines, encode_texts
from shipper.text.objects import Objects

DEEP = b'{"a":' * 1023 + b"{}" + b"}" * 1023
HOSTILE = [
    b'{"n":[3', b"4]}", b'{"a":[{}', b"{}]}", b"{},{}", b'{"a":1}', b'{"a":1},{"b":2}', b"]", b"[", b"],[", b"[[", b"{", b"}",
    b'{"m":"', b'"}', b'{"m":"x\\', b"null", b"1,2", b"", b" ", b"\r", b'{"a":1}\r', b'{"\xff":1}', b'{"a":NaN}',
    b'{"a":"\\ud800"}', b'{"a":1,"a":2}', b'{"a":123456789012345678901234567890}', b'{"a":1e400}', b"not json", DEEP,
    b'{"a":' * 2000, '{"å":"ß\u2028"}'.encode(), b'\xef\xbb\xbf{"a":1}', b',"x",', b'"x"', b'{"a":{"b":[{"c":[', b']}]}}',
]  # fmt: skip


def one_by_one(data: bytes) -> list[Any]:
    """The obvious twin: each line by itself; None for what is no object."""
    found: list[Any] = []
    for line in data.split(b"\n"):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            value = None
        found.append(value if isinstance(value, dict) else None)
    return found


def objects(data: bytes) -> tuple[list[Event], list[int]]:
    failed: list[int] = []

    def fail(index: int, line: bytes, why: str) -> Event:
        assert data.split(b"\n")[index] == line
        assert why
        failed.append(index)
        return {"raw": line}

    return decode_objects(data, fail), failed


def check(lines: list[bytes]) -> None:
    data = b"\n".join(lines)
    events, failed = objects(data)
    expected = one_by_one(data)
    assert sorted(failed) == [index for index, value in enumerate(expected) if value is None]
    assert events == [{"raw": line} if value is None else value for line, value in zip(lines, expected, strict=True)]


@given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=12))
@example([b'{"n":[3', b"4]}"])
@example([b'{"a":[{}', b"{}]}", b"{},{},{}"])
@example([b'{"a":[{}', b"{}]}", b"{},{}"])
@example([b'{"a":[{}', b"{}]}", b'{"a":[{}', b"{}]}", b"{},{},{}"])
@example([b'{"a":1}'] * 300 + [b'{"n":[3'] + [b'{"a":1}'] * 300)
def test_no_line_reaches_into_another(lines: list[bytes]) -> None:
    """Whatever the lines are, a chunk gives what each line gives by itself, and says which were no objects."""
    check(lines)


@given(
    st.lists(
        st.lists(st.sampled_from([*HOSTILE, b'{"a":1}', b'{"a":1}', b""]), min_size=1, max_size=12),
        min_size=1,
        max_size=4,
    )
)
def test_what_was_in_the_chunk_before_makes_no_difference(chunks: list[list[bytes]]) -> None:
    """Behind lines that failed, few or many, the lines are read another way, and give the same."""
    remembering = Objects()
    for lines in chunks:
        data, failed = b"\n".join(lines), set[int]()

        def fail(index: int, line: bytes, why: str, failed: set[int] = failed) -> Event:
            failed.add(index)
            return {"raw": line, "why": why}

        events, read = remembering(data, fail), failed.copy()
        failed.clear()
        assert events == [Objects()(line, lambda _, line, why: {"raw": line, "why": why})[0] for line in lines]
        assert read == {index for index, value in enumerate(one_by_one(data)) if value is None}


fragments = st.lists(
    st.sampled_from([b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b"1", b"{}", b'"a":', b"\\", b" ", b"null"]),
    max_size=8,
).map(b"".join)


@settings(max_examples=300)
@given(st.lists(fragments, min_size=1, max_size=6))
def test_no_fragments_become_a_line(lines: list[bytes]) -> None:
    """Pieces of JSON strewn over lines are never read as one."""
    check(lines)


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), min_size=1, max_size=8))
def test_no_bytes_fail(lines: list[bytes]) -> None:
    """Any bytes at all can be in a line."""
    check(lines)


def test_lines_that_are_no_objects_are_kept() -> None:
    """What is no object stays as `message` and is marked; what is empty is skipped; a newline at the end is none."""
    data = b'{"a":1}\n\nplain \xff\n[1]\n{"a":"\\ud800"}\n \n{"b":2}\n'
    assert decode_lines(data) == [
        {"a": 1},
        {"message": "plain \ufffd", "shipper_error": "json: str is not valid UTF-8"},
        {"message": "[1]", "shipper_error": "json: not an object"},
        {"message": '{"a":"\\ud800"}', "shipper_error": "json: no low surrogate in string"},
        {"b": 2},
    ]
    assert decode_lines(b"") == []


def test_numbers_and_keys_follow_the_contract() -> None:
    """Integers beyond 64 bits become floats, of equal keys the last wins, NaN is no JSON."""
    assert decode_lines(b'{"n":123456789012345678901234567890}\n{"a":1,"a":2}') == [
        {"n": 1.2345678901234568e29},
        {"a": 2},
    ]
    assert "shipper_error" in decode_lines(b'{"n":NaN}')[0]


def encoded(events: list[Event], attrs: Attrs = NO_ATTRS, **options: Any) -> list[Any]:
    body, count, refused = encode_lines(Batch(events, attrs=attrs), **options)
    lines = body.split(b"\n")
    assert lines.pop() == b""
    assert count == len(lines)
    assert refused == []
    found = [orjson.loads(line) for line in lines]
    for line, value in zip(lines, found, strict=True):
        assert len(json.loads(line, object_pairs_hook=list)) == len(value), "a key is written twice"
    return found


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(), lambda each: st.lists(each, max_size=2)
)
keys = st.sampled_from(["host", "file", "timestamp", "@timestamp", "message", 'x"timestamp', "b"])
some_events = st.lists(st.dictionaries(keys, values, max_size=4), min_size=1, max_size=6)


@given(
    st.lists(st.dictionaries(keys, values | st.sampled_from(["\ud800", ["\udfff"]]), max_size=4), max_size=6),
    st.dictionaries(keys, values, max_size=3),
    st.none() | st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), min_size=1, max_size=4),
)
def test_texts_are_the_lines(events: list[Event], attrs: Event, raw: list[bytes] | None) -> None:
    """One by one they are the lines that are written together, and the same events are refused."""

    def batch() -> Batch:
        return Batch(events, attrs=attrs) if raw is None else Batch(raw=b"\n".join(raw), attrs=attrs)

    body, count, refused = encode_lines(batch())
    texts, odd = encode_texts(batch())
    assert "".join([text + "\n" for text in texts]).encode() == body
    assert (len(texts), odd) == (count, refused)


@given(some_events, st.dictionaries(keys, values, max_size=3), st.sampled_from(["timestamp", "@timestamp"]))
def test_attributes_join_each_event_once(events: list[Event], attrs: Event, timestamp_as: str) -> None:
    """Every line is the event's own fields over the attributes, `timestamp` under its new name, no key twice."""

    def renamed(fields: Event) -> Event:
        if "timestamp" not in fields:
            return fields
        rest = {name: value for name, value in fields.items() if name not in ("timestamp", timestamp_as)}
        return {**rest, timestamp_as: fields["timestamp"]}

    before = orjson.dumps([events, attrs])
    assert encoded(events, attrs, timestamp_as=timestamp_as) == [{**renamed(attrs), **renamed(each)} for each in events]
    assert orjson.dumps([events, attrs]) == before, "events and attributes may be shared: they are not changed"


def test_golden_lines() -> None:
    """The head and the attributes stand in front of each line, in order, and the batch stays undecoded."""
    batch = Batch(raw='a "b"\n\nß\\'.encode(), attrs={"host": "web", "message": "no"})
    body, count, refused = encode_lines(batch, b'{"create":{}}\n')
    assert body.decode() == (
        '{"create":{}}\n{"host":"web","message":"a \\"b\\""}\n'
        '{"create":{}}\n{"host":"web","message":""}\n'
        '{"create":{}}\n{"host":"web","message":"ß\\\\"}\n'
    )
    assert (count, refused) == (3, [])
    assert batch.is_lines
    assert encode_lines(Batch(raw=b"x", attrs={"timestamp": 1}), timestamp_as="@timestamp")[0] == (
        b'{"@timestamp":1,"message":"x"}\n'
    )


def test_empty_events_and_batches() -> None:
    """An event without fields is its attributes, or an empty object; no events are no bytes."""
    assert encode_lines(Batch([{}, {"a": 1}], attrs={"h": 1})) == (b'{"h":1}\n{"h":1,"a":1}\n', 2, [])
    assert encode_lines(Batch([{}])) == (b"{}\n", 1, [])
    assert encode_lines(Batch([{"h": 2}, {}], attrs={"h": 1}))[0] == b'{"h":2}\n{"h":1}\n'
    assert encode_lines(Batch([])) == (b"", 0, [])


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("bad", ["\ud800", 2**64, {1: 2}, nested(300)], ids=["surrogate", "integer", "key", "depth"])
def test_what_cannot_be_json_is_refused_alone(bad: Any) -> None:
    """One event that cannot be encoded is set aside with its attributes and a reason; the others go on."""
    events = [{"n": 1}, {"n": bad}, {"n": 3}]
    body, count, refused = encode_lines(Batch(events, attrs={"host": "web"}))
    assert body == b'{"host":"web","n":1}\n{"host":"web","n":3}\n'
    assert count == 2
    assert [each.event for each in refused] == [{"host": "web", "n": bad}]
    assert refused[0].reason.startswith("json: ")


def test_values_of_plugins_are_written_as_text() -> None:
    """What orjson does not know is written as `str` gives it; a path that is not UTF-8 refuses no line."""
    assert encoded([{"v": b"x", "w": {3}}]) == [{"v": "b'x'", "w": "{3}"}]
    assert encoded([{"a": 1}], {"file": "/var/\udcff.log"}) == [{"file": "/var/?.log", "a": 1}]


def test_a_depth_bomb_is_contained() -> None:
    """A hundred thousand brackets are kept raw and marked; what can be read but not written is refused alone."""
    bomb = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    events = decode_lines(b"\n".join([b'{"n":1}', bomb, DEEP, b'{"n":2}']))
    assert [("shipper_error" in each) for each in events] == [False, True, False, False]
    body, count, refused = encode_lines(Batch(events))
    assert (count, len(refused)) == (3, 1)
    assert [orjson.loads(line).get("n") for line in body.splitlines()] == [1, None, 2]
