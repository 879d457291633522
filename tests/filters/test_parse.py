"""The `parse` filter: what replaces the line, what stays, and what is marked."""

from __future__ import annotations

import re
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.batch import Batch, Event
from shipper.clock import Clock
from shipper.component import Scope
from shipper.filters.parse import Parse, Timestamp
from shipper.testing.filters import filtered
from shipper.text.paths import FieldPath
from shipper.text.patterns import compile_pattern


class Standing(Clock):
    """30 September 2026, noon, UTC."""

    def time(self) -> float:
        return 1790769600.0


def parse(format: Any = "json", **options: Any) -> Parse:
    subject = Parse(format=format, **options)
    subject.scope = Scope("parse", clock=Standing())
    return subject


def of_lines(subject: Parse, *lines: str) -> list[Event]:
    """What comes out of a chunk that nobody has looked into."""
    batch = subject.apply(Batch(raw="\n".join(lines).encode(), attrs={"host": "web"}))
    assert batch.attrs == {"host": "web"}
    for event, reason in subject.faults() or ():
        assert any(event is each for each in batch.events), "a fault is about an event of the batch"
        event["shipper_error"] = reason
    return batch.events


def test_what_is_found_replaces_the_line() -> None:
    """The fields of each line are the event; what cannot be parsed stays as it came and is marked, once."""
    assert of_lines(parse(), '{"a":1}', "no json", '{"message":"m"}', "") == [
        {"a": 1},
        {"message": "no json", "shipper_error": "parse: not json"},
        {"message": "m"},
        {"message": "", "shipper_error": "parse: not json"},
    ]


lines = st.lists(
    st.sampled_from(['{"a":1}', '{"message":"m","b":2}', "x", "", "[1]", '{"n":[3', "4]}", "{}", '{"a":NaN}']),
    min_size=1,
    max_size=8,
)


@given(lines)
def test_a_chunk_gives_what_its_events_give(texts: list[str]) -> None:
    """Whether somebody looked into the batch before makes no difference."""
    assert of_lines(parse(), *texts) == filtered(parse(), [{"message": text} for text in texts])


def test_other_fields_stay_and_found_ones_win() -> None:
    """An event keeps what it has beside the field; where both have a field, the one that was found is taken."""
    events: list[Event] = [
        {"message": '{"a":1,"b":{"c":2}}', "a": 0, "x": 9},
        {"x": 1},
        {"message": None},
        {"message": 5},
    ]
    assert filtered(parse(), events) == [
        {"a": 1, "x": 9, "b": {"c": 2}},
        {"x": 1},
        {"message": None},
        {"message": 5, "shipper_error": "parse: message is no text"},
    ]


def test_events_are_not_changed_before_the_end() -> None:
    """The events that came in are left as they were, so that a filter that fails can be run again."""
    event: Event = {"message": '{"a":"1"}', "deep": {"m": '{"b":2}'}}
    batch = Batch([event])
    parse(types={"a": "int"}).apply(batch)
    assert batch.events == [{"a": 1, "deep": {"m": '{"b":2}'}}]
    again = Batch([event])
    parse(field=FieldPath("deep.m")).apply(again)
    assert again.events == [{"message": '{"a":"1"}', "deep": {}, "b": 2}]
    assert event == {"message": '{"a":"1"}', "deep": {"m": '{"b":2}'}}


def test_keep_original_and_target() -> None:
    """The text is kept when asked for, also over a field of its name; with a target both are there."""
    line = '{"message":"inner","a":1}'
    assert of_lines(parse(keep_original=True), line) == [{"message": line, "a": 1}]
    assert of_lines(parse(target=FieldPath("log.json")), line) == [{"log": {"json": {"message": "inner", "a": 1}}}]
    assert of_lines(parse(target=FieldPath("j"), keep_original=True), line) == [
        {"message": line, "j": {"message": "inner", "a": 1}}
    ]


