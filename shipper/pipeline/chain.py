"""A pipeline: filters one after the other, then the fork to its outputs. All of it at once, no await."""

from __future__ import annotations

from asyncio import Future
from collections import Counter
from collections.abc import Sequence

from shipper.batch import Batch, Event
from shipper.delivery.dead_letters import DeadLetters
from shipper.delivery.futures import all_of, failure, settled
from shipper.delivery.letters import Letter
from shipper.pipeline.fork import Fork
from shipper.pipeline.observe import PipelineFlow, short
from shipper.pipeline.step import Step
from shipper.text.ids import marked


class Pipeline:
    """Filters a batch and hands what is left to its outputs; the future is the delivery of all of it."""

    def __init__(
        self, steps: Sequence[Step], fork: Fork, dead_letters: DeadLetters, flow: PipelineFlow, mark: str = ""
    ) -> None:
        self.mark = mark
        """What is put behind the ids of its events, where the same events reach outputs by another pipeline, too."""
        self.steps = steps
        self.fork = fork
        self.dead_letters = dead_letters
        self.flow = flow
        needs = [step.filter.needs for step in steps]
        self.changes = "copy" in needs
        """Whether it may change events."""
        self.looks = self.changes or "events" in needs or any(step.when is not None for step in steps) or fork.looks
        """Whether it looks at events before they are encoded."""

    def __call__(self, batch: Batch) -> Future[None]:
        flow = self.flow
        if self.mark:
            batch = marked(batch, self.mark)
        flow.received += len(batch)
        dead: list[tuple[str, Event, str]] = []
        for step in self.steps:
            batch = step(batch, dead)
            if not batch:
                break
        waits: list[Future[None]] = []
        if dead:
            waits += self._set_aside(dead)
        if batch:
            waits += self._hand_over(batch)
        return all_of(waits) if waits else settled()

    def _hand_over(self, batch: Batch) -> list[Future[None]]:
        flow = self.flow
        count, futures = self.fork(batch)
        if not count:
            return []
        future = all_of(futures)
        flow.in_flight += count

        def done(whole: Future[None]) -> None:
            flow.in_flight -= count
            if failure(whole) is None:
                flow.delivered += count
            else:
                flow.returned += count

        future.add_done_callback(done)
        return [future]

    def _set_aside(self, dead: list[tuple[str, Event, str]]) -> list[Future[None]]:
        waits: list[Future[None]] = []
        letters: dict[str, list[Letter]] = {}
        flow = self.flow
        for name, event, reason in dead:
            letters.setdefault(name, []).append(Letter(event, reason, pipeline=flow.name))
        for name, some in letters.items():
            flow.in_flight += len(some)
            future = self.dead_letters.put(name, some)
            # what waits for a disk that is full is the letters' text, and not their events
            reasons = Counter((name, short(letter.reason)) for letter in some)

            def done(put: Future[None], reasons: Counter[tuple[str, str]] = reasons) -> None:
                flow.in_flight -= reasons.total()
                if failure(put) is not None:
                    flow.returned += reasons.total()
                else:
                    flow.dead.update(reasons)

            future.add_done_callback(done)
            waits.append(future)
        return waits

    def flush(self) -> None:
        self.fork.flush()

    def __repr__(self) -> str:
        return f"Pipeline({self.flow.name}: {[step.name for step in self.steps]})"
