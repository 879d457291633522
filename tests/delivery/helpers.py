"""A stack around a fake output, with a clock that stands still."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shipper.batch import Batch
from shipper.delivery.dead_letters import DeadLetters
from shipper.delivery.stack import Stack
from shipper.delivery.store import Store
from shipper.options import Duration
from shipper.pipeline.budget import Budget
from shipper.pipeline.observe import OutputFlow
from shipper.policy import BatchPolicy, Delivery, RetryPolicy
from shipper.testing import FakeClock, FakeOutput


@dataclass
class Rig:
    stack: Stack
    output: FakeOutput
    clock: FakeClock
    dead: DeadLetters
    budget: Budget

    @property
    def flow(self) -> OutputFlow:
        return self.stack.flow

    def letters(self) -> list[dict[str, Any]]:
        path = self.dead.path("out")
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def rig(
    folder: Path,
    *,
    bytes: int = 10_000,
    events: int = 100,
    wait: float = 1,
    store: Store | None = None,
    memory: int = 2**20,
    **delivery: Any,
) -> Rig:
    clock = FakeClock()
    dead = DeadLetters(folder / "dead_letters", clock)
    budget = Budget(memory)
    output = FakeOutput()
    batch = replace(BatchPolicy(), bytes=bytes, events=events, wait=Duration(wait))
    retry = delivery.pop("retry", None) or RetryPolicy()
    policy = Delivery(batch=batch, retry=retry, **delivery)
    flow = OutputFlow("out")
    if store is not None:
        store.open()
    return Rig(Stack(output, policy, dead, budget, clock, flow, store), output, clock, dead, budget)


def numbered(*numbers: int) -> Batch:
    return Batch([{"n": number} for number in numbers])
