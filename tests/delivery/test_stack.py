"""Delivery as a whole: what was accepted is delivered, set aside, or given back, and always counted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from delivery.helpers import Rig, numbered, rig
from shipper.batch import Batch, Piece
from shipper.delivery.batcher import Interrupted, outcome
from shipper.delivery.futures import settled
from shipper.errors import Partial, Refused, Rejected, TooLarge, Unavailable
from shipper.options import Duration
from shipper.policy import RetryPolicy
from shipper.testing.clock import turns


def ids(events: list[dict[str, Any]]) -> list[int]:
    return [event["n"] for event in events]


async def settle(subject: Rig, future: asyncio.Future[None], seconds: float = 1000) -> None:
    """Move the clock until a delivery is done; dead letters are written by a real thread."""
    async with asyncio.timeout(10):
        while not future.done():
            await subject.clock.advance(1)
            await asyncio.sleep(0.001)
            seconds -= 1
            assert seconds > 0, "it did not settle"


async def test_the_future_is_done_when_the_request_is(tmp_path: Path) -> None:
    """A batch is acknowledged after the write that carried it returned, and not before."""
    subject = rig(tmp_path)
    subject.output.gate = asyncio.Event()
    future = subject.stack(numbered(1, 2))
    await subject.clock.advance(1.5)
    assert subject.output.requests
    assert not future.done()
    subject.output.gate.set()
    await turns()
    assert future.done()
    assert ids(subject.output.events_delivered) == [1, 2]


async def test_waits_for_more_until_a_limit_is_reached(tmp_path: Path) -> None:
    """Pieces share a request until its bytes, its events or its time are full."""
    subject = rig(tmp_path, events=3, wait=1)
    subject.stack(numbered(1))
    await subject.clock.advance(0.9)
    assert not subject.output.requests
    subject.stack(numbered(2, 3))
    await turns()
    assert [len(request) for request in subject.output.requests] == [2]
    subject.stack(numbered(4))
    await subject.clock.advance(1.1)
    assert len(subject.output.requests) == 2


async def test_a_request_never_exceeds_its_limits(tmp_path: Path) -> None:
    """A piece over the limit is split before it is sent; one event alone is sent as it is."""
    subject = rig(tmp_path, events=4, bytes=40)
    future = subject.stack(numbered(*range(10)))
    await settle(subject, future)
    for request in subject.output.requests:
        assert sum(piece.count for piece in request) <= 4
        assert sum(len(piece.body) for piece in request) <= 40
    assert ids(subject.output.events_delivered) == list(range(10))


async def test_tries_again_until_it_works(tmp_path: Path) -> None:
    """Unavailable is retried for ever, with a pause that honours what the destination asked for."""
    subject = rig(tmp_path, concurrency=1)
    subject.output.answers.extend([Unavailable("busy", after=7), ConnectionError("a bug"), Unavailable("busy")])
    future = subject.stack(numbered(1))
    await settle(subject, future)
    assert ids(subject.output.events_delivered) == [1]
    assert subject.clock.slept[0] == 7
    assert subject.flow.retries == 3
    assert subject.flow.outcomes["bug"] == 1


async def test_an_absurd_retry_after_is_capped(tmp_path: Path) -> None:
    """A destination cannot make us wait longer than retry.max."""
    subject = rig(tmp_path)
    subject.output.answers.append(Unavailable("busy", after=1e9))
    await settle(subject, subject.stack(numbered(1)))
    assert subject.clock.slept == [30]


async def test_gives_up_only_when_told_to(tmp_path: Path) -> None:
    """With give_up, what cannot be delivered in time goes to the dead letters with the reason and the attempts."""
    subject = rig(tmp_path, retry=RetryPolicy(give_up=Duration(60)))
    subject.output.answers.extend([Unavailable("closed")] * 1000)
    future = subject.stack(numbered(1))
    await settle(subject, future)
    (letter,) = subject.letters()
    assert letter["event"] == {"n": 1}
    assert "closed" in letter["reason"]
    assert letter["attempts"] > 1
    assert subject.flow.unaccounted == 0
    assert subject.flow.in_flight == 0


class Picky:
    """Answers as a server that refuses some events."""

    def __init__(self, subject: Rig, bad: set[int], error: type[Rejected] = Rejected) -> None:
        self.requests = 0
        output = subject.output

        async def write(pieces: list[Piece]) -> None:
            self.requests += 1
            events = [event for piece in pieces for event in output.events(piece)]
            if bad & set(ids(events)):
                raise error("no", 400)
            output.events_delivered += events

        output.write = write  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("error", [Rejected, TooLarge])
async def test_one_bad_event_takes_nobody_along(tmp_path: Path, error: type[Rejected]) -> None:
    """The guilty event is found by halving: 999 are delivered, 1 is set aside, in few requests."""
    subject = rig(tmp_path, events=1000, bytes=10**6)
    picky = Picky(subject, {617}, error)
    future = subject.stack(numbered(*range(1000)))
    await settle(subject, future)
    assert sorted(ids(subject.output.events_delivered)) == [n for n in range(1000) if n != 617]
    assert [letter["event"]["n"] for letter in subject.letters()] == [617]
    assert picky.requests <= 2 * 20
    assert subject.flow.unaccounted == 0


async def test_order_is_kept_while_the_guilty_one_is_found(tmp_path: Path) -> None:
    """With concurrency 1 what goes through keeps its order."""
    subject = rig(tmp_path, events=100, concurrency=1)
    Picky(subject, {3, 50, 51, 99})
    await settle(subject, subject.stack(numbered(*range(100))))
    assert ids(subject.output.events_delivered) == [n for n in range(100) if n not in (3, 50, 51, 99)]


async def test_a_mistake_costs_few_requests(tmp_path: Path) -> None:
    """When everything is refused for the same reason the rest of the request follows after 32 single events."""
    subject = rig(tmp_path, events=1000, bytes=10**6)
    picky = Picky(subject, set(range(1000)))
    await settle(subject, subject.stack(numbered(*range(1000))))
    assert picky.requests < 60
    assert len(subject.letters()) == 1000


async def test_partial_answers_send_again_only_what_is_due(tmp_path: Path) -> None:
    """What was delivered is not sent twice, what was refused is set aside with its reason."""
    subject = rig(tmp_path)
    first = Piece(b'{"n":2}\n', 1)
    subject.output.answers.append(Partial(rest=[first], refused=[Refused({"n": 3}, "mapping", 400)]))
    await settle(subject, subject.stack(numbered(1, 2, 3)))
    assert ids(subject.output.events_delivered) == [2]
    assert [(letter["event"], letter["reason"], letter["status"]) for letter in subject.letters()] == [
        ({"n": 3}, "mapping", 400)
    ]
    assert subject.flow.total_delivered == 2
    assert subject.flow.unaccounted == 0


async def test_events_that_cannot_be_encoded_are_set_aside_alone(tmp_path: Path) -> None:
    """A lone surrogate goes to the dead letters; its neighbours are delivered."""
    subject = rig(tmp_path)
    future = subject.stack(Batch([{"n": 1}, {"n": 2, "bad": "\ud800"}, {"n": 3}]))
    await settle(subject, future)
    assert ids(subject.output.events_delivered) == [1, 3]
    (letter,) = subject.letters()
    assert letter["event"]["n"] == 2


async def test_a_bug_in_encode_spares_the_others(tmp_path: Path) -> None:
    """When encode raises, the event that makes it raise is found and set aside."""
    subject = rig(tmp_path)
    encode = subject.output.encode

    def broken(batch: Batch) -> Any:
        if any(event["n"] == 2 for event in batch.events):
            raise TypeError("oops")
        return encode(batch)

    subject.output.encode = broken  # type: ignore[method-assign]
    await settle(subject, subject.stack(numbered(1, 2, 3)))
    assert ids(subject.output.events_delivered) == [1, 3]
    assert "TypeError" in subject.letters()[0]["reason"]


async def test_dropping_is_something_the_user_wrote_down(tmp_path: Path) -> None:
    """With dead_letter: false refused events are dropped and counted."""
    subject = rig(tmp_path, dead_letter=False)
    Picky(subject, {1})
    await settle(subject, subject.stack(numbered(1, 2)))
    assert subject.letters() == []
    assert subject.flow.drops == {"refused": 1}
    assert subject.flow.unaccounted == 0


async def test_a_request_that_takes_too_long_is_tried_again(tmp_path: Path) -> None:
    """A write over its timeout is cancelled and counts as unavailable."""
    subject = rig(tmp_path, timeout=Duration(0.01))
    subject.output.gate = asyncio.Event()
    future = subject.stack(numbered(1))
    await subject.clock.advance(1)
    async with asyncio.timeout(5):
        while not subject.flow.retries:
            await asyncio.sleep(0.005)
    assert "no answer within 10ms" in subject.flow.last_error
    subject.output.gate.set()
    await settle(subject, future)
    assert ids(subject.output.events_delivered) == [1]


async def test_a_stop_gives_back_what_was_not_delivered(tmp_path: Path) -> None:
    """Those who wait hear of it, the sum adds up, and nothing stays in the budget."""
    subject = rig(tmp_path, concurrency=1)
    subject.output.gate = asyncio.Event()
    futures = [subject.stack(numbered(n)) for n in range(3)]
    subject.stack.flush()
    futures.append(subject.stack(numbered(3)))
    await turns()
    assert subject.budget.used > 0
    await subject.stack.stop()
    await turns()
    for future in futures:
        assert isinstance(future.exception(), Unavailable)
    assert subject.flow.total_returned == 4
    assert subject.flow.unaccounted == 0
    assert subject.budget.used == 0


async def test_a_reload_reaches_a_request_in_endless_retry(tmp_path: Path) -> None:
    """The output is looked up at each try: new credentials apply to what is waiting."""
    subject = rig(tmp_path)
    subject.output.answers.extend([Unavailable("401")] * 10_000)
    future = subject.stack(numbered(1))
    await subject.clock.advance(5)
    other = type(subject.output)()
    await subject.stack.exchange(other)
    await settle(subject, future)
    assert ids(other.events_delivered) == [1]


async def test_pieces_with_different_keys_never_share_a_request(tmp_path: Path) -> None:
    """A key (tenant, file, topic) has requests of its own."""
    subject = rig(tmp_path)
    subject.stack.batcher(Piece(b'{"n":1}\n', 1, "a"))
    subject.stack.batcher(Piece(b'{"n":2}\n', 1, "b"))
    subject.stack.flush()
    await turns()
    assert [{piece.key for piece in request} for request in subject.output.requests] == [{"a"}, {"b"}]


async def test_a_partial_answer_to_a_half_is_no_outage(tmp_path: Path) -> None:
    """A half of which some events are refused and none are due again is done: the other half follows at once."""
    subject = rig(tmp_path)
    subject.output.answers.extend([Rejected("no"), Partial(refused=[Refused({"n": 2}, "mapping", 400)])])
    await settle(subject, subject.stack(numbered(1, 2, 3, 4)))
    assert ids(subject.output.events_delivered) == [3, 4]
    assert (subject.flow.total_delivered, subject.flow.retries, subject.flow.unaccounted) == (3, 0, 0)
    assert [letter["event"]["n"] for letter in subject.letters()] == [2]


async def test_a_bug_in_split_loses_nothing(tmp_path: Path) -> None:
    """A piece over the limit that its output cannot split goes out as it is; the bug is counted."""
    subject = rig(tmp_path, events=2)
    subject.output.split = lambda piece: [piece]  # type: ignore[method-assign]
    await settle(subject, subject.stack(numbered(1, 2, 3)))
    assert ids(subject.output.events_delivered) == [1, 2, 3]
    assert (subject.flow.outcomes["bug"], subject.flow.unaccounted) == (1, 0)
    assert subject.budget.used == 0


async def test_full_dead_letters_are_seen_at_the_output(tmp_path: Path) -> None:
    """The output waits, and its last error says for what; nothing is lost or counted before they are written."""
    subject = rig(tmp_path)
    subject.dead.folder.mkdir()
    (subject.dead.folder / "out.ndjson").symlink_to("/etc/passwd")
    Picky(subject, {1})
    future = subject.stack(numbered(1, 2))
    async with asyncio.timeout(5):
        while "dead letters" not in subject.flow.last_error:
            await subject.clock.advance(1)
            await asyncio.sleep(0.001)
    assert not future.done()
    assert subject.flow.in_flight > 0
    (subject.dead.folder / "out.ndjson").unlink()
    await settle(subject, future)
    assert [letter["event"]["n"] for letter in subject.letters()] == [1]
    assert (subject.flow.in_flight, subject.flow.unaccounted) == (0, 0)


async def test_an_interrupted_request_knows_which_pieces_are_done(tmp_path: Path) -> None:
    """Tens of thousands of pieces in one request are each asked for, and that takes no time worth naming."""
    pieces = [Piece(b"x", 1) for _ in range(20_000)]
    request = settled(Interrupted(pieces, pieces[15_000:]))
    began = time.monotonic()
    done = [outcome(request, piece) is None for piece in pieces]
    assert time.monotonic() - began < 1
    assert done == [True] * 15_000 + [False] * 5_000
