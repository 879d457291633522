"""Field paths."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper import FieldPath
from shipper.batch import Batch
from shipper.text.paths import MISSING

KEYS = st.sampled_from(["a", "b", "0", "1", "a.b", "x y", 'q"\\', "é", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.dictionaries(KEYS, VALUES, max_size=4)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(lambda keys: FieldPath.of(*keys))


def naive(keys: tuple[str, ...], event: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    """What a path means, said slowly."""
    value: Any = {**attrs, **event}
    for key in keys:
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return {**attrs, **event}.get(".".join(keys), MISSING)
    return value


@given(PATHS, EVENTS, EVENTS)
def test_get_and_has_are_the_naive_walk(path: FieldPath, event: dict[str, Any], attrs: dict[str, Any]) -> None:
    """Whatever the event and its attributes, the fast getters give what the slow walk gives."""
    expected = naive(path.keys, event, attrs)
    assert path.find(event, attrs) is expected
    assert path.get(event, attrs) is (None if expected is MISSING else expected)
    assert path.has(event, attrs) == (expected is not MISSING)


@given(PATHS)
def test_text_reads_back(path: FieldPath) -> None:
    """Any keys can be written as a path, which reads back as the same path."""
    again = FieldPath(path.text)
    assert again == path
    assert hash(again) == hash(path)
    assert again.keys == path.keys


@given(PATHS, EVENTS, EVENTS, VALUES)
def test_set_is_read_back_and_shares_nothing(
    path: FieldPath, event: dict[str, Any], attrs: dict[str, Any], value: Any
) -> None:
    """After `set` the field has the value, and neither the attributes nor what the event held before are changed."""
    held, attrs_before = dict(event), copy.deepcopy(attrs)
    before = copy.deepcopy(held)
    try:
        path.set(event, value, attrs)
    except ValueError as error:
        assert "cannot be set" in str(error)
        assert event == before
    else:
        assert path.get(event, attrs) == value
        assert path.has(event)
    assert held == before
    assert attrs == attrs_before


@given(PATHS, EVENTS)
def test_pop_takes_one_and_shares_nothing(path: FieldPath, event: dict[str, Any]) -> None:
    """`pop` gives what `get` gave; it changes the event alone, and nothing when the field was not there."""
    held = dict(event)
    before = copy.deepcopy(held)
    expected, there = path.get(event), path.has(event)
    assert path.pop(event) == expected
    assert held == before
    assert (event != before) == there


def test_own_field_wins_by_top_level_key() -> None:
    """An event's own top-level field hides the attribute of that name with all that is in it."""
    path = FieldPath("kubernetes.pod")
    attrs = {"kubernetes": {"pod": "web-1"}}
    assert path.get({}, attrs) == "web-1"
    assert path.get({"kubernetes": {}}, attrs) is None
    assert path.get({"kubernetes": {"pod": None}}, attrs) is None
    assert FieldPath("host").get({"host": None}, {"host": "a"}) is None


def test_quoted_keys_and_lists() -> None:
    """Odd keys are quoted, numbers find items of lists."""
    event = {"labels": {"app.kubernetes.io/name": "web", 'a"b': 1}, "items": [{"id": 7}], "0": "zero"}
    assert FieldPath('labels."app.kubernetes.io/name"').get(event) == "web"
    assert FieldPath(r'labels."a\"b"').get(event) == 1
    assert FieldPath("items.0.id").get(event) == 7
    assert FieldPath("items.1.id").get(event) is None
    assert FieldPath("0").get(event) == "zero"
    assert FieldPath("@timestamp").keys == ("@timestamp",)


def test_literal_dotted_key() -> None:
    """A top-level key with a dot is found where there is no nested field; `set` and `pop` mean the same field."""
    path = FieldPath("a.b")
    assert path.get({"a.b": 1}) == 1
    assert path.get({"a.b": 1, "a": {"b": 2}}) == 2
    assert path.get({"a": {"c": 0}}, {"a.b": 3}) == 3
    event = {"a.b": 1}
    path.set(event, 5)
    assert event == {"a.b": 5}
    assert path.pop(event) == 5
    assert event == {}


def test_set_refuses_to_overwrite_what_is_in_the_way() -> None:
    """A text where a mapping would have to be is kept, and the error names it."""
    event: dict[str, Any] = {"a": "text", "list": [1]}
    with pytest.raises(ValueError, match=r"a\.b cannot be set: a is a str, not a mapping"):
        FieldPath("a.b").set(event, 1)
    with pytest.raises(ValueError, match=r"list is a list of 1"):
        FieldPath("list.5").set(event, 1)
    FieldPath("list.1").set(event, 2)
    assert event == {"a": "text", "list": [1, 2]}


def test_within_a_batch() -> None:
    """A batch of raw lines is not decoded to learn that no line has a field of its own."""
    batch = Batch(raw=b"a\nb", attrs={"host": "h"})
    assert not FieldPath("host").within(batch)
    assert not FieldPath("kubernetes.pod").within(batch)
    assert batch.raw is not None
    assert FieldPath("a.b").within(Batch([{"c": 1}, {"a.b": 1}]))


def test_is_a_value() -> None:
    """A path does not change, can be pickled and copied, and prints as it was written."""
    path = FieldPath('a."b c"')
    assert str(path) == 'a."b c"'
    assert repr(path) == "FieldPath('a.\"b c\"')"
    assert pickle.loads(pickle.dumps(path)) == path == copy.deepcopy(path)
    assert path != FieldPath("a")
    with pytest.raises(AttributeError):
        path.text = "b"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the end at column 1 of ''"),
        ("a.", "the end at column 3 of 'a.'"),
        (".a", "'.' at column 1"),
        ("a..b", "'.' at column 3"),
        ("a b", "' ' at column 2"),
        ('a."b', "'\"' at column 3"),
        ('a."b"c', "'c' at column 6"),
        ("a[0]", "'[' at column 2"),
        ("{a}", "'{' at column 1"),
    ],
)
def test_errors_say_what_was_found_where_and_expected(text: str, what: str) -> None:
    """What is no path is refused with its column and an example of a path."""
    with pytest.raises(ValueError, match=r"expected a field path such as kubernetes\.labels\.app") as error:
        FieldPath(text)
    assert what in str(error.value)
