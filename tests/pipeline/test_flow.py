"""Filters in a chain, the fork, and the sums that must add up whatever they do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from delivery.helpers import Rig, rig

from shipper import Attrs, Batch, Condition, Event, EventFilter, Filter, Template
from shipper.codecs.ndjson import Ndjson
from shipper.delivery.dead_letters import DeadLetters
from shipper.errors import Unavailable
from shipper.filters.drop import Drop
from shipper.filters.enrich import Enrich
from shipper.filters.keep import Keep
from shipper.filters.set import Set
from shipper.pipeline.budget import Budget
from shipper.pipeline.chain import Pipeline
from shipper.pipeline.feed import Feed, deliver
from shipper.pipeline.fork import Branch, Fork
from shipper.pipeline.observe import InputFlow, OutputFlow, PipelineFlow
from shipper.pipeline.step import Step
from shipper.testing.clock import turns


def pipeline(subject: Rig, *filters: Filter, branches: list[Branch] | None = None, name: str = "main") -> Pipeline:
    flow = PipelineFlow(name)
    steps = [Step(type(each).__name__.lower(), each, flow) for each in filters]
    return Pipeline(steps, Fork(branches or [Branch(subject.stack)], flow), subject.dead, flow)


async def through(subject: Rig, pipe: Pipeline, events: list[Event], attrs: Attrs | None = None) -> list[Event]:
    """What arrives at the output for these events."""
    future = pipe(Batch(events, attrs=attrs or {}))
    async with asyncio.timeout(10):
        while not future.done():
            subject.stack.flush()
            await subject.clock.advance(1)
            await asyncio.sleep(0.001)
    await asyncio.sleep(0)  # who counts hears of it in the next turn
    assert pipe.flow.unaccounted == 0
    assert subject.flow.unaccounted == 0
    return subject.output.events_delivered


class Double(Filter):
    """Makes two events of each."""

    def apply(self, batch: Batch) -> Batch:
        batch.events = [copy for event in batch.events for copy in (event, dict(event))]
        return batch


class Fragile(EventFilter):
    """Fails on `bad` events, after it has begun to change them."""

    def event(self, event: Event, attrs: Attrs) -> Event | None:
        event["seen"] = event.get("seen", 0) + 1
        if event.get("bad"):
            raise ValueError("it is bad")
        return event


async def test_drops_are_counted_by_the_filter_that_dropped(tmp_path: Path) -> None:
    """An event that ends in a filter is accounted for under its name."""
    subject = rig(tmp_path)
    pipe = pipeline(subject, Drop(when=Condition("n == 2")))
    assert await through(subject, pipe, [{"n": 1}, {"n": 2}, {"n": 3}]) == [{"n": 1}, {"n": 3}]
    assert pipe.flow.drops == {("drop", "filtered"): 1}


async def test_made_events_are_counted(tmp_path: Path) -> None:
    """A filter that makes more events than it got does not disturb the sum."""
    subject = rig(tmp_path)
    pipe = pipeline(subject, Double())
    assert len(await through(subject, pipe, [{"n": 1}, {"n": 2}])) == 4
    assert pipe.flow.made == 2


async def test_an_error_is_contained(tmp_path: Path) -> None:
    """The event that makes a filter raise goes on as it came, marked; its neighbours are treated once."""
    subject = rig(tmp_path)
    pipe = pipeline(subject, Fragile())
    found = await through(subject, pipe, [{"n": 1}, {"n": 2, "bad": True}, {"n": 3}])
    assert found[0] == {"n": 1, "seen": 1}
    assert found[2] == {"n": 3, "seen": 1}
    assert found[1]["bad"] is True
    assert "seen" not in found[1]
    assert found[1]["shipper_error"] == "fragile: ValueError: it is bad"


@pytest.mark.parametrize("policy", ["drop", "dead_letter"])
async def test_on_error_decides(tmp_path: Path, policy: Any) -> None:
    """Dropped and counted, or set aside with the reason: never silently gone."""
    subject = rig(tmp_path)
    pipe = pipeline(subject, Fragile(on_error=policy))
    found = await through(subject, pipe, [{"n": 1}, {"n": 2, "bad": True}], {"host": "a"})
    assert [event["n"] for event in found] == [1]
    if policy == "drop":
        assert pipe.flow.drops == {("fragile", "error"): 1}
    else:
        assert pipe.flow.dead == {("fragile", "ValueError"): 1}
        text = subject.dead.path("fragile").read_text()
        assert '"event":{"host":"a","n":2,"bad":true}' in text


async def test_when_works_by_runs_and_keeps_order(tmp_path: Path) -> None:
    """Only the events that meet the condition are treated; the order stays."""
    subject = rig(tmp_path)
    pipe = pipeline(subject, Set(fields={"big": True}, when=Condition("n > 2")))
    found = await through(subject, pipe, [{"n": n} for n in (1, 3, 2, 5, 4)])
    assert found == [{"n": 1}, {"n": 3, "big": True}, {"n": 2}, {"n": 5, "big": True}, {"n": 4, "big": True}]


class Attributes(Filter):
    """Puts an attribute on the whole batch it sees."""

    def apply(self, batch: Batch) -> Batch:
        batch.attrs = {**batch.attrs, "team": "red"}
        return batch


async def test_attributes_changed_for_some_events_fold_into_them(tmp_path: Path) -> None:
    """An attribute set under a condition is on those events only."""
    subject = rig(tmp_path)
    pipe = pipeline(subject, Attributes(when=Condition("n == 2")))
    found = await through(subject, pipe, [{"n": 1}, {"n": 2}], {"host": "a"})
    assert found == [{"host": "a", "n": 1}, {"host": "a", "team": "red", "n": 2}]


async def test_routes_by_condition_and_counts_what_nobody_takes(tmp_path: Path) -> None:
    """An event goes to every branch whose condition it meets; one that none takes is dropped as no_route."""
    subject, other = rig(tmp_path / "a"), rig(tmp_path / "b")
    branches = [Branch(subject.stack, Condition("n > 1")), Branch(other.stack, Condition("n > 2"))]
    pipe = pipeline(subject, branches=branches)
    future = pipe(Batch([{"n": n} for n in range(5)]))
    for each in (subject, other):
        each.stack.flush()
    await turns()
    assert future.done()
    assert [event["n"] for event in subject.output.events_delivered] == [2, 3, 4]
    assert [event["n"] for event in other.output.events_delivered] == [3, 4]
    assert pipe.flow.drops == {("main", "no_route"): 2}
    assert pipe.flow.unaccounted == 0


async def test_a_failing_branch_does_not_hide_its_sibling(tmp_path: Path) -> None:
    """The pipeline waits for all branches and then fails; the healthy one has delivered."""
    subject, other = rig(tmp_path / "a"), rig(tmp_path / "b")
    subject.output.gate = asyncio.Event()
    pipe = pipeline(subject, branches=[Branch(subject.stack), Branch(other.stack)])
    future = pipe(Batch([{"n": 1}]))
    pipe.flush()
    await turns()
    assert other.output.events_delivered == [{"n": 1}]
    assert not future.done()
    await subject.stack.stop()
    await turns()
    assert isinstance(future.exception(), Unavailable)
    assert pipe.flow.returned == 1
    assert pipe.flow.unaccounted == 0


async def test_pipelines_do_not_see_each_others_changes(tmp_path: Path) -> None:
    """One input in three pipelines: each filters events of its own."""
    rigs = [rig(tmp_path / name) for name in "abc"]
    pipes = [
        pipeline(rigs[0], Set(fields={"who": "a"})),
        pipeline(rigs[1]),
        pipeline(rigs[2], Set(fields={"nested.who": "c"})),
    ]
    deliver(pipes, Batch([{"nested": {"x": 1}}]))
    for each in rigs:
        each.stack.flush()
    await turns()
    assert [each.output.events_delivered for each in rigs] == [
        [{"nested": {"x": 1}, "who": "a"}],
        [{"nested": {"x": 1}}],
        [{"nested": {"x": 1, "who": "c"}}],
    ]


async def test_a_push_input_is_turned_away_when_there_is_no_room(tmp_path: Path) -> None:
    """Without a window `send` raises Unavailable; an input with nothing in flight always has room for one chunk."""
    subject = rig(tmp_path)
    subject.budget.limit = 100
    subject.output.gate = asyncio.Event()
    feed = Feed(InputFlow("in"), subject.budget, 1000)
    feed.pipelines = [pipeline(subject)]
    first = feed(Batch([{"text": "x" * 200}]))
    with pytest.raises(Unavailable):
        feed(Batch([{"text": "x" * 200}]))
    subject.output.gate.set()
    subject.stack.flush()
    await turns()
    assert first.done()
    feed(Batch([{"text": "again"}]))
    feed.draining = True
    with pytest.raises(Unavailable):
        feed(Batch([{"text": "too late"}]))


async def test_a_full_window_flushes_and_waits(tmp_path: Path) -> None:
    """The window is bounded in bytes; nobody waits for a timer while others wait for room."""
    subject = rig(tmp_path, wait=3600, events=1000)
    committed: list[int] = []
    feed = Feed(InputFlow("in"), subject.budget, 1000)
    feed.pipelines = [pipeline(subject)]
    window = feed.window(committed.append)

    async def source() -> None:
        for n in range(50):
            await window.submit(Batch([{"n": n}], size=300), n)

    await asyncio.wait_for(source(), 5)
    await window.settled()
    assert committed == list(range(50))
    assert window.bytes == 0


def test_dead_letters_folder_is_not_made_for_nothing(tmp_path: Path) -> None:
    """A run without dead letters leaves no empty folder."""
    DeadLetters(tmp_path / "dead", rig(tmp_path).clock)
    assert not (tmp_path / "dead").exists()


async def test_nesting_without_end_is_copied_as_far_as_anybody_writes_it(tmp_path: Path) -> None:
    """A deeply nested event in two pipelines that filter is set aside alone; nothing crashes."""
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(5000):
        inner["d"] = {}
        inner = inner["d"]
    rigs = [rig(tmp_path / name) for name in "ab"]
    pipes = [pipeline(each, Set(fields={"who": "x"})) for each in rigs]
    deliver(pipes, Batch([{"n": 1, "nested": {"x": [1]}}, deep]))
    for each in rigs:
        each.stack.flush()
        await turns()
        assert each.output.events_delivered == [{"n": 1, "nested": {"x": [1]}, "who": "x"}]
    async with asyncio.timeout(5):
        while any(each.flow.in_flight for each in rigs):
            await asyncio.sleep(0.01)
    assert [each.flow.dead.total() for each in rigs] == [1, 1]


class Twice(Filter):
    """Complains twice of the same event."""

    def apply(self, batch: Batch) -> Batch:
        for event in batch.events:
            self.fault(event, "first")
            self.fault(event, "second")
        return batch


async def test_an_event_is_set_aside_once_however_often_a_filter_complains(tmp_path: Path) -> None:
    """One dead letter, with the first reason, and sums that add up."""
    subject = rig(tmp_path)
    pipe = pipeline(subject, Twice(on_error="dead_letter"))
    assert await through(subject, pipe, [{"n": 1}]) == []
    assert pipe.flow.dead == {("twice", "first"): 1}
    assert len(subject.dead.path("twice").read_text().splitlines()) == 1


def test_reasons_that_a_destination_makes_up_are_few_series() -> None:
    """After a hundred different ones, and each that is known still by its name, the rest is `other`; all are counted."""
    flow = OutputFlow("out")
    flow.handed(10_000)
    for number in range(9_999):
        flow.dead_lettered(f"reason_{number}: more", 1)
    flow.dead_lettered("reason_7: again", 1)
    assert len(flow.dead) == 101
    assert (flow.dead["reason_7"], flow.dead["other"]) == (2, 9_899)
    assert flow.unaccounted == 0


class Lost(Filter):
    """Can treat no event."""

    def apply(self, batch: Batch) -> Batch:
        for event in batch.events:
            self.fault(event, "no: it cannot")
        return batch


async def test_letters_that_cannot_be_written_turn_senders_away(tmp_path: Path) -> None:
    """What waits for the disk of the dead letters is memory: who cannot be made to wait is refused before it is too much."""
    subject = rig(tmp_path)
    budget = Budget(10_000)
    (tmp_path / "taken").write_text("no folder")
    dead = DeadLetters(tmp_path / "taken", subject.clock, budget=budget)
    flow = PipelineFlow("main")
    feed = Feed(InputFlow("udp"), budget, 1000)
    lost = Step("lost", Lost(on_error="dead_letter"), flow)
    feed.pipelines = [Pipeline([lost], Fork([Branch(subject.stack)], flow), dead, flow)]
    futures = []
    with pytest.raises(Unavailable, match="no room"):
        for _ in range(100):
            futures.append(feed(Batch([{"message": "x" * 1000}])))
    assert 5 <= len(futures) < 10
    await dead.close(0)
    await turns()
    assert (budget.used, flow.returned, flow.unaccounted) == (0, len(futures), 0)


async def test_pipelines_that_change_nothing_share_the_events(tmp_path: Path) -> None:
    """Attributes and choices are each pipeline's own; what one changes or marks, no other sees."""
    rigs = [rig(tmp_path / name) for name in "abcd"]
    pipes = [
        pipeline(rigs[0], Enrich(fields={"team": Template("core")})),
        pipeline(rigs[1], Keep(when=Condition("n == 2"))),
        pipeline(rigs[2], Set(fields={"n": Template("7")})),
        pipeline(rigs[3]),
    ]
    assert [pipe.changes for pipe in pipes] == [False, False, True, False]
    assert [pipe.looks for pipe in pipes] == [False, True, True, False]
    deliver(pipes, Batch(raw=b'{"n":1}\n{"n":2}', decode=Ndjson().decode))
    for each in rigs:
        each.stack.flush()
    await turns()
    assert [each.output.events_delivered for each in rigs] == [
        [{"n": 1, "team": "core"}, {"n": 2, "team": "core"}],
        [{"n": 2}],
        [{"n": "7"}, {"n": "7"}],
        [{"n": 1}, {"n": 2}],
    ]


def test_a_fault_marks_no_event_that_others_have(tmp_path: Path) -> None:
    """A filter that changes nothing marks a copy."""

    class Faulty(Keep):
        def apply(self, batch: Batch) -> Batch:
            self.fault(batch.events[0], "no")
            return batch

    subject = rig(tmp_path)
    pipe = pipeline(subject, Faulty(when=Condition("n > 0")))
    events: list[Event] = [{"n": 1}, {"n": 2}]
    found = pipe.steps[0](Batch(events).share(), [])
    assert events == [{"n": 1}, {"n": 2}]
    assert found.events[0]["n"] == 1 and "no" in found.events[0]["shipper_error"]
    assert found.events[1] is events[1]
