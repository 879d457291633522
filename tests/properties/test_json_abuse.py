"""Hostile JSON: one such line among a thousand costs itself at most, by a rule that is written down, and what goes out is JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper import Batch, Event, Output
from shipper.batch import Piece
from shipper.codecs.ndjson import Ndjson
from shipper.errors import Refused
from shipper.filters.parse import Parse
from shipper.options import Url
from shipper.outputs.elasticsearch import Elasticsearch
from shipper.outputs.file import File
from shipper.outputs.http import Http
from shipper.outputs.loki import Loki
from shipper.pipeline.observe import PipelineFlow
from shipper.pipeline.step import Step
from shipper.text.templates import Template

STALL = 0.25
RAW = "kept raw and marked"
DEEP = 10**5

# what is written, and what is read: a value of the field `a`, or that the line is kept raw
LINES: dict[str, tuple[str, Any]] = {
    "objects, 100,000 deep": ('{"a":' * DEEP + "1" + "}" * DEEP, RAW),
    "arrays, 100,000 deep": ('{"a":' + "[" * DEEP + "]" * DEEP + "}", RAW),
    "objects, 100,000 deep, never closed": ('{"a":' * DEEP, RAW),
    "an integer of 5,000 digits": ('{"a":' + "9" * 5000 + "}", RAW),
    "an integer of 23 digits": ('{"a":' + "9" * 23 + "}", 1e23),
    "2^64": ('{"a":18446744073709551616}', 2.0**64),
    "2^64 - 1": ('{"a":18446744073709551615}', 2**64 - 1),
    "-2^63 - 1": ('{"a":-9223372036854775809}', -(2.0**63)),
    "NaN": ('{"a":NaN}', RAW),
    "Infinity": ('{"a":-Infinity}', RAW),
    "1e400": ('{"a":1e400}', RAW),
    "1e-400": ('{"a":1e-400}', 0.0),
    "equal keys": ('{"a":1,"a":{"b":1},"a":3}', 3),
    "a lone surrogate": (r'{"a":"\ud800"}', RAW),
    "a lone surrogate as a key": (r'{"\udfff":1}', RAW),
    "a pair of surrogates": (r'{"a":"\ud83d\ude00"}', "\U0001f600"),
    "NUL": (r'{"a":"\u0000"}', "\0"),
    "100,000 keys": ('{"a":0,' + ",".join(f'"k{number}":{number}' for number in range(10**5)) + "}", 0),
    "two objects": ('{"a":1}{"a":2}', RAW),
    "half an object": ('{"a":[1', RAW),
    "nothing": ("", RAW),
}
URL = Url("http://127.0.0.1:9")
OUTPUTS: dict[str, Callable[[], Output]] = {
    "elasticsearch": lambda: Elasticsearch(endpoints=[URL], index=Template("logs")),
    "elasticsearch with ids": lambda: Elasticsearch(endpoints=[URL], index=Template("logs"), id=Template("{n:none}")),
    "loki": lambda: Loki(url=URL, labels={"app": Template("x")}, line="json"),
    "loki, message": lambda: Loki(url=URL, labels={"app": Template("x")}, line="message"),
    "http": lambda: Http(url=URL, codec=Ndjson()),
    "file": lambda: File(path=Template("/nowhere/out.ndjson"), codec=Ndjson()),
}
LONGEST_LINE = 256 * 1024
"""Of Loki: a longer one is refused alone."""


def strictly(text: bytes | str) -> Any:
    """JSON as the RFC has it: no NaN, no lone surrogate."""

    def constant(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        value = json.loads(text, parse_constant=constant)
    finally:
        sys.setrecursionlimit(before)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def documents(name: str, pieces: list[Piece]) -> list[Any]:
    """The events that stand in what is sent, each read strictly."""
    bodies = [piece.body for piece in pieces]
    if name.startswith("loki"):
        assert all(piece.count == sum(len(each["values"]) for each in streams(piece)) for piece in pieces)
        lines = [line for piece in pieces for stream in streams(piece) for _, line, *_ in stream["values"]]
        return [strictly(line) if name == "loki" else line for line in lines]
    read = [strictly(line) for body in bodies for line in body.split(b"\n") if line]
    if name.startswith("elasticsearch"):
        assert all(set(action) == {"create"} for action in read[::2])
        return read[1::2]
    return read


def streams(piece: Piece) -> list[Any]:
    return list(strictly(b"[" + piece.body.strip(b",\n") + b"]"))


@pytest.mark.parametrize("line", LINES)
def test_one_hostile_line_in_a_thousand_costs_itself_at_most(line: str) -> None:
    """Its 999 neighbours are read and sent as ever, it by its rule, in a moment, through parse and every encoder."""
    text, value = LINES[line]
    lines = [f'{{"n":{number}}}' for number in range(999)]
    lines.insert(500, text)
    dead: list[tuple[str, Event, str]] = []
    step = Step("parse", Parse(format="json"), PipelineFlow("main"))
    began = time.thread_time()
    batch = step(Batch(raw="\n".join(lines).encode()), dead)
    assert time.thread_time() - began < STALL
    assert not dead
    events = batch.events
    good, odd = events[:500] + events[501:], events[500]
    assert good == [{"n": number} for number in range(999)]
    if value is RAW:
        assert odd == {"message": text, "shipper_error": "parse: parse: not json"}
    else:
        assert (odd["a"], type(odd["a"])) == (value, type(value))
    for name, make in OUTPUTS.items():
        subject = make()
        began = time.thread_time()
        made = list(subject.encode(batch))
        assert time.thread_time() - began < STALL, name
        refused = [each for each in made if isinstance(each, Refused)]
        pieces = [each for each in made if isinstance(each, Piece)]
        sent = documents(name, pieces)
        assert sum(piece.count for piece in pieces) == len(sent)
        assert len(sent) + len(refused) == 1000, name
        if "loki" in name and len(text) > LONGEST_LINE:
            assert [each.event for each in refused] == [odd]
        else:
            assert not refused, name


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_is_too_deep_to_be_written_is_refused_alone(name: str) -> None:
    """Three hundred levels can be read and not written: 999 go, and the one is set aside with the reason."""
    text = '{"a":' * 300 + "1" + "}" * 300
    lines = [f'{{"n":{number}}}' for number in range(999)]
    lines.insert(500, text)
    batch = Parse(format="json").apply(Batch(raw="\n".join(lines).encode()))
    made = list(OUTPUTS[name]().encode(batch))
    refused = [each for each in made if isinstance(each, Refused)]
    assert [each.event["a"] for each in refused] == [batch.events[500]["a"]]
    assert refused[0].reason.startswith("json: ")
    assert len(documents(name, [each for each in made if isinstance(each, Piece)])) == 999


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", OUTPUTS)
@given(events=st.lists(st.dictionaries(st.text(st.characters(), max_size=4), VALUES, max_size=4), max_size=8))
def test_whatever_a_plugin_makes_what_goes_out_is_json(name: str, events: list[Event]) -> None:
    """NaN, integers beyond 64 bits, lone surrogates: each event is valid JSON in what is sent, or refused alone."""
    made = list(OUTPUTS[name]().encode(Batch([{"n": 1}, *events, {"n": 2}])))
    pieces = [each for each in made if isinstance(each, Piece)]
    sent = documents(name, pieces)
    assert len(sent) + sum(isinstance(each, Refused) for each in made) == len(events) + 2
    if name != "loki, message":
        assert {"n": 1}.items() <= sent[0].items()
        assert {"n": 2}.items() <= sent[-1].items()
