"""The buffer between a pipeline and a destination that is behind."""

from __future__ import annotations

import asyncio
import copy
import threading
from asyncio import Future
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipper.batch import Batch, Piece
from shipper.delivery.limit import Limit
from shipper.delivery.store import Store
from shipper.errors import Partial, Unavailable
from shipper.options import Duration, Size
from shipper.policy import BufferPolicy, RetryPolicy
from tests.delivery.helpers import Rig, numbered, rig
from tests.delivery.simdisk import SimDisk

NEVER = RetryPolicy(first=Duration(0.1), max=Duration(0.5))


def buffered(
    folder: Path, *, disk: SimDisk | None = None, when_full: Any = "block", limit: int = 2**20, **more: Any
) -> Rig:
    """A stack with a buffer in `folder`; the destination is held up while `output.gate` is there."""
    home = Path("/buffer") if disk else folder / "buffer"
    store = Store(home, limit, disk.set_aside if disk else Path.resolve, disk=disk, segment=4096)
    policy = BufferPolicy(disk=Size(limit), when_full=when_full)
    made = rig(folder, store=store, buffer=policy, retry=NEVER, **{"concurrency": 1, "events": 4, **more})
    made.stack.start()
    return made


async def until(subject: Rig, true: Callable[[], Any], step: float = 0.05) -> None:
    """Let time pass, for the clock and for the threads that write, until it is true."""
    for _ in range(2000):
        if true():
            return
        await subject.clock.advance(step)
        await asyncio.sleep(0.0005)
    raise AssertionError(f"never: {subject.stack.spool!r} {subject.flow.__dict__}")


def send(subject: Rig, *numbers: int) -> list[Future[None]]:
    return [subject.stack(numbered(number)) for number in numbers]


async def stored(subject: Rig, *numbers: int) -> list[Future[None]]:
    """The destination is held up from now on; these are sent, and acknowledged by the disk."""
    subject.output.gate = asyncio.Event()
    sent = send(subject, *numbers)
    await until(subject, lambda: all(future.done() for future in sent))
    return sent


def delivered(subject: Rig) -> list[int]:
    return [event["n"] for event in subject.output.events_delivered]


async def test_while_the_output_keeps_up_the_disk_is_not_touched(tmp_path: Path) -> None:
    """Not one fsync, and no segment."""
    disk = SimDisk()
    subject = buffered(tmp_path, disk=disk)
    before = disk.syncs
    for number in range(100):
        future = subject.stack(numbered(number))
        subject.stack.flush()
        await until(subject, future.done, 0.01)
    assert delivered(subject) == list(range(100))
    assert disk.syncs == before
    assert subject.flow.unaccounted == 0
    await subject.stack.stop()


async def test_what_is_late_is_safe_on_disk(tmp_path: Path) -> None:
    """After two seconds everything is acknowledged, and only a bounded part of it stays in memory."""
    subject = buffered(tmp_path)
    subject.output.gate = asyncio.Event()
    sent = send(subject, *range(100))
    await subject.clock.advance(1)
    assert not any(future.done() for future in sent)
    await until(subject, lambda: all(future.done() for future in sent))
    assert subject.clock.elapsed < 5
    spool = subject.stack.spool
    assert spool is not None
    assert sum(held.piece.count for held in spool.below) <= 2 * 4 + 1, "concurrency + 1 requests"
    assert subject.flow.buffered + subject.flow.in_flight == 100
    await until(subject, lambda: subject.budget.used == sum(len(held.piece.body) for held in spool.below))
    assert subject.flow.unaccounted == 0
    subject.output.gate.set()
    await until(subject, lambda: subject.stack.idle)
    assert delivered(subject) == list(range(100)), "each once, in order"
    assert (subject.budget.used, subject.flow.buffered, subject.flow.in_flight) == (0, 0, 0)
    await subject.stack.stop()
    assert [path.name for path in (tmp_path / "buffer").iterdir()] == ["progress"]