def test_something_in_the_way_of_the_target() -> None:
    """An event whose own field stands where the target would be goes on as it came, named; the others are parsed."""
    subject = parse(target=FieldPath("log.json"), timestamp=Timestamp(), types={"n": "int"})
    line = '{"n":"1","timestamp":"2026-01-01 00:00:00"}'
    batch = subject.apply(Batch([{"message": line, "log": "text"}, {"message": line}]))
    assert batch.events == [
        {"message": line, "log": "text"},
        {"log": {"json": {"n": 1, "timestamp": "2026-01-01 00:00:00"}}, "timestamp": "2026-01-01T00:00:00Z"},
    ]
    ((event, reason),) = subject.faults() or ()
    assert event is batch.events[0]
    assert reason == "parse: log.json cannot be set: log is a str, not a mapping"


def test_a_value_of_several_lines() -> None:
    """A value with newlines inside is one text, and so are those beside it."""
    events: list[Event] = [{"message": '{"a":\n1}'}, {"message": '{"b":2}'}, {"message": "x\ny"}]
    assert filtered(parse(), events) == [
        {"a": 1}, {"b": 2}, {"message": "x\ny", "shipper_error": "parse: not json"},
    ]  # fmt: skip
    stack = parse("regex", pattern=re.compile(r"(?s)(?P<error>\w+): (?P<trace>.*)"))
    assert filtered(stack, [{"message": "E: a\n  b"}]) == [{"error": "E", "trace": "a\n  b"}]


def test_times() -> None:
    """The time is read from its field as its formats say, and written as RFC 3339; the field itself stays."""
    subject = parse(timestamp=Timestamp(field=FieldPath("at"), formats=["%d.%m.%Y %H:%M:%S"], timezone="Asia/Seoul"))
    assert of_lines(subject, '{"at":"01.08.2026 12:00:00"}', '{"at":"soon","timestamp":"x"}', '{"b":1}') == [
        {"at": "01.08.2026 12:00:00", "timestamp": "2026-08-01T12:00:00+09:00"},
        {"at": "soon", "timestamp": "x", "shipper_error": "parse: at is no time"},
        {"b": 1},
    ]
    assert of_lines(parse(timestamp=Timestamp(formats=["clf"])), '{"timestamp":5}', '{"timestamp":[1]}') == [
        {"timestamp": 5, "shipper_error": "parse: timestamp is no time"},
        {"timestamp": [1], "shipper_error": "parse: timestamp is no time"},
    ]
    assert of_lines(parse(), '{"timestamp":"soon"}') == [{"timestamp": "soon"}], "nothing checks it unless told"
    assert of_lines(parse(timestamp=Timestamp()), '{"timestamp":1785542400.5}') == [
        {"timestamp": "2026-08-01T00:00:00.5Z"}
    ]


def test_a_type_of_text_is_written_as_json() -> None:
    """What becomes text is written as JSON has it, not as Python has it."""
    subject = parse(types={"ok": "str", "d": "str", "n": "str"})
    assert of_lines(subject, '{"ok":true,"d":{"a":[null]},"n":1.5}') == [
        {"ok": "true", "d": '{"a":[null]}', "n": "1.5"}
    ]


def test_times_without_year_and_zone() -> None:
    """Formats that have no year take the nearest, and the zone of `timestamp`."""
    line = "I0801 12:00:00.5    12 a.go:1] x"
    assert of_lines(parse("klog"), line)[0]["timestamp"] == "2026-08-01T12:00:00.5Z"
    seoul = Timestamp(timezone="Asia/Seoul")
    assert of_lines(parse("klog", timestamp=seoul), line)[0]["timestamp"] == "2026-08-01T12:00:00.5+09:00"
    assert of_lines(parse("syslog", timestamp=seoul), "<34>Aug  1 12:00:00 h a: x")[0]["timestamp"] == (
        "2026-08-01T12:00:00+09:00"
    )


