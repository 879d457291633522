"""Multiline with patterns that take for ever, and with events that never end."""

from __future__ import annotations

import re
import time
from collections import Counter

import pytest

from shipper.batch import Event
from shipper.codecs.text import Text
from shipper.files.assembling import Assembler
from shipper.files.multiline import Continuation, Joiner, Joining, Start
from shipper.files.reading import Lines, Reading
from shipper.options import Duration, Size
from shipper.text.patience import ALL, PATIENCE, SLOW

BAD = re.compile(r"^(\w+\s?)*$")
POISON = "a" * 40 + "!"
MARK = f"multiline: {SLOW}"


@pytest.fixture(autouse=True)
def rested() -> None:
    PATIENCE._left = ALL


def at_best(tries: int, options: Joining, text: str, chunk: int, decoded: bool = False) -> float:
    """The longest time one chunk takes, in the best of some tries, each well rested: that of the code, not of the machine's neighbours."""
    longest = []
    for _ in range(tries):
        PATIENCE._left = ALL
        longest.append(assembled(options, text, chunk, decoded)[2])
    return min(longest)


def assembled(
    options: Joining, text: str, chunk: int, decoded: bool = False
) -> tuple[list[Event], Counter[str], float]:
    """The events of a text that comes in chunks, what was counted, and the longest time one chunk took."""
    counts: Counter[str] = Counter()

    def count(what: str, events: int = 1) -> None:
        counts[what] += events

    stream = Assembler(
        Lines(Reading()), dict, lambda: 0.0, multiline=options, codec=Text() if decoded else None, count=count
    )
    events: list[Event] = []
    longest, data = 0.0, text.encode()
    for at in range(0, len(data), chunk):
        began = time.thread_time()
        ready = stream.feed(data[at : at + chunk])
        longest = max(longest, time.thread_time() - began)
        events += [event for batch, _ in ready for event in batch.events]
    events += [event for batch, _ in stream.finish() for event in batch.events]
    return events, counts, longest


@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize(
    "options", [Start(pattern=BAD), Continuation(pattern=BAD), Continuation(pattern=BAD, negate=True)]
)
def test_a_line_on_which_the_pattern_takes_too_long_begins_an_event_and_marks_it(
    options: Joining, decoded: bool
) -> None:
    """Nobody can say where it belongs; nothing is lost, and the loop turns on."""
    lines = ["good", "? more", POISON, "? more", "good", "good"]
    text = "\n".join(lines) + "\n"
    events, counts, _ = assembled(options, text, 10_000, decoded)
    assert "\n".join(event["message"] for event in events) == "\n".join(lines)
    assert [event["message"].split("\n")[0] for event in events if event.get("shipper_error") == MARK] == [POISON]
    assert sum("shipper_error" in event for event in events) == 1
    assert counts["regex_timeouts"] == 1
    assert at_best(3, options, text, 10_000, decoded) < 0.25


def test_a_flood_of_poison_stalls_for_a_moment() -> None:
    """64 KiB of such lines at once."""
    start, text = Start(pattern=BAD), (POISON + "\n") * 1500
    events, counts, _ = assembled(start, text, 2**16)
    assert at_best(3, start, text, 2**16) < 0.25
    assert len(events) == counts["regex_timeouts"] == 1500


@pytest.mark.parametrize("pattern", [r"^never$", r"^\d{4}-\d{2}", r"never|ever"])
@pytest.mark.parametrize("decoded", [False, True])
def test_an_event_that_never_ends_is_cut_at_the_caps(pattern: str, decoded: bool) -> None:
    """A million lines behind a start that does not come again: by lines and by bytes, at even cost, each line once."""
    count = 1_000_000 if not decoded else 100_000
    text = "2026 x\n" * count
    options = Start(pattern=re.compile(pattern), max_lines=500)
    began = time.thread_time()
    events, counts, longest = assembled(options, text, 2**16, decoded)
    assert time.thread_time() - began < 10
    assert longest < 0.25
    assert len(events) == count // 500
    assert {event["message"].count("\n") + 1 for event in events} == {500}
    assert counts["multiline_limits"] in (count // 500 - 1, count // 500)


def test_an_event_is_cut_by_bytes_too() -> None:
    """Lines of a kilobyte reach the bytes before the lines."""
    options = Start(pattern=re.compile("^never$"), max_bytes=Size(10_000))
    events, _, _ = assembled(options, ("x" * 999 + "\n") * 1000, 2**16)
    assert {len(event["message"]) for event in events} == {9_999}
    assert sum(event["message"].count("\n") + 1 for event in events) == 1000


def test_an_event_waits_no_longer_than_its_timeout() -> None:
    """When nothing more comes, what is held goes on."""
    now = 0.0
    options = Start(pattern=re.compile("^never$"), timeout=Duration(2))
    stream = Assembler(Lines(Reading()), dict, lambda: now, multiline=options)
    assert stream.feed(b"a\nb\n") == []
    assert stream.overdue() == []
    now = 2.0
    [(batch, _)] = stream.overdue()
    assert batch.events == [{"message": "a\nb"}]


def test_blank_lines_do_not_multiply() -> None:
    """`\\s+` stays within its line: 64 KiB of newlines take no quadratic time."""
    joiner = Joiner(Continuation(pattern=re.compile(r"^\s+at ")))
    began = time.thread_time()
    joiner.feed("\n" * 65_535)
    assert time.thread_time() - began < 0.25
