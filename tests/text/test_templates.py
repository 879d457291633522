"""Templates."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper import FieldPath, Template
from shipper.batch import Batch
from shipper.text.templates import grouped

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just(["a"])
EVENTS = st.lists(st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3), max_size=5)


@given(st.text(alphabet=st.sampled_from("{}%sa.: \n"), max_size=20))
def test_braces_round_trip(text: str) -> None:
    """Any text is a template of itself once its braces are doubled."""
    template = Template(text.replace("{", "{{").replace("}", "}}"))
    assert template.literal == text == template.prefix
    assert template.render({}) == text
    assert template.each(Batch([{}, {}])) == text


@given(EVENTS, st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=2))
def test_each_is_render_of_each(events: list[dict[str, Any]], attrs: dict[str, Any]) -> None:
    """For a whole batch the texts are those of its events one by one, however they are computed."""
    for text in ("{a}", "%s{{{a}%-{b:x}}}", "{a:}{b}%d{c:%Y}", "{x.y}", "no %s"):
        template = Template(text)
        expected = [template.render(event, attrs) for event in events]
        found = template.each(Batch(copy.deepcopy(events), attrs=attrs))
        assert (found if isinstance(found, list) else [found] * len(events)) == expected


@given(EVENTS)
def test_groups_hold_all_events_in_order(events: list[dict[str, Any]]) -> None:
    """Grouping moves no event between texts, loses none, and keeps the order within a text."""
    template = Template("{a}")
    for text, part in grouped(Batch(list(events)), template):
        assert [id(event) for event in part.events] == [id(event) for event in events if template.render(event) == text]
    assert sum(len(part) for _, part in grouped(Batch(list(events)), template)) == len(events)


def test_values_as_json_has_them() -> None:
    """Strings as they are, numbers and booleans as in JSON; a mapping or a list is no text."""
    template = Template("<{v}>")
    shown = [template.render({"v": value}) for value in ("a b", 7, 1.5, True, False, 0, "")]
    assert shown == ["<a b>", "<7>", "<1.5>", "<true>", "<false>", "<0>", "<>"]
    assert [template.render({"v": value}) for value in ({}, [], None, float("nan"))] == [None] * 4
    assert Template("{v:d}").render({"v": {}}) is None


def test_defaults() -> None:
    """A default stands for what is missing or null, and may be empty; without one there is no text."""
    assert Template("logs-{service:app}").render({}) == "logs-app"
    assert Template("logs-{service:app}").render({"service": None}) == "logs-app"
    assert Template("a{b:}c").render({}) == "ac"
    assert Template("{a:x:y}").render({}) == "x:y"
    assert Template("a{b}c").render({}) is None


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2026-11-22T23:59:59Z", "2026.11.22"),
        ("2026-11-22T23:59:59.123456789Z", "2026.11.22"),
        ("2026-11-22T23:59:59-02:00", "2026.11.23"),
        ("2026-11-22T00:30:00+09:00", "2026.11.21"),
        ("2026-11-22 23:59:59", "2026.11.22"),
        (1_795_392_000, "2026.11.23"),
        (1_795_391_999.9, "2026.11.22"),
        (1_795_392_000_000, "2026.11.23"),
        (1_795_392_000_000_000, "2026.11.23"),
        (1_795_392_000_000_000_000, "2026.11.23"),
        ("1795392000", "2026.11.23"),
        ("yesterday", None),
        ("2026-13-22T23:59:59Z", None),
        ("x" * 100_000, None),
        (True, None),
        (10**400, None),
        (None, None),
        ({}, None),
    ],
)
def test_times_in_utc(value: Any, day: str | None) -> None:
    """RFC 3339 strings and numbers since 1970 become dates in UTC; what cannot be read has no text, twice as well."""
    template = Template("{timestamp:%Y.%m.%d}")
    assert [template.render({"timestamp": value}) for _ in range(2)] == [day, day]


def test_finer_times_are_not_taken_for_each_other() -> None:
    """What is remembered for one second, or one microsecond, is not given for the next."""
    second, micro = Template("{t:%H:%M:%S}"), Template("{t:%S.%f}")
    for end in ("05.1Z", "06.1Z", "06.2Z"):
        assert second.render({"t": f"2026-11-22T10:00:{end}"}) == f"10:00:{end[:2]}"
        assert micro.render({"t": f"2026-11-22T10:00:{end}"}) == f"{end[:4]}00000"


def test_reads_through_attributes_without_decoding() -> None:
    """A template that reads only attributes is one text for a batch of raw lines, which stays raw."""
    batch = Batch(raw=b"a\nb", attrs={"kubernetes": {"namespace": "prod"}})
    template = Template("{kubernetes.namespace}-{kubernetes.pod:none}")
    assert template.each(batch) == "prod-none"
    assert grouped(batch, template) == [("prod-none", batch)]
    assert batch.raw == b"a\nb"
    assert Template("{host}").each(batch) is None


def test_groups_keep_attributes_and_order() -> None:
    """Events without a text are a group of their own; each group has the attributes; one group is the batch itself."""
    batch = Batch([{"a": 1}, {"b": 0}, {"a": 2}, {"a": 1, "n": 2}], attrs={"host": "h"}, size=400)
    parts = grouped(batch, Template("{a}"))
    assert [(text, part.events) for text, part in parts] == [
        ("1", [{"a": 1}, {"a": 1, "n": 2}]),
        (None, [{"b": 0}]),
        ("2", [{"a": 2}]),
    ]
    assert all(part.attrs == {"host": "h"} for _, part in parts)
    assert sum(part.size for _, part in parts) == 400
    same = Batch([{"a": 1}, {"a": "1"}])
    assert grouped(same, Template("{a}"))[0][1] is same


def test_what_it_knows_of_itself() -> None:
    """It names its fields and the text in front of the first; it is a value that can be pickled."""
    template = Template('/var/{{log}}/{labels."a:b"}-{timestamp:%Y}.log')
    assert template.fields == (FieldPath('labels."a:b"'), FieldPath("timestamp"))
    assert template.prefix == "/var/{log}/"
    assert template.literal is None
    assert template.render({"labels": {"a:b": "x"}, "timestamp": 0}) == "/var/{log}/x-1970.log"
    assert pickle.loads(pickle.dumps(template)) == template != Template("a")
    assert repr(template) == f"Template({template.text!r})"
    with pytest.raises(AttributeError):
        template.text = "b"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a{b", "{ at column 2 of 'a{b' is never closed"),
        ("a}b", "} at column 2 of 'a}b' closes nothing"),
        ("{}", "'}' at column 2"),
        ("{a b}", "' ' at column 3"),
        ("{a.}", "'}' at column 4"),
        ("{a:{b}}", "'{' at column 4"),
        ("{t:%Q}", "%Q is no part of a time"),
        ("{t:%Y-%}", "% is no part of a time"),
    ],
)
def test_errors_say_what_and_where(text: str, what: str) -> None:
    """What is no template is refused with the column and what was expected."""
    with pytest.raises(ValueError, match="expected ") as error:
        Template(text)
    assert what in str(error.value)
