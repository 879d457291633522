"""The property that holds the house together: what was committed had been delivered.

A source of numbered lines, the real window, encoder, batcher, retry and isolation, an output that answers by
the seed, kills at any moment and restarts at the last committed position.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from delivery.helpers import Rig, rig
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.batch import Batch
from shipper.delivery.futures import settled
from shipper.delivery.inspect import Buffer, look
from shipper.delivery.store import Store
from shipper.errors import Partial, Refused, Rejected, TooLarge, Unavailable
from shipper.options import Duration, Size
from shipper.pipeline.window import Broken, Flight
from shipper.policy import BufferPolicy
from shipper.testing.clock import turns

LINES = 60


class World:
    """What survives a kill: the committed position, what the destination has, the dead letters."""

    def __init__(self, seed: int, buffered: bool = False) -> None:
        self.buffered = buffered
        self.random = random.Random(seed)
        self.committed = 0
        self.delivered: list[int] = []
        self.broken: list[str] = []
        self.poison = {self.random.randrange(LINES) for _ in range(2)}

    def answer(self, subject: Rig) -> None:
        """Give the output its answers: refusals, partial failures, lost responses, success."""
        output = subject.output

        async def write(pieces: list[Any]) -> None:
            for _ in range(self.random.randrange(3)):
                await asyncio.sleep(0)
            events = [event for piece in pieces for event in output.events(piece)]
            kind = self.random.randrange(6)
            if kind == 0:
                raise Unavailable("down")
            if kind == 1 and len(events) > 3:
                raise TooLarge
            if self.poison & {event["n"] for event in events}:
                if kind < 4 or len(events) > 1:
                    raise Rejected("poison")
                raise Partial(refused=[Refused(events[0], "poison")])
            if kind == 2 and len(pieces) > 1:
                half = len(pieces) // 2
                self.delivered += [event["n"] for piece in pieces[:half] for event in output.events(piece)]
                raise Partial(rest=pieces[half:])
            self.delivered += [event["n"] for event in events]
            if kind == 3:
                raise Unavailable("the answer was lost")

        output.write = write  # type: ignore[method-assign, assignment]


async def life(world: World, folder: Path, acknowledge_when_enqueued: bool) -> bool:
    """One process from start to kill; whether it came to the end of the source."""
    more: dict[str, Any] = {}
    if world.buffered:
        more["store"] = Store(folder / "buffer", 2**20, Path.resolve, segment=4096)
        more["buffer"] = BufferPolicy(disk=Size(2**20), spill_after=Duration(world.random.choice([0, 2, 5])))
    subject = rig(folder, bytes=200, events=8, wait=0.5, concurrency=world.random.choice([1, 2, 4]), **more)
    world.answer(subject)
    subject.stack.start()
    safe = world.delivered
    fuse = world.random.randrange(5, 400)

    def commit(position: int) -> None:
        known = set(safe) | {letter["event"]["n"] for letter in subject.letters()} | on_disk(subject, folder)
        missing = set(range(position)) - known
        if missing:  # noted, not raised: the event loop would only log it
            world.broken.append(f"committed {position} while {sorted(missing)} are nowhere")
        world.committed = position

    def send(batch: Batch) -> asyncio.Future[None]:
        future = subject.stack(batch)
        future.add_done_callback(lambda done: done.exception())  # the mutant lets nobody ask
        return settled() if acknowledge_when_enqueued else future

    window = Flight(send, subject.stack.flush, subject.budget, 400, commit, asyncio.Event())

    async def source() -> None:
        position = world.committed
        while position < LINES:
            count = min(world.random.randrange(1, 6), LINES - position)
            await window.submit(Batch([{"n": n} for n in range(position, position + count)]), position + count)
            position += count
        await window.settled()

    running = asyncio.ensure_future(source())
    try:
        while not running.done() and fuse:
            fuse -= 1
            await subject.clock.advance(0.7)
            threads = subject.stack.spool or any(writer.waiting for writer in subject.dead.writers.values())
            await asyncio.sleep(0.0002 if threads else 0)
        if not running.done():
            return False
        running.result()
        for _ in range(2000):  # what is on disk goes out as well
            if subject.stack.idle:
                return True
            await subject.clock.advance(0.7)
            await asyncio.sleep(0.0002)
        raise AssertionError(f"the buffer never empties: {subject.stack.spool}")
    except Broken:
        return False
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await subject.stack.stop()
        await subject.dead.close()
        await turns()
        assert not world.broken, world.broken[0]
        assert subject.flow.unaccounted == 0
        assert subject.flow.in_flight == 0
        assert subject.budget.used == 0


def on_disk(subject: Rig, folder: Path) -> set[int]:
    """What another process would find in the buffer now."""
    if not (folder / "buffer").exists():
        return set()
    found = Buffer("out", folder / "buffer", {}, 0, True)
    return {event["n"] for record in look(found) for event in subject.output.events(record.piece)}


async def lives(seed: int, folder: Path, mutant: bool = False, buffered: bool = False) -> World:
    world = World(seed, buffered)
    for _ in range(200):
        if await life(world, folder, mutant):
            return world
    raise AssertionError("it never came to the end")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_what_was_committed_had_been_delivered(seed: int, buffered: bool) -> None:
    """For any seed of refusals, partial failures and kills, with a buffer on disk and without; and at the end every line is somewhere."""
    with tempfile.TemporaryDirectory() as folder:
        world = asyncio.run(lives(seed, Path(folder), buffered=buffered))
        letters = _letters(Path(folder))
        assert world.committed == LINES
        assert set(world.delivered) | letters == set(range(LINES))
        assert letters <= world.poison


def _letters(folder: Path) -> set[int]:
    import json

    path = folder / "dead_letters/out.ndjson"
    return {json.loads(line)["event"]["n"] for line in path.read_bytes().splitlines()} if path.exists() else set()


def test_the_mutant_that_acknowledges_when_it_enqueues_is_caught() -> None:
    """The property can fail: an early acknowledgement breaks it within a few seeds."""
    with tempfile.TemporaryDirectory() as folder, pytest.raises(AssertionError, match="are nowhere"):
        for seed in range(20):
            asyncio.run(lives(seed, Path(folder) / str(seed), mutant=True))
