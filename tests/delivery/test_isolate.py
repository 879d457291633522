"""What is too large goes in requests of a learned size; what cannot be sent is alone in the dead letters."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from delivery.helpers import Rig, rig
from shipper.batch import Batch, Event, Piece
from shipper.delivery.request_size import RequestSize, below
from shipper.errors import TooLarge
from shipper.testing import FakeOutput

KIB = 1024


class Server(FakeOutput):
    """Takes requests of at most `limit` bytes, and events of at most `longest`."""

    limit: int = 64 * KIB
    longest: int = 1 << 30

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refused = 0

    async def write(self, pieces: Sequence[Piece]) -> None:
        self.requests.append(list(pieces))
        await asyncio.sleep(0)
        lines = [line for piece in pieces for line in piece.body.splitlines()]
        if sum(len(piece.body) for piece in pieces) > self.limit or max(map(len, lines)) > self.longest:
            self.refused += 1
            raise TooLarge(status=413)
        self.events_delivered += [event for piece in pieces for event in self.events(piece)]


def subject_with(tmp_path: Path, server: Server, **delivery: int) -> Rig:
    subject = rig(tmp_path, bytes=2**20, events=1000, wait=1, **delivery)
    subject.output = subject.stack.isolate.output = subject.stack.encoder.output = server
    subject.stack.aside.output = subject.stack.current.output = server
    return subject


def event(number: int, size: int) -> Event:
    return {"n": number, "message": "x" * (size - 24)}


async def sent(subject: Rig, batches: list[list[Event]]) -> None:
    futures = [subject.stack(Batch(events)) for events in batches]
    async with asyncio.timeout(20):
        while not all(future.done() for future in futures):
            await subject.clock.advance(1)
            await asyncio.sleep(0.001)


def ids(events: list[Event]) -> list[int]:
    return [event["n"] for event in events]


@pytest.mark.parametrize("at", [0, 100, 617, 999])
@pytest.mark.parametrize("size", [100, 300, 1000])
@pytest.mark.parametrize("chunk", [50, 180, 1000])
async def test_one_large_event_costs_few_requests(tmp_path: Path, at: int, size: int, chunk: int) -> None:
    """A batch of 1,000 with one event of 80 KiB at a limit of 64 KiB: 999 delivered in order, 1 dead letter, and at
    most twice the requests that somebody would need who knows the limit (and asks once whether it is one)."""
    server = Server()
    subject = subject_with(tmp_path, server, concurrency=1)
    events = [event(number, 80 * KIB if number == at else size) for number in range(1000)]
    await sent(subject, [events[begin : begin + chunk] for begin in range(0, 1000, chunk)])
    assert ids(server.events_delivered) == [number for number in range(1000) if number != at]
    (letter,) = subject.letters()
    assert (letter["event"]["n"], letter["status"], letter["reason"]) == (at, 413, "too large")
    least = -(-999 * size // (64 * KIB)) + 2  # the others, the large one alone, and the refusal that says the limit
    assert len(server.requests) <= 2 * least, (len(server.requests), server.refused, least)
    assert subject.flow.unaccounted == 0


async def test_the_size_is_remembered(tmp_path: Path) -> None:
    """Later batches go in requests that fit: one refusal in a hundred requests, not one or more in each batch."""
    server = Server()
    subject = subject_with(tmp_path, server, concurrency=1)
    await sent(subject, [[event(number, 300) for number in range(1000)]])
    taught, server.requests, server.refused = server.refused, [], 0
    assert taught <= 3
    await sent(subject, [[event(number, 300) for number in range(1000)] for _ in range(100)])
    assert len(server.events_delivered) == 101_000
    assert server.refused <= 0.02 * len(server.requests), (server.refused, len(server.requests))


async def test_a_limit_on_single_events_does_not_make_all_requests_small(tmp_path: Path) -> None:
    """A server that says 413 for one long event takes whole batches again soon after."""
    server = Server(limit=1 << 30, longest=2 * KIB)
    subject = subject_with(tmp_path, server, concurrency=1)
    await sent(subject, [[event(number, 3 * KIB if number == 500 else 300) for number in range(1000)]])
    assert [letter["event"]["n"] for letter in subject.letters()] == [500]
    await sent(subject, [[event(number, 300) for number in range(1000)] for _ in range(3)])
    server.requests = []
    await sent(subject, [[event(number, 300) for number in range(1000)]])
    assert len(server.requests) == 1


async def test_any_limit_and_any_events(tmp_path: Path) -> None:
    """Whatever the limit and the sizes: what fits alone is delivered once and in order, the rest is set aside."""
    for seed in range(20):
        dice = random.Random(seed)
        server = Server(limit=dice.choice([300, 1000, 5000, 70_000]))
        subject = subject_with(tmp_path / str(seed), server, concurrency=1)
        events = [event(number, dice.choice([60, 200, 900, 6000])) for number in range(200)]
        await sent(subject, [events[:70], events[70:]])
        fits = [n for n, each in enumerate(events) if len(subject.output.split(encoded(each))[0].body) <= server.limit]
        assert ids(server.events_delivered) == fits
        assert sorted(ids([letter["event"] for letter in subject.letters()])) == sorted(set(range(200)) - set(fits))
        assert subject.flow.unaccounted == 0


def encoded(each: Event) -> Piece:
    (piece,) = FakeOutput().encode(Batch([each]))
    assert isinstance(piece, Piece)
    return piece


async def test_what_cannot_be_decoded_is_kept_as_it_was_encoded(tmp_path: Path) -> None:
    """A bug in `events` does not keep a refused event in the way for ever: its bytes are the dead letter."""
    server = Server(limit=100)

    def broken(piece: Piece) -> list[Event]:
        if piece.count == 1 and len(piece.body) > 100:
            raise ValueError("no JSON")
        return FakeOutput.events(server, piece)

    server.events = broken  # type: ignore[method-assign]
    subject = subject_with(tmp_path, server)
    await sent(subject, [[event(1, 40), event(2, 200), event(3, 40)]])
    assert ids(server.events_delivered) == [1, 3]
    (letter,) = subject.letters()
    assert letter["event"]["message"].startswith('{"n":2')
    assert letter["event"]["shipper_error"] == "ValueError: no JSON"


def test_the_next_size_is_always_smaller() -> None:
    """Down to one byte."""
    for size in [2, 3, 15, 16, 17, 1000, 64 * KIB, 64 * KIB + 1, 10**9]:
        assert 1 <= below(size) < size
    assert below(64 * KIB + 1) == 60 * KIB


def test_a_size_is_tested_less_and_less_often() -> None:
    """Each test that fails doubles the requests until the next; one that goes well is followed by a larger one."""
    size = RequestSize()
    size.refused(100_000)
    tests = []
    for number in range(10_000):
        if size.most > 61_440:
            size.refused(100_000)
            tests.append(number)
        size.went(60_000)
    assert size.most <= 61_440 * 2
    assert 5 <= len(tests) <= 16
    for _ in range(2000):
        size.went(min(size.most, 10**6))
    assert size.most >= 10**6


def test_a_refusal_that_is_old_news_changes_nothing() -> None:
    """Two requests under way at once teach one lesson."""
    size = RequestSize()
    size.refused(400_000)
    most = size.most
    size.refused(400_000)
    assert size.most == most