def test_types() -> None:
    """Fields get the type they are said to have; one that cannot stays as it is, and the event is marked once."""
    subject = parse(types={"n": "int", "f": "float", "b": "bool", "s": "str", "d.n": "int"})
    lines = [
        '{"n":"12","f":"1e3","b":"Yes","s":5,"d":{"n":"7"}}',
        '{"n":"x","f":"nan","b":"maybe"}',
        f'{{"n":"{2**64}"}}',
    ]
    assert of_lines(subject, *lines) == [
        {"n": 12, "f": 1000.0, "b": True, "s": "5", "d": {"n": 7}},
        {"n": "x", "f": "nan", "b": "maybe", "shipper_error": "parse: n is no int: f is no float: b is no bool"},
        {"n": str(2**64), "shipper_error": "parse: n is no int"},
    ]
    every = ['{"n":"1","s":null}', "x", '{"n":[],"s":true}', '{"s":"2"}']
    assert of_lines(subject, *every)[::2] == [
        {"n": 1, "s": None}, {"n": [], "s": "true", "shipper_error": "parse: n is no int"},
    ]  # fmt: skip
    below = parse("logfmt", target=FieldPath("f"), types={"n": "int"})
    assert of_lines(below, "n=3 m=4") == [{"f": {"n": 3, "m": "4"}}]


@pytest.mark.parametrize(
    ("format", "options", "line", "field", "value"),
    [
        ("json", {}, '{"a":1}', "a", 1),
        ("logfmt", {}, "a=1 b=2", "b", "2"),
        ("regex", {"pattern": compile_pattern(r"^(?<a>\w+) ")}, "x y", "a", "x"),
        ("csv", {"columns": ["a", "b"]}, "1,2", "b", "2"),
        ("syslog", {}, "<34>1 2026-08-01T00:00:00Z h app 1 ID - hello", "message", "hello"),
        ("cri", {}, "2026-08-01T00:00:00Z stdout F x", "message", "x"),
        ("docker", {}, '{"log":"x\\n","stream":"stdout","time":"t"}', "message", "x"),
        ("klog", {}, "E0801 12:00:00.5    12 a.go:1] x", "level", "error"),
        ("apache", {}, 'h - - [01/Aug/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5', "bytes", 5),
        ("nginx", {}, 'h - - [01/Aug/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-" "-"', "status", 200),
        ("auto", {}, "<34>1 2026-08-01T00:00:00Z h app 1 ID - hello", "app", "app"),
    ],
)
def test_every_format(format: str, options: Any, line: str, field: str, value: Any) -> None:
    """Each format of the contract is there, for chunks and for events, and marks what it does not know but `auto`."""
    subject = parse(format, **options)
    for found in (of_lines(subject, line, "\x00"), filtered(subject, [{"message": line}, {"message": "\x00"}])):
        assert found[0][field] == value
        assert found[1]["message"] == "\x00"
        assert found[1].get("shipper_error") == (None if format == "auto" else f"parse: not {format}")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"format": "json"}, []),
        ({"format": "regex"}, ["pattern"]),
        ({"format": "regex", "pattern": re.compile("(a)")}, ["pattern"]),
        ({"format": "json", "pattern": re.compile("(?P<a>a)"), "columns": ["a"]}, ["pattern", "columns"]),
        ({"format": "csv"}, ["columns"]),
        ({"format": "csv", "columns": ["a", "a"]}, ["columns"]),
        ({"format": "json", "timestamp": Timestamp(formats=["%Q", "iso8601"], timezone="Mars")},
         ["timestamp.formats", "timestamp.timezone"]),
        ({"format": "json", "types": {"a..b": "int"}}, ["types"]),
        ({"format": "json", "keep_original": True, "target": FieldPath("message.found")}, ["target"]),
        ({"format": "json", "keep_original": True, "field": FieldPath("a.b"), "target": FieldPath("a")}, []),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_the_start(options: Any, names: list[str]) -> None:
    """Options that do not go together are all named, and nothing is raised for them."""
    assert [name for name, _ in Parse(**options).check()] == names


def test_the_annotations_can_be_read() -> None:
    """The reader of configurations finds every option's type."""
    assert {"format", "field", "pattern", "columns", "target", "keep_original", "timestamp", "types", "when"} <= set(
        get_type_hints(Parse, include_extras=True)
    )