async def test_pieces_are_not_counted_by_looking_at_each(tmp_path: Path) -> None:
    """How many below are in memory only is known whatever happens: tens of thousands may be there, one for each index."""
    subject = buffered(tmp_path, concurrency=50)
    spool = subject.stack.spool
    assert spool is not None

    def right() -> bool:
        return spool.below_unsafe == sum(held.record is None for held in spool.below)

    subject.output.gate = asyncio.Event()
    sent = send(subject, *range(100))
    assert right() and spool.below_unsafe == 100
    await until(subject, lambda: not right() or all(future.done() for future in sent))
    assert right() and spool.below_unsafe == 0
    sent = send(subject, *range(100, 300))
    await until(subject, lambda: not right() or all(future.done() for future in sent))
    subject.output.gate.set()
    sent = send(subject, *range(300, 400))
    await until(subject, lambda: not right() or subject.stack.idle)
    assert right() and spool.below_unsafe == 0
    assert sorted(delivered(subject)) == list(range(400))
    await subject.stack.stop()


async def test_small_pieces_take_room_too(tmp_path: Path) -> None:
    """An event that is a piece of its own takes kilobytes of memory, and the budget knows."""
    subject = buffered(tmp_path)
    subject.output.gate = asyncio.Event()
    sent = send(subject, *range(100))
    assert subject.budget.used > 100 * 2000
    await until(subject, lambda: all(future.done() for future in sent))
    subject.output.gate.set()
    await until(subject, lambda: subject.stack.idle)
    assert subject.budget.used == 0
    await subject.stack.stop()


async def test_new_ones_wait_behind_those_on_disk(tmp_path: Path) -> None:
    """Order holds while the buffer fills and empties at the same time."""
    subject = buffered(tmp_path)
    sent = await stored(subject, *range(50))
    subject.output.gate.set()
    for number in range(50, 300):
        sent += send(subject, number)
        await asyncio.sleep(0)
    await until(subject, lambda: subject.stack.idle and all(future.done() for future in sent))
    assert delivered(subject) == list(range(300))
    await subject.stack.stop()


async def test_a_stop_puts_everything_on_disk(tmp_path: Path) -> None:
    """Acknowledged at once, delivered by the next run, before what comes then."""
    subject = buffered(tmp_path)
    subject.output.gate = asyncio.Event()
    sent = send(subject, *range(30))
    await subject.clock.advance(0.1)
    await subject.stack.stop()
    assert [future.result() for future in sent] == [None] * 30
    assert subject.flow.buffered == 30
    assert subject.flow.unaccounted == 0
    following = buffered(tmp_path)
    assert following.flow.found == 30
    send(following, *range(30, 40))
    await until(following, lambda: following.stack.idle)
    assert delivered(following) == list(range(40))
    assert following.flow.unaccounted == 0
    await following.stack.stop()


async def test_what_a_start_finds_has_waited_since_then(tmp_path: Path) -> None:
    """While the destination is still down nobody calls an output stuck that began to try a moment ago."""
    subject = buffered(tmp_path)
    subject.output.gate = asyncio.Event()
    send(subject, *range(30))
    await subject.stack.stop()
    following = buffered(tmp_path)
    following.output.gate = asyncio.Event()
    await until(following, lambda: following.flow.in_flight)
    assert following.flow.stuck_for() < 60
    await following.stack.stop()


async def test_what_was_delivered_before_the_stop_is_not_sent_again(tmp_path: Path) -> None:
    """The progress is saved: only what is not done comes again."""
    subject = buffered(tmp_path)
    await stored(subject, *range(40))
    subject.output.answers.extend([None, None, None, *[Unavailable("gone")] * 100])
    subject.output.gate.set()
    await until(subject, lambda: len(delivered(subject)) >= 12)
    await subject.stack.stop()
    following = buffered(tmp_path)
    await until(following, lambda: following.stack.idle)
    assert delivered(subject) + delivered(following) == list(range(40))
    await following.stack.stop()


