"""The whole of delivery, read from the bottom up."""

from __future__ import annotations

from asyncio import Future

from shipper.batch import Batch, Piece, Write
from shipper.clock import Clock
from shipper.component import Output
from shipper.delivery.aside import Aside
from shipper.delivery.batcher import Batcher
from shipper.delivery.current import Current
from shipper.delivery.dead_letters import DeadLetters
from shipper.delivery.encoder import Encoder
from shipper.delivery.isolate import Isolate
from shipper.delivery.limit import Limit
from shipper.delivery.retry import Finish, Retry
from shipper.delivery.timeout import Timeout
from shipper.pipeline.budget import Budget
from shipper.pipeline.observe import OutputFlow
from shipper.policy import Delivery


class Stack:
    """One output's delivery: a batch goes in, a future comes out that is done when the batch is safe."""

    def __init__(
        self,
        output: Output,
        policy: Delivery,
        dead_letters: DeadLetters,
        budget: Budget,
        clock: Clock,
        flow: OutputFlow,
    ) -> None:
        self.flow = flow
        self.policy = policy
        self.aside = Aside(output, dead_letters, flow, policy.dead_letter)
        self.current = Current(output)  # looked up at each try, so a reload reaches a request in endless retry
        write: Write = flow.requests(self.current)  # counts what each try brought
        write = Timeout(write, policy.timeout)  # too long -> Unavailable
        self.isolate = Isolate(write, output, self.aside, flow)  # refused -> halves, down to the one that is set aside
        finish: Finish = Retry(self.isolate, policy.retry, self.aside, clock, flow)  # Unavailable -> again
        finish = Limit(finish, policy.concurrency)  # 1 keeps order
        self.batcher = Batcher(finish, policy.batch, self._split, clock, flow)  # many pieces -> one request
        self.encoder = Encoder(output, self.batcher, self.aside, budget, flow)  # batch -> pieces, at once
        budget.on_full.add(self.flush)
        self.budget = budget

    def __call__(self, batch: Batch) -> Future[None]:
        return self.encoder(batch)

    def _split(self, piece: Piece) -> list[Piece]:
        return self.current.output.split(piece)

    @property
    def output(self) -> Output:
        return self.current.output

    @property
    def idle(self) -> bool:
        """Whether nothing is held, under way or being set aside."""
        return not (self.batcher.held or self.batcher.running or self.encoder.refusing)

    def flush(self) -> None:
        """Send what is held back for larger requests."""
        self.batcher.flush()

    async def exchange(self, output: Output) -> None:
        """Go on with a newly configured output of the same type; returns when the old one is no longer used."""
        self.encoder.output = self.aside.output = self.isolate.output = output
        await self.current.exchange(output)

    async def stop(self) -> None:
        """Give up on what is not settled; those who wait get an error and say it again another time."""
        self.budget.on_full.discard(self.flush)
        await self.batcher.stop()
        await self.encoder.stop()
