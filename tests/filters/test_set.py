"""The filter `set`."""

from __future__ import annotations

import copy
from typing import Any

from shipper import Batch, Event
from shipper.batch import merged
from shipper.filters.set import Set
from shipper.testing import check_filter, filtered


def whole(subject: Set, events: list[Event], attrs: dict[str, Any]) -> list[Event]:
    """Events as they will be encoded, with attributes; and that those that came were not changed."""
    attrs_before = copy.deepcopy(attrs)
    batch = subject.apply(Batch(copy.deepcopy(events), attrs=attrs))
    assert attrs == attrs_before
    return [merged(event, batch.attrs) for event in batch.events]


def test_templates_and_values() -> None:
    """A text is a template over the event as it came; all else is set as it stands; what has no text is left out."""
    subject = Set(
        fields={"a": "{b}", "b": "{a}", "n": 2, "t": True, "none": None, "l": ["{a}"], "x": "{missing}", "d": "{y:z}"}
    )
    assert whole(subject, [{"a": 1, "b": "two"}, {"a": "q", "x": "kept"}], {}) == [
        {"a": "two", "b": "1", "n": 2, "t": True, "none": None, "l": ["{a}"], "d": "z"},
        {"a": "q", "b": "q", "x": "kept", "n": 2, "t": True, "none": None, "l": ["{a}"], "d": "z"},
    ]


def test_paths() -> None:
    """Mappings in between are made; those that an event or the attributes hold are completed, not shared or replaced."""
    subject = Set(fields={"labels.env": "prod", "k8s.pod": "{pod}"})
    assert whole(subject, [{"labels": {"app": "w"}, "pod": "p"}, {"pod": "q"}], {"k8s": {"node": "n"}}) == [
        {"labels": {"app": "w", "env": "prod"}, "pod": "p", "k8s": {"node": "n", "pod": "p"}},
        {"labels": {"env": "prod"}, "pod": "q", "k8s": {"node": "n", "pod": "q"}},
    ]


def test_replaces_own_fields_and_attributes() -> None:
    """The value is there afterwards, wherever the field was before."""
    assert whole(Set(fields={"host": "h"}), [{"host": "own"}, {}], {"host": "attr"}) == [{"host": "h"}, {"host": "h"}]
    assert whole(Set(fields={"host": "x-{host}"}), [{"host": "own"}, {}], {"host": "attr"}) == [
        {"host": "x-own"},
        {"host": "x-attr"},
    ]


def test_one_value_for_all_is_held_once() -> None:
    """What is the same for all, and is no event's own, becomes an attribute; raw lines stay raw."""
    batch = Set(fields={"env": "prod", "where.host": "{host}"}).apply(Batch(raw=b"a\nb", attrs={"host": "h"}))
    assert batch.raw == b"a\nb"
    assert batch.attrs == {"host": "h", "env": "prod", "where": {"host": "h"}}


def test_a_list_is_not_shared_between_events() -> None:
    """Each event gets a list or a mapping of its own, and never the configuration's."""
    value = ["a"]
    subject = Set(fields={"tags": value})
    first, second = filtered(subject, [{"tags": 1}, {"tags": 2}])
    first["tags"].append("b")
    assert (second["tags"], value) == (["a"], ["a"])
    attribute = subject.apply(Batch([{}])).attrs["tags"]
    assert attribute == ["a"]
    assert attribute is not value


def test_what_is_in_the_way_is_kept() -> None:
    """An event with a text where a mapping would have to be goes on as it came, and is reported."""
    subject = Set(fields={"b": 1, "a.b": "x"})
    before = [{"a": "text"}, {"a": {"c": 1}}]
    batch = subject.apply(Batch(before))
    assert batch.events == [{"a": "text"}, {"a": {"c": 1, "b": "x"}}]
    [(event, reason)] = subject.faults() or []
    assert event is before[0]
    assert reason == "a.b cannot be set: a is a str, not a mapping"
    marked = filtered(subject, [{}], {"a": "text"})
    assert marked == [{"shipper_error": reason}]


def test_check_names_what_is_wrong() -> None:
    """Every wrong path and template is reported with its name."""
    problems = list(Set(fields={"a b": 1, "c": "{", "d": "fine"}).check())
    assert [option for option, _ in problems] == ["fields", "fields"]
    assert problems[0][1].startswith("a b: ' ' at column 2")
    assert problems[1][1].startswith("c: ")


def test_contract() -> None:
    """It keeps the contract of a filter."""
    check_filter(lambda: Set(fields={"a": "{message}", "nested.b": 1, "message.x": 2}))
