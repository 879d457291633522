"""Patterns of users that can take for ever: they never hold the loop for long, and their events are marked."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from shipper import Batch, Condition, Event, FieldPath, Filter
from shipper.filters.keep import Keep
from shipper.filters.parse import Parse
from shipper.filters.redact import Redact
from shipper.pipeline.observe import PipelineFlow
from shipper.pipeline.step import Step
from shipper.text.patience import ALL, BOUND, LONG, PATIENCE, SLOW

STALL = 0.25
"""Seconds of CPU with one batch: the promise is the stall of the loop, which is this on a machine that is not overloaded."""
PATTERNS = [r"^(?P<words>(\w+\s?)*)$", r"(?P<letters>(a+)+)$"]
LINES = ["a" * 26 + "!", "a" * 40 + "!", "aa " * 20 + "a" * 30 + "!", "a" * 1000 + "!"]


@pytest.fixture(autouse=True)
def rested() -> None:
    """The budget for slow texts is the process's: each test finds it full."""
    PATIENCE._left = ALL


def stalled(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def faults(subject: Filter) -> Counter[str]:
    return Counter(reason for _, reason in subject.faults() or ())


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("line", LINES, ids=len)
@pytest.mark.parametrize("raw", [True, False])
def test_a_chunk_of_poison_stalls_for_a_moment(pattern: str, line: str, raw: bool) -> None:
    """64 KiB of lines on which the pattern would take years: every one of them goes on as it came, named."""
    parse = Parse(format="regex", pattern=re.compile(pattern))
    count = 65536 // len(line)
    events: list[Event] = [{"message": line} for _ in range(count)]
    batch = Batch(raw="\n".join([line] * count).encode()) if raw else Batch([*map(dict, events)])
    assert stalled(lambda: parse.apply(batch)) < STALL
    assert batch.events == events
    found = faults(parse)
    assert found.total() == count
    assert all("the pattern" in reason for reason in found), found
    assert parse.scope.counters["regex_timeouts", ()] == count


def test_good_neighbours_are_parsed() -> None:
    """One line in fifty is poison: the others are read as ever, and only it is named."""
    parse = Parse(format="regex", pattern=re.compile(r"^(?P<words>(\w+\s?)*)$"))
    lines = ["a" * 40 + "!" if number % 50 == 7 else f"good line {number}" for number in range(1000)]
    batch = Batch(raw="\n".join(lines).encode())
    assert stalled(lambda: parse.apply(batch)) < STALL
    assert [event.get("words") for event in batch.events] == [
        None if number % 50 == 7 else f"good line {number}" for number in range(1000)
    ]
    assert faults(parse) == {f"parse: {SLOW}": 20}


def test_a_line_too_long_for_a_risky_pattern_is_named() -> None:
    """Beyond 8 Ki characters it is not tried; its neighbours are."""
    parse = Parse(format="regex", pattern=re.compile(r"^(?P<words>(\w+\s?)*)$"))
    batch = parse.apply(Batch(raw=b"good\n" + b"a" * (BOUND + 1) + b"\ngood"))
    assert [event.get("words") for event in batch.events] == ["good", None, "good"]
    assert faults(parse) == {f"parse: {LONG}": 1}


def test_safe_patterns_have_no_such_bound() -> None:
    """A line of 60 KiB is read by a pattern that takes no more time than the line is long."""
    parse = Parse(format="regex", pattern=re.compile(r"^(?P<head>\w+) (?P<rest>.*)$"))
    assert parse.apply(Batch(raw=b"go " + b"a" * 60_000)).events == [{"head": "go", "rest": "a" * 60_000}]


@pytest.mark.parametrize("fields", [False, True])
@pytest.mark.parametrize("raw", [True, False])
def test_redact_lets_nothing_through_that_it_could_not_search(raw: bool, fields: bool) -> None:
    """Values on which a pattern takes too long are faults, which `redact` dead-letters; the others are redacted."""
    options: dict[str, Any] = {"patterns": {"words": re.compile(r"(?P<value>(\d+)+)x")}, "detect": ["email"]}
    if fields:
        options["fields"] = [FieldPath("message")]
    redact = Redact(**options)
    good, poison = "ann@example.com has 123x", "1" * 40
    lines = [poison if number % 50 == 7 else good for number in range(500)]
    batch = Batch(raw="\n".join(lines).encode()) if raw else Batch([{"message": line} for line in lines])
    made: list[Batch] = []
    assert stalled(lambda: made.append(redact.apply(batch))) < STALL
    out = made[0]
    given = redact.faults() or []
    assert [event["message"] for event, _ in given] == [poison] * 10
    assert {reason for _, reason in given} == {f"redact: {SLOW}"}
    named = {id(event) for event, _ in given}
    assert len(named & {id(event) for event in out.events}) == 10
    assert {event["message"] for event in out.events if id(event) not in named} == {"[email] has [words]x"}
    assert redact.scope.counters["regex_timeouts", ()] == 10
    assert redact.scope.counters["redacted", (("detector", "words"),)] == 490
    assert redact.scope.counters["redacted", (("detector", "email"),)] == 490


def test_redact_names_what_is_too_long_to_be_searched() -> None:
    """More than 8 Ki characters and a risky pattern: a fault; with a safe one it is searched."""
    long = "1" * (BOUND + 1)
    risky = Redact(patterns={"n": re.compile(r"(\d+)+x")})
    risky.apply(Batch([{"message": "1x"}, {"message": long}]))
    assert faults(risky) == {f"redact: {LONG}": 1}
    safe = Redact(patterns={"n": re.compile(r"^\d+$")})
    assert safe.apply(Batch([{"message": long}])).events == [{"message": "[n]"}]
    assert not safe.faults()


def test_an_allowance_that_takes_too_long_is_a_fault() -> None:
    """Nobody can say whether the value was allowed: the event goes nowhere."""
    redact = Redact(detect=["email"], allow=["/(a|aa)+(@|!)/", "/(?:b|bb)+@example[.]com/"])
    redact.apply(Batch([{"message": "b@example.com"}, {"message": "a" * 60 + "@example.com"}, {"message": "x@y.com"}]))
    assert faults(redact) == {f"redact: {SLOW}": 1}


def through(subject: Filter, events: list[Event]) -> tuple[list[Event], list[tuple[str, Event, str]], PipelineFlow]:
    flow = PipelineFlow("main")
    dead: list[tuple[str, Event, str]] = []
    out = Step("it", subject, flow)(Batch(events), dead)
    return out.events, dead, flow


def test_keep_drops_nothing_that_it_could_not_judge() -> None:
    """A condition that takes too long on an event marks it, and it goes on; it is no error of the filter's."""
    keep = Keep(when=Condition(r"matches(message, r'^(\w+\s?)*$')"))
    poison = "a" * 40 + "!"
    events, dead, flow = through(keep, [{"message": "good"}, {"message": poison}, {"message": "?"}])
    assert events == [{"message": "good"}, {"message": poison, "shipper_error": f"it: when: {SLOW}"}]
    assert not dead
    assert flow.drops == {("it", "filtered"): 1}
    assert keep.scope.counters["regex_timeouts", ()] == 1


def test_a_when_that_takes_too_long_asks_on_error() -> None:
    """`redact` behind such a condition dead-letters the event, as it does with all it cannot treat; order is kept."""
    redact = Redact(detect=["email"], when=Condition(r"matches(message, r'^(\w+\s?)*$')"))
    events, dead, _ = through(redact, [{"message": "a"}, {"message": "a" * 40 + "!"}, {"message": "?"}])
    assert events == [{"message": "a"}, {"message": "?"}]
    assert [(event["message"][:3], reason) for _, event, reason in dead] == [("aaa", f"when: {SLOW}")]


def test_several_bad_patterns_share_one_budget() -> None:
    """Five filters with poison for each hold the loop no longer than one does."""
    batch = Batch([{"message": "a" * 40 + "!"} for _ in range(100)])
    several = [Redact(patterns={f"p{n}": re.compile(rf"(a+)+{n}")}) for n in range(5)]

    def work() -> None:
        for each in several:
            each.apply(batch)

    assert stalled(work) < STALL
