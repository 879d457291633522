"""Who held the event loop, and conditions that take too long: said, counted, and never in the way of an event."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from delivery.helpers import rig

from shipper import Batch, Condition, Event, Filter
from shipper.batch import Piece
from shipper.errors import Refused
from shipper.pipeline.fork import Branch, Fork
from shipper.pipeline.observe import PipelineFlow
from shipper.pipeline.stall import LONG, Held
from shipper.pipeline.step import Step
from shipper.text.patience import SLOW


class Slow(Filter):
    """Holds the loop for as long as it is told."""

    seconds: float = 0.0

    def apply(self, batch: Batch) -> Batch:
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            pass
        return batch


def test_a_filter_that_holds_the_loop_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """By the batch: how often, for how long, and at most once a minute in the log; a quick one never."""
    flow = PipelineFlow("main")
    slow, quick = Step("slow", Slow(seconds=LONG * 1.2), flow), Step("quick", Slow(), flow)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            quick(slow(Batch([{"n": 1}, {"n": 2}]), []), [])
    assert list(flow.holds) == ["filter slow"]
    held = flow.holds["filter slow"]
    assert held.count == 3
    assert held.sum >= 3 * LONG
    assert LONG < held.longest <= held.sum
    said = [record.getMessage() for record in caplog.records if "filter slow" in record.getMessage()]
    assert said == [f"filter slow held the loop for {said[0].split()[6]} s with a batch of 2 events"]


def test_each_minute_is_said_again(caplog: pytest.LogCaptureFixture) -> None:
    """Sixty seconds after the last time."""
    held = Held("output es")
    with caplog.at_level(logging.WARNING):
        held.add(0.4, 1000)
        held.add(0.4, 1000)
        held._said -= 61
        held.add(0.5, 10)
    assert [record.getMessage() for record in caplog.records] == [
        "output es held the loop for 0.40 s with a batch of 1000 events",
        "output es held the loop for 0.50 s with a batch of 10 events",
    ]


async def test_an_output_that_encodes_for_long_is_named(tmp_path: Path) -> None:
    """Encoding is the loop's time, too."""
    subject = rig(tmp_path)
    encode = subject.output.encode

    def slowly(batch: Batch) -> Iterable[Piece | Refused]:
        time.sleep(LONG * 1.2)
        return encode(batch)

    subject.output.encode = slowly  # type: ignore[method-assign]
    future = subject.stack(Batch([{"n": 1}]))
    subject.stack.flush()
    await future
    assert subject.flow.held.count == 1
    assert subject.flow.held.name == "output out"


async def test_a_route_that_takes_too_long_takes_the_event(tmp_path: Path) -> None:
    """Rather once too often than not at all: it is delivered, marked; the others go where their condition says."""
    subject = rig(tmp_path)
    flow = PipelineFlow("main")
    fork = Fork([Branch(subject.stack, Condition(r"matches(message, r'^(\w+\s?)*$')"))], flow)
    poison = "a" * 40 + "!"
    events: list[Event] = [{"message": "good"}, {"message": poison}, {"message": "?"}]
    count, futures = fork(Batch(events))
    subject.stack.flush()
    for future in futures:
        await future
    assert count == 2
    assert subject.output.events_delivered == [
        {"message": "good"},
        {"message": poison, "shipper_error": f"outputs: when: {SLOW}"},
    ]
    assert flow.errors == {"outputs": 1}
    assert flow.drops == {("main", "no_route"): 1}
