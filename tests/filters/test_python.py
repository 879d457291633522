"""The filter `python`."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from shipper import Batch, Event
from shipper.batch import merged
from shipper.filters.python import Python
from shipper.testing import check_filter, filtered

CODE = """
import json

LIMIT = 3
seen = []

def process(event):
    seen.append(event)
    event["n"] = event["n"] * 2
    event["seen"] = len(seen)
    return event

def split(event):
    return [{"part": part} for part in event["message"].split()]

def twice(event):
    return [event, event]

def only_big(event):
    return event if event["n"] > LIMIT else None

def wrong(event):
    return {"a": "text", "b": [event, 1]}.get(event["kind"], 7)

def breaks(event):
    event["labels"]["x"] = "changed"
    helper(event)

def helper(event):
    raise KeyError("amount")

def leaves(event):
    raise SystemExit

async def later(event):
    return event
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def test_an_event_a_list_or_nothing(file: Path) -> None:
    """The function changes, multiplies or drops events."""
    assert filtered(Python(file=file), [{"n": 1}, {"n": 2}]) == [{"n": 2, "seen": 1}, {"n": 4, "seen": 2}]
    assert filtered(Python(file=file, function="split"), [{"message": "a b"}, {"message": ""}]) == [
        {"part": "a"},
        {"part": "b"},
    ]
    assert filtered(Python(file=file, function="twice"), [{"n": 1}], {"host": "h"}) == [{"n": 1}, {"n": 1}]
    assert filtered(Python(file=file, function="only_big"), [{"n": 1}, {"n": 9}]) == [{"n": 9}]


def test_attributes_are_merged_in(file: Path) -> None:
    """The function sees what is true of the batch, can change and remove it, and changes nothing but its own event."""
    file.write_text(
        "def process(e):\n e['k8s']['pod'] += '!'\n del e['host']\n e['file'] = e.get('f', e['file'])\n return e\n"
    )
    attrs = {"host": "h", "file": "/x", "k8s": {"pod": "p"}, "peer": "1.2.3.4"}
    before = [{"f": "/y", "k8s": {"pod": "own"}}, {"a": 1}]
    batch = Python(file=file).apply(Batch(list(before), attrs=attrs))
    assert [merged(event, batch.attrs) for event in batch.events] == [
        {"f": "/y", "file": "/y", "k8s": {"pod": "own!"}, "peer": "1.2.3.4"},
        {"a": 1, "file": "/x", "k8s": {"pod": "p!"}, "peer": "1.2.3.4"},
    ]
    assert batch.attrs == {"peer": "1.2.3.4"}  # untouched by all, so still held once
    assert attrs["k8s"] == {"pod": "p"}
    assert before == [{"f": "/y", "k8s": {"pod": "own"}}, {"a": 1}]


def test_an_exception_is_that_events_fault(file: Path) -> None:
    """An event whose function raises goes on as it came; the reason says the exception, its message and the line."""
    subject = Python(file=file, function="breaks")
    events: list[Event] = [{"labels": {"x": 1}}]
    batch = subject.apply(Batch(events, attrs={"host": "h"}))
    assert [merged(event, batch.attrs) for event in batch.events] == [{"host": "h", "labels": {"x": 1}}]
    [(event, reason)] = subject.faults() or []
    assert event is batch.events[0]
    line = 1 + CODE[: CODE.index("raise KeyError")].count("\n")
    assert reason == f"KeyError: 'amount' ({file}:{line})"
    [left] = filtered(Python(file=file, function="leaves"), [{}])
    assert left["shipper_error"].startswith("SystemExit (")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("a", "something of type str"),
        ("b", "a list with something else than dicts"),
        ("c", "something of type int"),
        ("d", "something of type int"),
    ],
)
def test_other_results_are_a_fault(file: Path, kind: str, what: str) -> None:
    """Anything but an event, a list of events or None is reported."""
    reason = f"wrong gave {what}; expected a dict, a list of dicts, or None"
    subject = Python(file=file, function="wrong")
    assert filtered(subject, [{"kind": kind}]) == [{"kind": kind, "shipper_error": reason}]


def test_each_instance_loads_it_anew(file: Path) -> None:
    """A reload runs what is in the file now, and instances share no state."""
    first = Python(file=file)
    assert filtered(first, [{"n": 1}]) == [{"n": 2, "seen": 1}]
    assert filtered(Python(file=file), [{"n": 1}]) == [{"n": 2, "seen": 1}]
    file.write_text("def process(e):\n return {'new': 1}\n")
    assert filtered(Python(file=file), [{"n": 1}]) == [{"new": 1}]
    assert filtered(first, [{"n": 1}]) == [{"n": 2, "seen": 2}]


@pytest.mark.parametrize(
    ("code", "function", "option", "what"),
    [
        (None, "process", "file", "cannot be read: No such file"),
        ("def process(e):\n  return (\n", "process", "file", "mine.py:2: '(' was never closed"),
        ("\n\n1 / 0", "process", "file", "it fails when it is loaded: ZeroDivisionError: division by zero ("),
        ("raise SystemExit", "process", "file", "it fails when it is loaded: SystemExit ("),
        ("\0", "process", "file", "null bytes"),
        (CODE, "nope", "function", "there is process, split, twice, only_big, wrong, breaks, helper, leaves, later"),
        (CODE, "LIMIT", "function", "LIMIT is no function in"),
        (CODE, "later", "function", "later is async"),
        ("", "process", "function", "process does not exist in"),
    ],
)
def test_check_says_what_is_wrong(tmp_path: Path, code: str | None, function: str, option: str, what: str) -> None:
    """What cannot work is said before anything runs, with the file and the line."""
    file = tmp_path / "mine.py"
    if code is not None:
        file.write_text(code)
    [(found, sentence)] = Python(file=file, function=function).check()
    assert found == option
    assert what in sentence
    if "fails" in what and "Zero" in what:
        assert sentence.endswith("mine.py:3)")


def test_nothing_wrong(file: Path) -> None:
    """A file that works is no problem."""
    assert list(Python(file=file).check()) == []


def test_contract(file: Path) -> None:
    """It keeps the contract of a filter."""
    file.write_text("def process(e):\n e['nested'] = 1\n return e\n")
    check_filter(lambda: Python(file=file))


def test_an_event_nested_too_deep_for_python(file: Path) -> None:
    """What was read as JSON with a thousand levels reaches the function like any other event."""
    event = orjson.loads('{"n":5,"deep":' + '{"in":' * 1000 + "1" + "}" * 1001)
    subject = Python(file=file, function="only_big")
    (found,) = subject.apply(Batch([event])).events
    assert found["n"] == 5 and not subject.faults()
