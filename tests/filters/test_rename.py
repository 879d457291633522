"""The filter `rename`."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shipper import Batch, Event, FieldPath
from shipper.batch import merged
from shipper.filters.rename import Rename
from shipper.testing import check_filter


def rename(fields: dict[str, str]) -> Rename:
    return Rename(fields={source: FieldPath(target) for source, target in fields.items()})


def whole(subject: Rename, events: list[Event], attrs: dict[str, Any]) -> list[Event]:
    """Events as they will be encoded; neither those that came nor their attributes are changed."""
    came, attrs_before, before = copy.deepcopy(events), copy.deepcopy(attrs), events
    batch = subject.apply(Batch(events, attrs=attrs))
    assert (attrs, before) == (attrs_before, came)
    return [merged(event, batch.attrs) for event in batch.events]


def test_moves_fields() -> None:
    """A field goes to its new name or place with its value, be it null; one that is missing is passed over."""
    subject = rename({"msg": "message", "lvl": "log.level", "http.verb": "method"})
    events: list[Event] = [{"msg": "m", "lvl": None, "http": {"verb": "GET", "code": 1}}, {"other": 1}]
    assert whole(subject, events, {}) == [
        {"http": {"code": 1}, "message": "m", "log": {"level": None}, "method": "GET"},
        {"other": 1},
    ]


def test_two_can_be_exchanged() -> None:
    """All are taken before any is put."""
    assert whole(rename({"a": "b", "b": "a"}), [{"a": 1, "b": 2}, {"a": 3}], {}) == [{"b": 1, "a": 2}, {"b": 3}]


def test_attributes_are_moved_for_all() -> None:
    """An attribute is moved as if each event had it; an event's own field of the name is moved instead of it."""
    attrs = {"host": "h", "k8s": {"pod": "p", "node": "n"}}
    subject = rename({"host": "agent", "k8s.pod": "pod"})
    assert whole(subject, [{}, {"host": "own"}], attrs) == [
        {"k8s": {"node": "n"}, "agent": "h", "pod": "p"},
        {"k8s": {"node": "n"}, "agent": "own", "pod": "p"},
    ]
    assert whole(subject, [{"k8s": {"x": 1}}], attrs) == [{"k8s": {"x": 1}, "agent": "h"}]


def test_a_target_below_an_attribute_completes_it() -> None:
    """The new place can be inside a mapping that is an attribute; what else is in it stays."""
    assert whole(rename({"name": "k8s.pod"}), [{"name": "p"}], {"k8s": {"node": "n"}}) == [
        {"k8s": {"node": "n", "pod": "p"}}
    ]
    assert whole(rename({"a.x": "a.y"}), [{"a": {"x": 1}}, {}], {"a": {"x": 2, "z": 3}}) == [
        {"a": {"y": 1}},
        {"a": {"z": 3, "y": 2}},
    ]


def test_lines_are_not_decoded_for_attributes() -> None:
    """Raw lines stay raw when only attributes are renamed, and when there is nothing to rename."""
    batch = rename({"file": "log.path"}).apply(Batch(raw=b"a\nb", attrs={"file": "/x"}))
    assert batch.raw == b"a\nb"
    assert batch.attrs == {"log": {"path": "/x"}}
    assert rename({"no": "where"}).apply(Batch(raw=b"a")).raw == b"a"


def test_what_is_in_the_way_is_kept() -> None:
    """An event whose new place is taken by a text goes on with all it had, and is reported."""
    subject = rename({"a": "b.c", "host": "h"})
    batch = subject.apply(Batch([{"a": 1, "b": "text"}, {"a": 2}], attrs={"host": "x"}))
    found = [merged(event, batch.attrs) for event in batch.events]
    assert found == [{"a": 1, "b": "text", "host": "x"}, {"b": {"c": 2}, "h": "x"}]
    [(event, reason)] = subject.faults() or []
    assert event is batch.events[0]
    assert reason == "b.c cannot be set: b is a str, not a mapping"


def test_check_names_what_is_wrong() -> None:
    """A name that is no path is reported."""
    [(option, sentence)] = rename({"a b": "c"}).check()
    assert option == "fields"
    assert sentence.startswith("a b: ")


def test_contract() -> None:
    """It keeps the contract of a filter."""
    check_filter(lambda: rename({"message": "nested.b", "nested.a": "message", "host": "h.x"}))


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from([1, None, "x", {"e": 1}])), max_size=5
    )
)
def test_moving_one_after_the_other_is_moving_all(events: list[Event]) -> None:
    """Where nothing is both taken from and put to, the quick way gives what the careful one gives, in the same order of fields."""
    quick, careful = (Rename(fields={"a": FieldPath("b"), "c": FieldPath("e")}) for _ in range(2))
    careful._plain.clear()
    made, expected = (each.apply(Batch([event.copy() for event in events])).events for each in (quick, careful))
    assert [list(event.items()) for event in made] == [list(event.items()) for event in expected]