async def test_a_full_buffer_is_back_pressure(tmp_path: Path) -> None:
    """What finds no room waits, and goes on when there is some; nothing is dropped."""
    subject = buffered(tmp_path, limit=40_000)
    subject.output.gate = asyncio.Event()
    sent = [subject.stack(Batch([{"n": number, "text": "x" * 500}])) for number in range(200)]
    await until(subject, lambda: subject.stack.spool and subject.stack.spool.health.full)
    await subject.clock.advance(5)
    assert not all(future.done() for future in sent)
    assert sum(path.stat().st_size for path in (tmp_path / "buffer").glob("*.seg")) <= 40_000
    subject.output.gate.set()
    await until(subject, lambda: subject.stack.idle)
    assert delivered(subject) == list(range(200))
    assert all(future.done() for future in sent)
    assert subject.flow.unaccounted == 0
    await subject.stack.stop()


@pytest.mark.parametrize("when_full", ["drop_newest", "drop_oldest"])
async def test_dropping_is_counted(tmp_path: Path, when_full: str) -> None:
    """Who asked for it gets it: nobody waits, and what is missing is in the count, to the event."""
    subject = buffered(tmp_path, limit=40_000, when_full=when_full)
    subject.output.gate = asyncio.Event()
    sent: list[Future[None]] = []
    for number in range(300):
        sent.append(subject.stack(Batch([{"n": number, "text": "x" * 500}])))
        await until(subject, lambda: len(sent) < 250 or sent[-1].done(), 0.2)
    subject.output.gate.set()
    await until(subject, lambda: subject.stack.idle)
    got = delivered(subject)
    dropped = subject.flow.drops["buffer_full"]
    assert dropped > 0
    assert len(got) + dropped == 300
    assert got == sorted(set(got))
    assert (299 in got) == (when_full == "drop_oldest")
    assert all(future.done() for future in sent)
    assert subject.flow.unaccounted == 0
    await subject.stack.stop()


async def test_a_crash_repeats_no_more_than_two_rounds_of_requests(tmp_path: Path) -> None:
    """However fast a backlog goes out, and though not a second passes: what is not saved is bounded by what is below."""
    disk = SimDisk(2)
    subject = buffered(tmp_path, disk=disk)
    await stored(subject, *range(400))
    subject.output.gate.set()
    for enough in (50, 150, 250, 350):
        await until(subject, lambda least=enough: len(delivered(subject)) >= least, 0.001)
        after, before = copy.deepcopy(disk), len(delivered(subject))
        after.power_cut()
        following = buffered(tmp_path, disk=after)
        await until(following, lambda again=following: again.stack.idle)
        twice = before + len(delivered(following)) - 400
        assert 0 <= twice <= 2 * 2 * 4 + 1
        await following.stack.stop()
    await until(subject, lambda: subject.stack.idle)
    await subject.stack.stop()


@pytest.mark.parametrize("trouble", ["fail_sync", "fail_write"])
async def test_a_disk_that_fails_is_back_pressure(tmp_path: Path, trouble: str) -> None:
    """Nothing is acknowledged that is not durable; when the disk works again, so does the buffer, by itself."""
    disk = SimDisk(1)
    subject = buffered(tmp_path, disk=disk)
    subject.output.gate = asyncio.Event()
    setattr(disk, trouble, 10**6)
    sent = send(subject, *range(30))
    await subject.clock.advance(4)
    await until(subject, lambda: subject.flow.last_error.startswith("buffer: "))
    assert not any(future.done() for future in sent)
    setattr(disk, trouble, 0)
    before = subject.clock.elapsed
    await until(subject, lambda: all(future.done() for future in sent))
    assert subject.clock.elapsed - before < 5
    after = copy.deepcopy(disk)
    after.power_cut()
    following = buffered(tmp_path, disk=after)
    await until(following, lambda: following.stack.idle)
    assert set(delivered(following)) == set(range(30))
    subject.output.gate.set()
    await subject.stack.stop()
    await following.stack.stop()


