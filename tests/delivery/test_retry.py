"""When the next try comes: after a random pause that doubles, or when the destination said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from delivery.helpers import numbered, rig
from shipper.batch import Piece
from shipper.errors import Partial, Unavailable
from shipper.net.status import raise_for
from shipper.options import Duration
from shipper.policy import RetryPolicy
from shipper.testing import FakeOutput

NOW = 1_795_348_800.0  # where FakeClock stands


async def pauses(folder: Path, answers: list[Exception], **retry: Duration) -> list[float]:
    """How long was waited after each of these answers."""
    subject = rig(folder, concurrency=1, retry=RetryPolicy(**retry))
    subject.output.answers.extend(answers)
    future = subject.stack(numbered(1))
    async with asyncio.timeout(10):
        while not future.done():
            await subject.clock.advance(1)
            await asyncio.sleep(0)
    assert subject.flow.total_delivered == 1
    return subject.clock.slept


def answer(headers: Mapping[str, str], status: int = 429) -> Unavailable:
    with pytest.raises(Unavailable) as raised:
        raise_for(status, headers, "", now=NOW)
    return raised.value


@pytest.mark.parametrize("said", ["7", "7.0", formatdate(NOW + 7, usegmt=True)])
async def test_a_time_that_was_named_is_kept_to(tmp_path: Path, said: str) -> None:
    """Seconds or a date, at the tenth time as at the first: 7 seconds, not the pause that has doubled meanwhile."""
    assert await pauses(tmp_path, [answer({"Retry-After": said})] * 10) == [7] * 10


@pytest.mark.parametrize("said", ["1000000000", "31", formatdate(NOW + 86_400, usegmt=True)])
async def test_no_destination_makes_us_wait_longer_than_max(tmp_path: Path, said: str) -> None:
    """10^9 seconds are `retry.max`."""
    assert await pauses(tmp_path, [answer({"Retry-After": said})] * 3) == [30] * 3
    assert await pauses(tmp_path / "5", [answer({"Retry-After": said})], max=Duration(5)) == [5]


@pytest.mark.parametrize(
    "said", ["-1", "soon", "", "0", "1e9", "7 7", "١٢", "9" * 40, "nan", formatdate(NOW - 60, usegmt=True), "\x00"]
)
async def test_what_makes_no_sense_is_no_answer(tmp_path: Path, said: str) -> None:
    """Full jitter below a pause that doubles up to `max`, as without the header."""
    found = await pauses(tmp_path, [answer({"Retry-After": said})] * 9)
    assert all(0 <= pause <= min(2**number, 30) for number, pause in enumerate(found))
    assert len(set(found)) == 9


async def test_a_destination_cannot_make_us_hammer_it(tmp_path: Path) -> None:
    """A time below the first pause is the least, and the pause doubles all the same."""
    found = await pauses(tmp_path, [answer({"Retry-After": "0.01"}, 503)] * 12)
    assert all(pause >= 0.01 for pause in found)
    assert max(found) > 1


async def test_after_a_reload_it_is_tried_at_once(tmp_path: Path) -> None:
    """A pause that the old output was told ends with it, once; what the new one is told counts again."""
    subject = rig(tmp_path, concurrency=1)
    subject.output.answers.append(Unavailable("wrong token", after=25))
    future = subject.stack(numbered(1))
    await subject.clock.advance(1)
    assert subject.clock.slept == [25]
    other = FakeOutput()
    other.answers.append(Unavailable("busy", after=7))
    subject.stack.configure(replace(subject.stack.policy, retry=RetryPolicy(max=Duration(5))))
    await subject.stack.exchange(other)
    await subject.clock.advance(1)
    assert subject.clock.slept == [25, 5]
    await subject.clock.advance(5)
    assert future.done()
    assert subject.flow.total_delivered == 1


async def test_what_goes_through_shortens_the_pause(tmp_path: Path) -> None:
    """A destination that took some events of a piece is there: the pause is the first again, into how many pieces it fell or not."""
    subject = rig(tmp_path, concurrency=1, retry=RetryPolicy(first=Duration(0.001)))
    rest = [Piece(b'{"n":2}\n', 1), Piece(b'{"n":3}\n', 1)]
    subject.output.answers.extend([*[Unavailable("busy")] * 25, Partial(rest=rest)])
    future = subject.stack(numbered(1, 2, 3))
    async with asyncio.timeout(10):
        while not future.done():
            await subject.clock.advance(1)
            await asyncio.sleep(0)
    assert len(subject.clock.slept) == 26
    assert subject.clock.slept[-1] <= 0.001
    assert subject.flow.total_delivered == 3
