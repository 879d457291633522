"""Dead letters are on disk before they count as safe, and whatever an event holds can be written."""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio import Future
from pathlib import Path

import orjson
import pytest

from shipper.delivery.dead_letters import DeadLetters
from shipper.delivery.letters import Letter, decode_letter, encode_letter
from shipper.options import Size
from shipper.policy import DeadLetterPolicy
from shipper.testing import FakeClock


async def test_one_line_an_event_with_everything_known_about_it(tmp_path: Path) -> None:
    """The future is done when the lines are in the file, with the fields of the contract."""
    subject = DeadLetters(tmp_path / "dead", FakeClock())
    await asyncio.wait_for(subject.put("es", [Letter({"a": 1}, "mapping: no", 400, 2), Letter({"b": 2}, "x")]), 5)
    first, second = [json.loads(line) for line in (tmp_path / "dead/es.ndjson").read_text().splitlines()]
    assert first == {
        "time": "2026-11-22T12:00:00.000000Z", "component": "es", "reason": "mapping: no", "status": 400,
        "attempts": 2, "event": {"a": 1},
    }  # fmt: skip
    assert second["event"] == {"b": 2}
    assert (tmp_path / "dead/es.ndjson").stat().st_mode & 0o777 == 0o600


async def test_a_disk_that_refuses_is_waited_for(tmp_path: Path) -> None:
    """While the letters cannot be written nobody is told that they are safe; later they are there once."""
    clock = FakeClock()
    (tmp_path / "dead").write_text("in the way")
    subject = DeadLetters(tmp_path / "dead", clock)
    future = subject.put("es", [Letter({"a": 1}, "no")])
    async with asyncio.timeout(5):
        while not clock.slept:
            await asyncio.sleep(0.001)
    assert not future.done()
    (tmp_path / "dead").unlink()
    async with asyncio.timeout(5):
        while not future.done():
            await clock.advance(1)
            await asyncio.sleep(0.001)
    assert len((tmp_path / "dead/es.ndjson").read_bytes().splitlines()) == 1


def test_what_orjson_cannot_say_is_said_the_slow_way() -> None:
    """Lone surrogates, huge integers, deep nesting and foreign types become one valid JSON line."""
    deep: dict[str, object] = {}
    inner = deep
    for _ in range(5000):
        inner["d"] = {}
        inner = inner["d"]  # type: ignore[assignment]
    circle: list[object] = []
    circle += [circle, circle]
    for value in ("\ud800", 2**80, 10**6000, deep, {1: object()}, float("nan"), ["\ud800", float("inf")], circle):
        line = encode_letter("now", "c", Letter({"v": value}, "r"))
        assert line.count(b"\n") == 1
        assert b"NaN" not in line
        assert b"Infinity" not in line
        letter = decode_letter(line[:-1])
        assert letter
        assert letter["component"] == "c"
    assert orjson.loads(encode_letter("now", "c", Letter({"v": 2**80}, "r")))["event"]["v"] == float(2**80)


async def test_half_a_line_from_a_crash_spoils_no_other(tmp_path: Path) -> None:
    """A letter after a torn one stands on a line of its own."""
    file = tmp_path / "dead" / "es.ndjson"
    file.parent.mkdir()
    file.write_bytes(b'{"time": "2026-')
    subject = DeadLetters(tmp_path / "dead", FakeClock())
    await asyncio.wait_for(subject.put("es", [Letter({"a": 1}, "no")]), 5)
    await asyncio.wait_for(subject.put("es", [Letter({"a": 2}, "no")]), 5)
    torn, *whole = file.read_bytes().splitlines()
    assert torn == b'{"time": "2026-'
    assert [json.loads(line)["event"] for line in whole] == [{"a": 1}, {"a": 2}]


def test_what_is_no_letter_is_seen() -> None:
    """Half a line, another file's line, a bomb of brackets: none of them is a letter, none of them raises."""
    for line in (b"", b'{"time": "2026-', b"[1]", b'{"event": 1}', b"\xff", b"[" * 10**5, b'{"a":' * 10**5):
        assert decode_letter(line) is None


SMALL = DeadLetterPolicy(max_bytes=Size(1000), rotate=Size(250))
WIDE = Letter({"m": "x" * 50}, "no")


