"""To every output of a pipeline, or to those whose condition an event meets."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress

from shipper.batch import Batch
from shipper.delivery.stack import Stack
from shipper.pipeline.observe import PipelineFlow
from shipper.pipeline.step import ERROR
from shipper.text.conditions import Condition
from shipper.text.patterns import TooSlow


@dataclass(frozen=True, slots=True)
class Branch:
    stack: Stack
    when: Condition | None = None
    fit: Callable[[Batch], Batch] | None = None
    """What makes the ids of events fit for this output, where there are any."""


class Fork:
    """Hands a batch to its branches. Outputs never change events, so nobody needs a copy.

    A branch that fails neither hides nor cancels its siblings: the pipeline waits for all of them.
    """

    def __init__(self, branches: Sequence[Branch], flow: PipelineFlow) -> None:
        self.branches = branches
        self.flow = flow
        self.looks = any(branch.when is not None for branch in branches)

    def __call__(self, batch: Batch) -> tuple[int, list[Future[None]]]:
        """How many events at least one branch took, and the deliveries."""
        futures: list[Future[None]] = []
        total = len(batch)
        whole = False  # some branch took all of it
        taken: list[bool] | None = None  # by events, when branches took some of them
        for branch in self.branches:
            verdict = True if branch.when is None else self._judge(branch.when, batch)
            if verdict is True:
                whole = True
                futures.append(branch.stack(batch if branch.fit is None else branch.fit(batch)))
            elif verdict is not False:
                taken = verdict if taken is None else [a or b for a, b in zip(taken, verdict, strict=True)]
                some = list(compress(batch.events, verdict))
                if some:
                    part = batch.with_events(some)
                    futures.append(branch.stack(part if branch.fit is None else branch.fit(part)))
        count = total if whole else sum(taken) if taken is not None else 0
        if count < total:
            self.flow.drops[self.flow.name, "no_route"] += total - count
        return count, futures

    def _judge(self, when: Condition, batch: Batch) -> bool | list[bool]:
        """Which events meet the condition; where its pattern took too long they are taken, and marked: rather once too often."""
        try:
            return when.select(batch)
        except TooSlow:
            verdicts = when.one_by_one(batch)
        # not in place: other pipelines may have the same events
        batch.events = [
            {**event, ERROR: f"outputs: when: {verdict}"} if isinstance(verdict, str) else event
            for event, verdict in zip(batch.events, verdicts, strict=True)
        ]
        self.flow.errors["outputs"] += sum(isinstance(verdict, str) for verdict in verdicts)
        return [verdict is not False for verdict in verdicts]

    def flush(self) -> None:
        for branch in self.branches:
            branch.stack.flush()
