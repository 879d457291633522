"""Positions survive whatever happens to their files."""

from __future__ import annotations

import asyncio
import random
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.component import Scope
from shipper.files.checkpoints import FORGET, Entry, Positions, Slots
from shipper.files.identity import Digest


def entry(offset: int) -> Entry:
    return Entry("/var/log/\udcff.log", (1, 2), 3, offset, Digest(4, "ab"), Digest(5, "cd"))


def written(folder: Path) -> Slots:
    """Two slots: the older says 1, the newer says 2."""
    slots = Slots(folder, Scope("in", folder).set_aside)
    slots.write([entry(1).dump()], 10.0)
    slots.write([entry(2).dump()], 20.0)
    return slots


def loaded(folder: Path) -> int | None:
    found = Slots(folder, Scope("in", folder).set_aside).load()
    return found["files"][0].offset if found else None


def test_what_was_saved_last_is_read(tmp_path: Path) -> None:
    """Everything that an entry says comes back, whatever bytes its name has."""
    written(tmp_path)
    found = Slots(tmp_path, Scope("in", tmp_path).set_aside).load()
    assert found is not None
    assert found["files"][0].dump() == entry(2).dump()
    assert found["files"][0].path == "/var/log/\udcff.log"


def test_a_slot_torn_at_any_byte_gives_way_to_the_other(tmp_path: Path) -> None:
    """However much of the newer slot is left, the older one is read, and the damaged one is set aside."""
    slots = written(tmp_path)
    newest = tmp_path / Slots.NAMES[slots.sequence % 2]
    whole = newest.read_bytes()
    for length in range(len(whole)):
        newest.write_bytes(whole[:length])
        assert loaded(tmp_path) == 1
        kept = tmp_path / "quarantine" / f"in.{tmp_path.name}.{newest.name}.{length + 1}"
        assert kept.read_bytes() == whole[:length]


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    """No bit of a slot can change without the other slot being taken."""
    slots = written(tmp_path)
    newest = tmp_path / Slots.NAMES[slots.sequence % 2]
    whole = newest.read_bytes()
    chance = random.Random(7)
    for _ in range(200):
        broken = bytearray(whole)
        broken[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        newest.write_bytes(broken)
        assert loaded(tmp_path) == 1


@pytest.mark.parametrize("lost", ["missing", "empty", "garbage", "unreadable", "link", "future"])
def test_one_slot_is_enough(tmp_path: Path, lost: str) -> None:
    """Whatever becomes of the newer slot, what the older one says is read, and saving goes on."""
    slots = written(tmp_path)
    newest = tmp_path / Slots.NAMES[slots.sequence % 2]
    whole = newest.read_bytes()
    newest.unlink()
    if lost == "unreadable":
        newest.mkdir()
    elif lost == "link":
        (tmp_path / "elsewhere").write_bytes(whole)
        newest.symlink_to(tmp_path / "elsewhere")
    elif lost == "future":
        body = whole.split(b" ", 1)[1].rstrip().replace(b'"version":1', b'"version":2')
        newest.write_bytes(b"%08x %b\n" % (zlib.crc32(body), body))
    elif lost != "missing":
        newest.write_bytes(b"" if lost == "empty" else b"garbage")
    again = Slots(tmp_path, Scope("in", tmp_path).set_aside)
    found = again.load()
    assert found is not None and found["files"][0].offset == 1
    assert len(again.damaged) == (lost != "missing")
    if lost == "unreadable":
        newest.rmdir()
    again.write([entry(3).dump()], 30.0)
    assert loaded(tmp_path) == 3


def test_a_state_of_an_older_release_is_read(tmp_path: Path) -> None:
    """What was saved before a field was there is read with its default."""
    old = {name: value for name, value in entry(5).dump().items() if name not in ("ends", "id")}
    Slots(tmp_path, Scope("in", tmp_path).set_aside).write([old], 10.0)
    assert loaded(tmp_path) == 5


@pytest.mark.parametrize("junk", [b"", b"garbage", b"00000000 {}\n", b"\0" * 100])
async def test_without_a_whole_slot_it_starts_over_and_says_so(
    tmp_path: Path, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Two bad slots are no reason not to start: nothing is known, a warning and a counter say why."""
    (tmp_path / "positions").mkdir()
    for name in Slots.NAMES:
        (tmp_path / "positions" / name).write_bytes(junk)
    scope = Scope("files", tmp_path)
    positions = Positions(scope)
    await positions.load()
    assert not positions.entries
    assert positions.saved == 0
    assert scope.counters["damaged_positions", ()] == 2
    assert "every file is read again from its beginning" in caplog.text


async def test_a_disk_that_fails_is_tried_again(tmp_path: Path) -> None:
    """While positions cannot be saved nothing is raised and it is counted; afterwards they are saved."""
    scope = Scope("files", tmp_path, checkpoint_interval=0.01)
    blocked = tmp_path / "positions"
    blocked.write_text("a file where the folder should be")
    positions = Positions(scope)
    positions.add(entry(7))
    async with asyncio.timeout(10):
        while not scope.counters["failed_checkpoints", ()]:
            await asyncio.sleep(0.005)
        blocked.unlink()
        while loaded(blocked) != 7:
            await asyncio.sleep(0.005)
    await positions.close()


async def test_what_is_gone_for_a_day_is_forgotten(tmp_path: Path) -> None:
    """A file that is gone is remembered for a day and no longer; one that is there for ever."""
    scope = Scope("files", tmp_path)
    positions = Positions(scope)
    now = scope.clock.time()
    for index, gone in enumerate((0.0, now - FORGET + 60, now - FORGET - 60)):
        positions.add(Entry(f"/{index}", (1, index), gone=gone))
    await positions.close()
    found = Slots(tmp_path / "positions", Scope("in", tmp_path).set_aside).load()
    assert found is not None
    assert [each.path for each in found["files"]] == ["/0", "/1"]


CHANGES: dict[str, Any] = {
    "path": "/other.log", "key": (5, 6), "born": 7, "offset": 8, "head": Digest(9, "ef"), "mark": Digest(10, "01"),
    "ends": (11, 12), "gone": 13.5, "id": "fourteen",
}  # fmt: skip


def test_what_is_kept_packed_is_what_would_be_packed_now() -> None:
    """Whichever part of an entry changes, it is saved anew; nothing that is saved can be left out here."""
    subject = entry(1)
    assert orjson.loads(orjson.dumps(subject.packed())) == subject.dump()
    kept = subject.packed()
    assert subject.packed() is kept
    for name, value in CHANGES.items():
        setattr(subject, name, value)
        assert subject.packed() is not kept, name
        kept = subject.packed()
        assert orjson.loads(orjson.dumps(kept)) == orjson.loads(orjson.dumps(subject.dump())), name
    assert {*CHANGES, "device", "inode"} - {"key"} == set(subject.dump())
