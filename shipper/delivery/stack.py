"""The whole of delivery, read from the bottom up."""

from __future__ import annotations

import asyncio
from asyncio import Future

from shipper.batch import Batch, Piece, Put, Write
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
from shipper.delivery.spool import Spool
from shipper.delivery.store import Store
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
        store: Store | None = None,
    ) -> None:
        self.flow = flow
        self.policy = policy
        self.aside = Aside(output, dead_letters, flow, policy.dead_letter)
        self.current = Current(output)  # looked up at each try, so a reload reaches a request in endless retry
        write: Write = flow.requests(self.current)  # counts what each try brought
        write = self.timeout = Timeout(write, policy.timeout)  # too long -> Unavailable
        self.isolate = Isolate(write, output, self.aside, flow)  # refused -> halves, down to the one that is set aside
        finish: Finish
        finish = self.retry = Retry(self.isolate, policy.retry, self.aside, clock, flow)  # Unavailable -> again
        finish = self.limit = Limit(finish, policy.concurrency)  # 1 keeps order
        put: Put
        put = self.batcher = Batcher(finish, policy.batch, self._split, clock, flow)  # many pieces -> one request
        self.spool: Spool | None = None
        if store is not None:
            put = self.spool = Spool(put, self._flush_held, store, policy, budget, clock, flow)  # behind -> to disk
        self.encoder = Encoder(output, put, self.aside, budget, flow)  # batch -> pieces, at once
        budget.on_full.add(self.flush)
        self.budget = budget

    def __call__(self, batch: Batch) -> Future[None]:
        return self.encoder(batch)

    def _split(self, piece: Piece) -> list[Piece]:
        return self.current.output.split(piece)

    @property
    def store(self) -> Store | None:
        return self.spool.store if self.spool else None

    @property
    def output(self) -> Output:
        return self.current.output

    @property
    def idle(self) -> bool:
        """Whether nothing is held, under way, on disk or being set aside."""
        here = self.batcher.held or self.batcher.running or self.encoder.refusing
        return not here and (self.spool is None or self.spool.idle)

    def start(self) -> None:
        """Go on with what an earlier run left on disk."""
        if self.spool is not None:
            self.spool.start()

    def configure(self, policy: Delivery) -> None:
        """Take over what a reload changed of the options under `delivery:`."""
        self.policy = policy
        self.timeout.seconds = policy.timeout
        self.retry.policy = policy.retry
        self.limit.resize(policy.concurrency)
        self.batcher.policy = policy.batch
        self.aside.keeps = policy.dead_letter
        if self.spool is not None:
            self.spool.configure(policy)

    def hurry(self) -> None:
        """The process stops: what cannot be delivered soon goes to disk."""
        self.flush()
        if self.spool is not None:
            self.spool.hurry()

    async def quiet(self, seconds: float) -> None:
        """Begin no more tries, and wait for those under way: what they bring need not be sent again."""
        await self.current.quiet(seconds)

    def flush(self) -> None:
        """Send what is held back for larger requests."""
        self.batcher.flush()

    def _flush_held(self) -> None:
        if len(self.batcher.running) <= self.policy.concurrency:
            self.batcher.flush()

    async def exchange(self, output: Output) -> None:
        """Go on with a newly configured output of the same type; returns when the old one is no longer used."""
        self.encoder.output = self.aside.output = self.isolate.output = output
        self.retry.renew()
        await self.current.exchange(output)

    async def stop(self) -> None:
        """Give up on what is not settled; those who wait get an error and say it again another time."""
        self.budget.on_full.discard(self.flush)
        if self.spool is not None:
            await self.spool.stop()
        await self.batcher.stop()
        if self.spool is not None:
            await asyncio.sleep(0)  # what was below hears of it
            await self.spool.close()
        await self.encoder.stop()