async def test_damage_found_on_the_way_is_counted(tmp_path: Path) -> None:
    """A record that cannot be read back is dropped with a reason, the sum holds, and the others arrive."""
    subject = buffered(tmp_path)
    await stored(subject, *range(40))
    segment = sorted((tmp_path / "buffer").glob("*.seg"))[0]
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'"n":30', b'"n":?0'))
    subject.output.gate.set()
    await until(subject, lambda: subject.stack.idle)
    assert delivered(subject) == [*range(30), *range(31, 40)]
    assert subject.flow.drops["buffer_damaged"] == 1
    assert subject.flow.corrupt == 1
    assert subject.flow.unaccounted == 0
    await subject.stack.stop()


async def test_refused_ones_do_not_stay_on_disk(tmp_path: Path) -> None:
    """An event that came from the disk and is refused is set aside like any other; the buffer empties."""
    from shipper.errors import Rejected

    subject = buffered(tmp_path, events=1)
    await stored(subject, *range(10))
    subject.output.answers.extend([None, None, None, None, None, Rejected("no", 400)])
    subject.output.gate.set()
    await until(subject, lambda: subject.stack.idle)
    assert delivered(subject) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert [letter["event"] for letter in subject.letters()] == [{"n": 5}]
    assert subject.flow.unaccounted == 0
    await subject.stack.stop()


async def test_a_full_disk_does_not_keep_it_from_draining(tmp_path: Path) -> None:
    """The disk is full of what waits here, and more comes; when the destination is back it drains, and then it all fits."""
    disk = SimDisk(3, room=30_000)
    subject = buffered(tmp_path, disk=disk, limit=10**6)
    subject.output.gate = asyncio.Event()
    sent = [subject.stack(Batch([{"n": number, "text": "x" * 500}])) for number in range(100)]
    await until(subject, lambda: subject.flow.last_error.startswith("buffer: "))
    await until(subject, lambda: subject.flow.buffered > 20)
    subject.output.gate.set()
    await until(subject, lambda: subject.stack.idle)
    assert sorted(delivered(subject)) == list(range(100))
    assert all(future.done() for future in sent)
    assert subject.flow.unaccounted == 0
    await subject.stack.stop()


async def test_a_segment_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    """After some tries it goes out of the way, counted; what comes behind it is delivered."""
    subject = buffered(tmp_path, events=1)
    await stored(subject, *range(60))
    spool = subject.stack.spool
    assert spool is not None
    reads = spool.store.read
    bad = spool.store.segments[0]

    def read(size: int, events: int) -> Any:
        if bad in spool.store.segments and spool.store.cursor < bad.end:
            raise OSError(5, "Input/output error")
        return reads(size, events)

    spool.store.read = read  # type: ignore[method-assign]
    subject.output.gate.set()
    await until(subject, lambda: subject.stack.idle)
    lost = subject.flow.drops["buffer_damaged"]
    assert lost > 0
    assert len(delivered(subject)) == 60 - lost
    assert subject.flow.corrupt == 1
    assert subject.flow.unaccounted == 0
    await subject.stack.stop()


async def test_reads_that_fail_are_tried_over_time(tmp_path: Path) -> None:
    """However much comes in meanwhile: a segment is not set aside for a moment's trouble."""
    disk = SimDisk()
    subject = buffered(tmp_path, disk=disk)
    sent = await stored(subject, *range(60))
    disk.fail_read = 10**6
    subject.output.gate.set()
    await until(subject, lambda: subject.flow.last_error.startswith("buffer: "), 0)
    for number in range(60, 100):
        sent += send(subject, number)
        for _ in range(20):
            await asyncio.sleep(0.0002)
    disk.fail_read = 0
    await until(subject, lambda: subject.stack.idle)
    assert sorted(delivered(subject)) == list(range(100))
    assert not subject.flow.drops
    await subject.stack.stop()