async def until_slept(clock: FakeClock, times: int = 1) -> None:
    async with asyncio.timeout(5):
        while len(clock.slept) < times:
            await asyncio.sleep(0.001)


async def moved_until(clock: FakeClock, future: Future[None], seconds: float) -> None:
    """Move the clock until it is done; fail after so many seconds of it. The writing itself is a real thread's."""
    end = clock.elapsed + seconds
    async with asyncio.timeout(10):
        while not future.done():
            if clock.timers:
                await clock.advance(0.25)
                assert clock.elapsed <= end
            await asyncio.sleep(0.001)


async def test_full_presses_back_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is told that letters are safe which are not; an error once in 30 s names what is full; who waits hears of
    it; another component goes on; soon after there is room it goes on."""
    clock = FakeClock()
    heard: list[str] = []
    subject = DeadLetters(tmp_path, clock, SMALL)
    with caplog.at_level(logging.ERROR, "shipper"):
        futures = [subject.put("es", [WIDE, WIDE], heard.append) for _ in range(20)]
        await until_slept(clock)
        for _ in range(20):
            await clock.advance(1)
        assert not futures[-1].done()
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1000
        await asyncio.wait_for(subject.put("loki", [WIDE]), 5)
    assert len(caplog.records) == 1
    assert "dead letters of es" in caplog.text
    assert "full" in caplog.text
    assert "full" in heard[0]
    assert not futures[-1].done()
    for file in tmp_path.glob("es@*"):
        file.unlink()
    clock.slept.clear()
    first = next(future for future in futures if not future.done())
    await moved_until(clock, first, 5)
    await subject.close(0)


async def test_every_letter_is_written_once_while_room_comes_and_goes(tmp_path: Path) -> None:
    """A request whose letters fit only in part is acknowledged when the last of them is on disk."""
    clock = FakeClock()
    subject = DeadLetters(tmp_path, clock, SMALL)
    futures = [
        subject.put("es", [Letter({"n": n, "m": "x" * 50}, "no") for n in range(k, k + 7)]) for k in range(0, 70, 7)
    ]
    seen: list[int] = []
    async with asyncio.timeout(10):
        while not futures[-1].done():
            for file in sorted(tmp_path.glob("es@*")):
                seen += [json.loads(line)["event"]["n"] for line in file.read_bytes().splitlines()]
                file.unlink()
            if clock.timers:
                await clock.advance(2)
            await asyncio.sleep(0.001)
    for file in [*sorted(tmp_path.glob("es@*")), tmp_path / "es.ndjson"]:
        seen += [json.loads(line)["event"]["n"] for line in file.read_bytes().splitlines()]
    assert seen == list(range(70))
    assert all(future.done() for future in futures)


async def test_the_oldest_that_gave_way_are_counted(tmp_path: Path) -> None:
    """`drop_oldest` goes on writing, and what was lost is a number."""
    rules = DeadLetterPolicy(max_bytes=Size(1000), rotate=Size(250), when_full="drop_oldest")
    subject = DeadLetters(tmp_path, FakeClock(), rules)
    for _ in range(30):
        await asyncio.wait_for(subject.put("es", [WIDE]), 5)
    (flow,) = subject.flows
    kept = sum(len(file.read_bytes().splitlines()) for file in tmp_path.iterdir())
    assert flow.gave_way == 30 - kept > 0


async def test_while_they_are_replayed_the_bound_is_lifted(tmp_path: Path) -> None:
    """What comes back must not wait for what only leaves once it came back."""
    subject = DeadLetters(tmp_path, FakeClock(), SMALL)
    subject.unbounded.add("es")
    await asyncio.wait_for(subject.put("es", [WIDE] * 30), 5)
    assert sum(len(file.read_bytes().splitlines()) for file in tmp_path.iterdir()) == 30


async def test_closing_does_not_wait_for_a_disk_that_refuses(tmp_path: Path) -> None:
    """At a stop those who wait hear that it failed, at once."""
    clock = FakeClock()
    (tmp_path / "dead").write_text("in the way")
    subject = DeadLetters(tmp_path / "dead", clock)
    future = subject.put("es", [WIDE])
    await until_slept(clock)
    await asyncio.wait_for(subject.close(grace=60), 2)
    assert future.cancelled()
