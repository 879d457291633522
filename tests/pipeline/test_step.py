"""One filter in a chain: its condition, and what becomes of what it cannot treat."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.batch import Batch, Event
from shipper.component import Filter
from shipper.filters.enrich import Enrich
from shipper.filters.parse import Parse
from shipper.filters.redact import Redact
from shipper.filters.remove import Remove
from shipper.filters.rename import Rename
from shipper.filters.set import Set
from shipper.pipeline.observe import PipelineFlow
from shipper.pipeline.step import Step
from shipper.text.conditions import Condition
from shipper.text.paths import FieldPath
from shipper.text.templates import Template

FILTERS: list[tuple[type[Filter], dict[str, Any]]] = [
    (Set, {"fields": {"a": "{b}-{host}", "team": "red"}}),
    (Set, {"fields": {"a.b": 1, "c": {"d": []}}}),
    (Enrich, {"fields": {"a": Template("{b:none}"), "site": Template("x")}}),
    (Rename, {"fields": {"a": FieldPath("z"), "b": FieldPath("y")}}),
    (Rename, {"fields": {"a": FieldPath("b.c"), "host": FieldPath("machine")}}),
    (Remove, {"fields": [FieldPath("a"), FieldPath("host")]}),
    (Parse, {"format": "json", "field": FieldPath("a")}),
    (Parse, {"format": "logfmt", "field": FieldPath("a"), "target": FieldPath("b.x")}),
    (Redact, {"detect": ["email"]}),
]
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"n": st.integers(0, 3)},
        optional={
            "a": st.sampled_from(["x=1", '{"n":2}', "text", "ann@example.com", 1, None, {"b": 2}]),
            "b": st.sampled_from(["x", {"c": 1}, [1], ""]),
            "host": st.just("own"),
        },
    ),
    max_size=8,
)


def stepped(kind: type[Filter], options: dict[str, Any], events: list[Event], by_runs: bool) -> Any:
    component = kind(**options)
    if by_runs:
        component.one_each = False  # type: ignore[misc]  # of this one only
    flow, dead = PipelineFlow("main"), list[tuple[str, Event, str]]()
    given_in = copy.deepcopy(events)
    batch = Step("it", component, flow)(Batch(given_in, attrs={"host": "web"}), dead)
    whole = [{**batch.attrs, **event} for event in batch.events]
    return whole, dead, flow.filtered, flow.drops, flow.errors, component.scope.counters


@pytest.mark.parametrize("policy", ["pass", "drop", "dead_letter"])
@pytest.mark.parametrize(("kind", "options"), FILTERS)
@given(events=EVENTS)
def test_all_that_meet_a_condition_at_once_is_run_by_run(
    kind: type[Filter], options: dict[str, Any], policy: str, events: list[Event]
) -> None:
    """A filter that gives one event for each gets all that meet its condition together: the same comes out, in the same order."""
    options = {**options, "when": Condition("n > 1"), "on_error": policy}
    together, by_runs = (stepped(kind, options, events, runs) for runs in (False, True))
    assert together == by_runs


@pytest.mark.parametrize(("kind", "options"), FILTERS)
@given(events=EVENTS)
def test_what_is_beside_an_event_makes_no_difference(
    kind: type[Filter], options: dict[str, Any], events: list[Event]
) -> None:
    """The filters that say so give one event for each, the same as when it comes alone."""
    assert kind.one_each
    whole, *_ = stepped(kind, options, events, False)
    assert whole == [stepped(kind, options, [event], False)[0][0] for event in events]
