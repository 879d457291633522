"""Dead letters are on disk before they count as safe, and whatever an event holds can be written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import orjson

from shipper.delivery.dead_letters import DeadLetters, Letter, encode_letter
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
    for value in ("\ud800", 2**80, deep, {1: object()}, float("nan")):
        line = encode_letter("now", "c", Letter({"v": value}, "r"))
        assert line.count(b"\n") == 1
        assert json.loads(line)["component"] == "c"
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
