"""Ids stay with their events through everything that a pipeline does to them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper import Attrs, Event, EventFilter, Filter, Template
from shipper.batch import ID, Batch
from shipper.filters.drop import Drop
from shipper.filters.enrich import Enrich
from shipper.filters.parse import Parse
from shipper.filters.python import Python
from shipper.filters.redact import Redact
from shipper.filters.remove import Remove
from shipper.filters.rename import Rename
from shipper.filters.sample import Sample
from shipper.filters.set import Set
from shipper.text.conditions import Condition
from shipper.text.formats.lines import Found
from shipper.text.ids import Counted, carried, distinct, marked, parted, unlabelled
from shipper.text.paths import FieldPath

LINES = b'{"n": 1, "_shipper_id": "forged"}\n{"n": 2, "mail": "ann@example.com"}\n{"n": 3}'
IDS = ["f-0", "f-9", "f-1b"]


def raw() -> Batch:
    return Batch(raw=LINES, ids=IDS)


def made() -> Batch:
    batch = raw()
    assert [event[ID] for event in batch.events] == IDS
    return batch


def ids(batch: Batch) -> list[str | None]:
    return [event.get(ID) for event in batch.events]


class Fresh(EventFilter):
    """Makes something new of each event, as an author may."""

    def event(self, event: Event, attrs: Attrs) -> Event | None:
        return {"was": event["message"]}


@pytest.mark.parametrize("batch", [raw, made])
@pytest.mark.parametrize(
    "subject",
    [
        Parse(format="json"),
        Parse(format="json", keep_original=True),
        Parse(format="json", target=FieldPath("_shipper_id.x")),
        Parse(format="auto"),
        Parse(format="regex", pattern=re.compile("(?P<_shipper_id>.)")),
        Redact(detect=["email"], patterns={"all": re.compile(".+")}),
        Redact(detect=["email"], patterns={"all": re.compile(".+")}, fields=[FieldPath("message")]),
        Set(fields={"a.b": "x", "c": "{message}"}),
        Rename(fields={"message": FieldPath("text")}),
        Remove(fields=[FieldPath("message")]),
        Enrich(fields={"team": Template("shop")}),
        Fresh(),
    ],
    ids=lambda subject: type(subject).__name__ if isinstance(subject, Filter) else None,
)  # fmt: skip
def test_filters_leave_them_alone(subject: Filter, batch: object) -> None:
    """Whatever a filter does to an event, and whatever its text says, its id is the one it came with."""
    assert ids(subject.apply(batch())) == IDS  # type: ignore[operator]


@pytest.mark.parametrize("batch", [raw, made])
def test_events_that_end_take_theirs_along(batch: object) -> None:
    """Where some events end, the others keep their own."""
    some = Sample(rate=0.5, seed=3).apply(batch())  # type: ignore[operator]
    assert 0 < len(some) < 3
    rows = LINES.decode().split("\n")
    assert [(event["message"], event[ID]) for event in some.events] == [
        (row, name) for row, name in zip(rows, IDS, strict=True) if row in [event["message"] for event in some.events]
    ]
    left = Drop(when=Condition("'ann' in message")).apply(batch())  # type: ignore[operator]
    assert ids(left) == ["f-0", "f-1b"]


def test_a_filter_that_fails_loses_none() -> None:
    """A filter that raises leaves the batch as it came, ids included."""
    batch = Batch([{"message": '{"n": 1}', "x": 1, ID: "f-0"}, {"message": "{}", "x": 2, ID: "f-4"}])
    parse = Parse(format="json")

    def bug(text: str) -> Found:
        raise RuntimeError("a bug")

    assert parse._reader is not None
    parse._reader = replace(parse._reader, text=bug)
    with pytest.raises(RuntimeError):
        parse.apply(batch)
    assert ids(batch) == ["f-0", "f-4"]


FUNCTIONS = {
    "one": ("return {'n': 1}", ["f-0", "f-4"]),
    "same": ("return event", ["f-0", "f-4"]),
    "two": ("return [event, {'n': 2}]", ["f-0-0", "f-0-1", "f-4-0", "f-4-1"]),
    "twice": ("return [event, event]", ["f-0-0", "f-0-1", "f-4-0", "f-4-1"]),
    "listed": ("return [event]", ["f-0", "f-4"]),
    "some": ("return event if event['message'] == 'b' else None", ["f-4"]),
    "broken": ("raise ValueError(event)", ["f-0", "f-4"]),
    "blind": ("assert '_shipper_id' not in event; return event", ["f-0", "f-4"]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_python_functions_neither_see_nor_lose_them(name: str, tmp_path: Path) -> None:
    """The function gets the event without its id; what it gives has it, and each of several has one of its own."""
    body, wanted = FUNCTIONS[name]
    (tmp_path / "f.py").write_text(f"def process(event):\n    {body}\n")
    batch = Batch([{"message": "a", ID: "f-0"}, {"message": "b", ID: "f-4"}], attrs={"host": "h"})
    subject = Python(file=tmp_path / "f.py")
    assert ids(subject.apply(batch)) == wanted
    assert bool(subject.faults()) is (name == "broken")


def test_copies_and_parts_have_them() -> None:
    """A copy of a batch has its ids, be they in the events or beside the lines."""
    assert ids(raw().copy()) == ids(made().copy()) == IDS
    assert parted(raw())[0] == parted(made())[0] == IDS
    assert parted(Batch(raw=b"a\nb"))[0] == [None, None]


@pytest.mark.parametrize("batch", [raw, made])
def test_who_wants_none_gets_none(batch: object) -> None:
    """Without its ids a batch is as if there had been none, and the one given keeps them."""
    given = batch()  # type: ignore[operator]
    bare = unlabelled(given)
    assert bare.events == [{"message": line} for line in LINES.decode().split("\n")]
    assert ids(given) == IDS


@pytest.mark.parametrize("batch", [raw, made])
def test_another_way_makes_other_ids(batch: object) -> None:
    """By a second pipeline the same line is another document."""
    given = batch()  # type: ignore[operator]
    assert ids(marked(given, "@errors")) == [f"{name}@errors" for name in IDS]
    assert ids(given) == IDS


def test_numbers_at_receipt() -> None:
    """64 random bits and a number that goes on; two sources never share one."""
    one, other = Counted(), Counted()
    first, second = one(2), one(1)
    assert [name.split("-")[1] for name in first + second] == ["0", "1", "2"]
    assert {name.split("-")[0] for name in first + second}.isdisjoint(name.split("-")[0] for name in other(2))
    assert re.fullmatch("[0-9a-f]{16}-0", first[0])


@given(st.lists(st.sampled_from([None, "a", "b", "a-1", "a-2", "a-1-1"])))
def test_equal_ones_are_told_apart(given: list[str | None]) -> None:
    """No two are equal, the first of equal ones keeps its own, and the same list gives the same."""
    found = distinct(given)
    named = [name for name in found if name is not None]
    assert len(set(named)) == len(named) and distinct(given) == found
    assert [name is None for name in found] == [name is None for name in given]
    for at, name in enumerate(given):
        if name not in given[:at]:
            assert found[at] == name


def test_ids_of_what_was_made_of_one() -> None:
    """Nothing of none; the id itself for one; a number behind it for several, at each generation another."""
    assert carried("f-0", []) == [] and carried(None, [{}]) == [{}]
    (one,) = carried("f-0", [{}])
    several = [deep for each in carried("f-0", [{}, {}]) for deep in carried(each[ID], [{}, {}])]
    assert one == {ID: "f-0"} and [each[ID] for each in several] == ["f-0-0-0", "f-0-0-1", "f-0-1-0", "f-0-1-1"]


def test_too_few_ids_are_none() -> None:
    """Where a filter made other events of the lines than one each, nobody guesses which is which."""
    batch = raw()
    batch.events = [{"message": "all of them"}]
    assert batch.events == [{"message": "all of them"}]