async def test_late_while_the_progress_is_saved(tmp_path: Path) -> None:
    """What becomes due while the disk is busy with something else is written without another event to wake it."""
    disk = SimDisk()
    subject = buffered(tmp_path, disk=disk, events=1)
    spool = subject.stack.spool
    assert spool is not None
    await stored(subject, *range(2))
    late: list[Future[None]] = []
    tidy = spool._tidy_due

    async def slow() -> bool:
        moved = await tidy()
        if not late:
            late.extend(send(subject, 2))
            assert spool._timer is not None
            spool._timer.cancel()  # it has rung, and found the worker at work
            spool._timer = None
            await subject.clock.advance(10)
        return moved

    spool._tidy_due = slow  # type: ignore[method-assign]
    spool._kick()
    await until(subject, lambda: late and late[0].done(), 0)
    subject.output.gate.set()
    await subject.stack.stop()


async def test_a_stop_waits_for_the_disk(tmp_path: Path) -> None:
    """An append that hangs goes on after whoever waited for it was told to stop: nothing else is written beside it."""
    disk = SimDisk()
    subject = buffered(tmp_path, disk=disk)
    spool = subject.stack.spool
    assert spool is not None
    inside, most, hangs = 0, 0, threading.Event()
    append = spool.store.append

    def counted(pieces: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            hangs.wait(20)
            return append(pieces)
        finally:
            inside -= 1

    spool.store.append = counted  # type: ignore[method-assign]
    subject.output.gate = asyncio.Event()
    sent = send(subject, *range(4))
    await until(subject, lambda: inside)
    assert spool._worker is not None
    spool._worker.cancel()
    stopping = asyncio.create_task(subject.stack.stop())
    await asyncio.sleep(0.05)  # time enough to begin another one, which must not be
    hangs.set()
    await stopping
    assert most == 1
    assert all(future.done() for future in sent)


async def test_a_worker_survives_a_bug(tmp_path: Path) -> None:
    """Whatever a step raises is said and tried again: nobody waits for a worker that is gone."""
    subject = buffered(tmp_path, disk=SimDisk())
    spool = subject.stack.spool
    assert spool is not None
    append, tries = spool.store.append, iter([True, True])

    def buggy(pieces: Any) -> Any:
        if next(tries, False):
            raise ValueError("what nobody foresaw")
        return append(pieces)

    spool.store.append = buggy  # type: ignore[method-assign]
    await stored(subject, *range(4))
    subject.output.gate.set()
    await subject.stack.stop()


async def test_fewer_requests_at_a_time_holds_at_once(tmp_path: Path) -> None:
    """After a reload to `concurrency: 1` no two requests are under way together."""
    running = most = 0

    async def finish(todo: list[Piece]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0)
        finally:
            running -= 1

    limit = Limit(finish, 4)
    limit.resize(1)
    await asyncio.gather(*(limit([]) for _ in range(8)))
    assert most == 1
    given_up = [asyncio.create_task(limit([])) for _ in range(4)]
    await asyncio.sleep(0)
    for task in given_up:
        task.cancel()
    await asyncio.wait(given_up)
    limit.resize(3)
    await asyncio.gather(*(limit([]) for _ in range(8)))
    assert (most, limit.running) == (3, 0)


async def test_a_stop_in_the_middle_of_a_request_repeats_only_what_is_left(tmp_path: Path) -> None:
    """Half of a request was delivered, the other half waits for its next try: the next run sends that half alone."""
    subject = buffered(tmp_path, events=4)
    await stored(subject, *range(4))
    pieces = subject.output.requests[0]
    subject.output.answers.extend([Partial(rest=pieces[2:]), *[Unavailable("down")] * 1000])
    subject.output.gate.set()
    await until(subject, lambda: subject.flow.retries > 1)
    assert subject.flow.total_delivered == 2
    await subject.stack.stop()
    assert subject.flow.unaccounted == 0
    assert (subject.flow.buffered, subject.flow.total_returned) == (2, 0)
    following = buffered(tmp_path)
    await until(following, lambda: following.stack.idle)
    assert delivered(following) == [2, 3]
    await following.stack.stop()
