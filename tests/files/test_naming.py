"""Ids by place: the same for the same lines however a file is read, and never the same for others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.batch import ID, Batch, Event
from shipper.codecs.cri import Cri
from shipper.codecs.docker import Docker
from shipper.codecs.json import Json
from shipper.codecs.ndjson import Ndjson
from shipper.codecs.text import Text
from shipper.component import Codec
from shipper.files.assembling import Assembler, Ready, own
from shipper.files.multiline import Joining, Python, Start
from shipper.files.reading import Lines, Reading

TIME = "2026-08-01T00:00:00.123Z"
TEXTS = ["S one", " two", "", "Traceback (most recent call last):", "  File x", "ValueError: no", "é", "x" * 30]
START = Start(pattern=re.compile("^S"))
PLAIN: list[tuple[Codec | None, Joining | None, Reading]] = [
    (None, None, Reading()),
    (None, None, Reading(delimiter="\0")),
    (None, None, Reading(delimiter="||")),
    (None, None, Reading(encoding="utf-16-le")),
    (None, None, Reading(encoding="latin-1", delimiter="\r\n")),
    (None, None, Reading(max_line_bytes=10)),
    (None, None, Reading(max_line_bytes=10, on_long_line="split")),
    (None, None, Reading(max_line_bytes=10, on_long_line="drop")),
    (Text(), None, Reading()),
    (Text(), None, Reading(max_line_bytes=10)),
    (Ndjson(), None, Reading()),
    (Json(), None, Reading()),
    (None, START, Reading()),
    (None, START, Reading(delimiter="\0")),
    (None, START, Reading(max_line_bytes=10)),
    (None, Python(), Reading()),
    (None, Start(pattern=re.compile("^S"), max_lines=2), Reading()),
]
CODED: list[tuple[Codec | None, Joining | None, Reading]] = [
    (Cri(), None, Reading()),
    (Cri(), START, Reading()),
    (Cri(max_line_bytes=40), None, Reading()),
]
Way = tuple[Codec | None, Joining | None, Reading]


def assembler(way: Way, offset: int = 0, before: bytes = b"") -> Assembler:
    codec, multiline, reading = way
    stateful = own(codec)
    lines = Lines(reading, offset=offset, before=before, exact=True)
    made = Assembler(
        lines, dict, lambda: 0.0, codec=None if stateful else codec, stateful=stateful, multiline=multiline
    )
    made.name("f")
    return made


def fed(subject: Assembler, data: bytes, bounds: Iterable[int]) -> list[Ready]:
    cuts = [*bounds]
    parts = zip([0, *cuts], [*cuts, len(data)], strict=True)
    return [ready for begin, end in parts for ready in subject.feed(data[begin:end])]


def named(found: Iterable[Ready]) -> list[tuple[str, Any]]:
    """The id of each event, and the event without it."""
    return [(event[ID], {k: v for k, v in event.items() if k != ID}) for batch, _ in found for event in batch.events]


def written(way: Way, texts: list[str], ends: bool) -> bytes:
    delimiter, encoding = way[2].delimiter, way[2].encoding
    rows = [f"{TIME} stdout {'P' if text == ' two' else 'F'} {text}" for text in texts] if own(way[0]) else texts
    return (delimiter.join(rows) + (delimiter if ends else "")).encode(encoding)


LOGS = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=12)


@given(st.sampled_from(PLAIN + CODED), LOGS, st.booleans(), st.data())
def test_where_reads_begin_and_end_makes_no_difference(
    way: Way, texts: list[str], ends: bool, data: st.DataObject
) -> None:
    """The same file gives the same events with the same ids, each its own, in whatever chunks it is read."""
    raw = written(way, texts, ends)
    whole = assembler(way)
    wanted = named(fed(whole, raw, []) + whole.finish())
    again = assembler(way)
    bounds = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    assert named(fed(again, raw, bounds) + again.finish()) == wanted
    ids = [name for name, _ in wanted]
    assert len(set(ids)) == len(ids)
    assert all(name.startswith("f-") for name in ids)


@given(st.sampled_from(PLAIN + CODED), LOGS, st.data())
def test_an_id_never_stands_for_other_lines(way: Way, texts: list[str], data: st.DataObject) -> None:
    """Stopped anywhere with all given out, gone on, and read again from any position that was committed before:
    wherever an id comes twice, so does what it stands for. Else the second would be taken for delivered, and lost."""
    raw = written(way, texts, True)
    stop = data.draw(st.integers(0, len(raw)))
    first = assembler(way)
    given_out = fed(first, raw[:stop], []) + first.finish()
    given_out += fed(first, raw[stop:], []) + first.finish()
    places = [(0, b""), *(place for _, place in given_out if place[0] <= stop)]
    offset, before = data.draw(st.sampled_from(places))
    second = assembler(way, offset, before)
    read_again = fed(second, raw[offset:], []) + second.finish()
    known: dict[str, Event] = {}
    for name, event in named(given_out) + named(read_again):
        assert known.setdefault(name, event) == event


@given(st.sampled_from(PLAIN), LOGS, st.data())
def test_going_on_at_a_position_keeps_the_ids(way: Way, texts: list[str], data: st.DataObject) -> None:
    """Read again from a position, what follows has the ids it had."""
    raw = written(way, texts, True)
    whole = assembler(way)
    found = fed(whole, raw, [data.draw(st.integers(0, len(raw)))]) + whole.finish()
    at = data.draw(st.integers(0, len(found)))
    offset, before = found[at - 1][1] if at else (0, b"")
    second = assembler(way, offset, before)
    assert named(fed(second, raw[offset:], []) + second.finish()) == named(found[at:])


def test_what_the_ids_say() -> None:
    """The place of the line in hexadecimal; how many lines were joined; and that a line has no end yet."""
    plain = assembler((None, None, Reading()))
    assert [name for name, _ in named(plain.feed(b"0123456789abcdef\r\nx\ny"))] == ["f-0", "f-12"]
    assert [name for name, _ in named(plain.finish())] == ["f-14_1"]
    joined = assembler((None, START, Reading()))
    found = joined.feed(b"S a\n b\n c\nS d\nS e\n f") + joined.finish()
    assert [name for name, _ in named(found)] == ["f-0.3", "f-a", "f-e.2_2"]


def test_parts_of_a_containers_line() -> None:
    """A line is named by its last part, parts that never ended by where they were given out; what comes behind is marked."""
    subject = assembler((Cri(), None, Reading()))
    lines = [f"{TIME} {rest}\n".encode() for rest in ("stdout P a", "stderr F b", "stdout F c", "stdout P d")]
    starts = [sum(map(len, lines[:at])) for at in range(6)]
    found = subject.feed(b"".join(lines)) + subject.finish() + subject.feed(f"{TIME} stdout F e\n".encode())
    assert [(name, event["message"]) for name, event in named(found)] == [
        (f"f-{starts[1]:x}", "b"),
        (f"f-{starts[2]:x}", "ac"),
        (f"f-{starts[4]:x}.0", "d"),
        (f"f-{starts[4]:x}+{starts[4]:x}", "e"),
    ]


def container(message: str) -> dict[str, str]:
    return {"timestamp": TIME, "stream": "stdout", "message": message}


def test_parts_of_a_containers_line_joined_to_other_lines() -> None:
    """What is read whole later has another id than the same lines had with a part that never ended."""
    raw = f"{TIME} stdout F S a\n{TIME} stdout P  b".encode()
    torn, whole = assembler((Cri(), START, Reading())), assembler((Cri(), START, Reading()))
    assert named(torn.feed(raw) + torn.finish()) == [(f"f-0.2_{len(raw):x}.0", container("S a\n b"))]
    rest = f"c\n{TIME} stdout F d\n".encode()
    assert named(whole.feed(raw + rest) + whole.finish()) == [("f-0.2", container("S a\n bcd"))]


def test_docker_by_chunks_that_hold_whole_lines() -> None:
    """A chunk in which each record is a line of its own is decoded at once."""
    record = b'{"log":"a\\n","stream":"stdout","time":"2026-08-01T00:00:00Z"}\n'
    assert [name for name, _ in named(assembler((Docker(), None, Reading())).feed(record * 2))] == [
        "f-0",
        f"f-{len(record):x}",
    ]


def test_several_events_of_one_line() -> None:
    """Each event of a line has an id of its own, and lines without an event take none away from others."""
    found = assembler((Json(), None, Reading())).feed(b'[{"n":1},{"n":2}]\n\n{"n":3}\n')
    assert [(name, event["n"]) for name, event in named(found)] == [("f-0-0", 1), ("f-0-1", 2), ("f-13", 3)]


def test_lines_stay_raw() -> None:
    """Ids are kept beside lines that nobody touched, and cost no event."""
    ((batch, _),) = assembler((None, None, Reading())).feed(b"a\nb\n")
    assert batch.raw == b"a\nb" and batch.ids == ["f-0", "f-2"]
    assert batch.events == [{"message": "a", ID: "f-0"}, {"message": "b", ID: "f-2"}]


@pytest.mark.parametrize("way", PLAIN + CODED)
def test_without_names_there_is_nothing(way: Way) -> None:
    """Who does not ask gets no field and no list."""
    codec, multiline, reading = way
    stateful = own(codec)
    subject = Assembler(
        Lines(reading, exact=True), dict, lambda: 0.0, codec=None if stateful else codec, stateful=stateful,
        multiline=multiline,
    )  # fmt: skip
    found = subject.feed(written(way, TEXTS, True)) + subject.finish()
    assert found
    batches: list[Batch] = [batch for batch, _ in found]
    assert not any(batch.ids or any(ID in event for event in batch.events) for batch in batches)
