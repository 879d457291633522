"""Lines become batches whose positions never pass what is held."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shipper.batch import Event
from shipper.codecs.cri import Cri
from shipper.files.assembling import Assembler, own
from shipper.files.multiline import Joining, Python, Start
from shipper.files.reading import Lines, Reading

TIME = "2026-08-01T00:00:00.123Z"
TEXTS = ["S one", " two", "three", "Traceback (most recent call last):", "  File x", "ValueError: no", ""]
ROWS = st.lists(
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.sampled_from("PF"), st.sampled_from(TEXTS)), max_size=15
)
WAYS: list[tuple[bool, Joining | None, str]] = [
    (False, None, "\n"),
    (True, None, "\n"),
    (False, Start(pattern=re.compile("S ")), "\n"),
    (False, Start(pattern=re.compile("S ")), "\0"),
    (True, Start(pattern=re.compile("^S ")), "\n"),
    (True, Python(), "\n"),
    (False, Start(pattern=re.compile("S "), max_lines=2), "\n"),
]


def assembler(way: tuple[bool, Joining | None, str], offset: int = 0, before: bytes = b"") -> Assembler:
    coded, multiline, delimiter = way
    lines = Lines(Reading(delimiter=delimiter), offset=offset, before=before, exact=True)
    return Assembler(lines, dict, lambda: 0.0, stateful=own(Cri()) if coded else None, multiline=multiline)


def fed(subject: Assembler, data: bytes, bounds: list[int]) -> list[tuple[Event, int, bytes]]:
    """Each event with the position of its batch."""
    out = []
    for begin, end in zip([0, *bounds], [*bounds, len(data)], strict=True):
        out += [(event, *place) for batch, place in subject.feed(data[begin:end]) for event in batch.events]
    return out


def told(events: list[tuple[Event, int, bytes]]) -> Counter[tuple[Any, str]]:
    return Counter((event.get("stream"), event["message"]) for event, _, _ in events)


@given(ROWS, st.sampled_from(WAYS), st.booleans(), st.data())
def test_whoever_goes_on_at_a_position_misses_nothing(
    rows: list[tuple[str, str, str]], way: tuple[bool, Joining | None, str], one: bool, data: st.DataObject
) -> None:
    """Stopped anywhere and begun again at the last position, every event comes, and of a single stream each once."""
    streams = [("stdout" if one else stream, kind, text) for stream, kind, text in rows]
    raw = "".join(f"{TIME} {stream} {kind} {text}{way[2]}" for stream, kind, text in streams).encode()
    whole = assembler(way)
    everything = fed(whole, raw, [])
    final = [(event, *place) for batch, place in whole.finish() for event in batch.events]
    bounds = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    stop = data.draw(st.integers(0, len(raw)))
    first = fed(assembler(way), raw[:stop], [bound for bound in bounds if bound <= stop])
    offset, before = first[-1][1:] if first else (0, b"")
    assert raw[:offset].endswith(before)
    again = assembler(way, offset, before)
    second = fed(again, raw[offset:], [])
    rest = [(event, *place) for batch, place in again.finish() for event in batch.events]
    missing = told(everything + final) - told(first + second + rest)
    assert not missing
    if one and not (way[1] and way[1].max_lines == 2):
        assert told(first + second + rest) == told(everything + final)


def test_truncated_lines_stay_marked_when_they_are_joined() -> None:
    """An event of which any line was cut is marked, its neighbours are not."""
    lines = Lines(Reading(max_line_bytes=10), exact=True)
    subject = Assembler(lines, dict, lambda: 0.0, multiline=Start(pattern=re.compile("^S")))
    found = subject.feed(b"S a\n" + b"x" * 50 + b"\nS b\nS" + b"y" * 50 + b"\nS c\n") + subject.finish()
    events = [event for batch, _ in found for event in batch.events]
    assert [(event["message"], event.get("truncated")) for event in events] == [
        ("S a\n" + "x" * 10, True),
        ("S b", None),
        ("S" + "y" * 9, True),
        ("S c", None),
    ]


def test_what_waits_is_given_out_after_its_time() -> None:
    """The last event of a stream waits for more lines for as long as it is told, and its position with it."""
    now = [0.0]
    subject = Assembler(Lines(Reading(), exact=True), dict, lambda: now[0], multiline=Start(pattern=re.compile("^S")))
    assert subject.feed(b"S a\nb\n") == []
    assert subject.deadline == 1.0
    now[0] = 0.9
    assert subject.overdue() == []
    now[0] = 1.0
    [(batch, place)] = subject.overdue()
    assert batch.events == [{"message": "S a\nb"}]
    assert place == (6, b"S a\nb\n")
    assert subject.deadline is None


def test_newlines_inside_of_lines() -> None:
    """Where lines end with something else, a part with newlines in it is joined, and the position stays before it."""
    begun, rest = (
        b"2026-08-01T00:00:00Z stdout P a\n2026-08-01T00:00:00Z stdout P b\0",
        b"2026-08-01T00:00:00Z stdout F c\0",
    )
    assembler = Assembler(Lines(Reading(delimiter="\0"), exact=True), dict, float, stateful=Cri())
    assert assembler.feed(begun) == []
    [(batch, place)] = assembler.feed(rest)
    assert [event["message"] for event in batch.events] == ["abc"]
    assert place[0] == len(begun + rest)
