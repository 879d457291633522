"""A rotated file that is packed goes on where it was left: nothing is lost, nothing comes twice."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from shipper.inputs.file import File
from shipper.testing.drive import Driver
from tests.inputs.places import Place, messages, until

LINES = [f"{line:06} {'x' * 80}" for line in range(3000)]
TEXT = "".join(line + "\n" for line in LINES)


def pack(path: Path, keep: bool = False) -> Path:
    """What gzip does: a new file with the old one's times, then the old one is removed."""
    info, packed = path.stat(), path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(packed, ns=(info.st_atime_ns, info.st_mtime_ns))
    if not keep:
        path.unlink()
    return packed


async def taken(tail: Driver, batches: int) -> list[str]:
    """The lines of so many batches, accepted."""
    found = []
    for _ in range(batches):
        found += messages((await tail.next()).events)
        tail.accept()
    return found


@pytest.mark.parametrize("include", ["*.log*", "*.log"])
async def test_packed_while_stopped(place: Place, include: str) -> None:
    """A file that was renamed and packed while nobody looked is finished from its position, before the new file."""
    path = place.write("a.log", TEXT)
    async with place.tail(include=[include], room=2) as tail:
        found = await taken(tail, 2)
    assert 0 < len(found) < len(LINES)
    pack(path.rename(place.logs / "a.log.1"))
    place.write("a.log", "new\n")
    async with place.tail(include=[include]) as tail:
        found += messages(await tail.events(len(LINES) - len(found) + 1))
        assert found == [*LINES, "new"]
        await tail.nothing()
    async with place.tail(include=[include]) as tail:
        await tail.nothing()


async def test_read_whole_and_packed_while_stopped(place: Place) -> None:
    """What was delivered to its end is not read again because it was packed, however short it is."""
    for name, text in (("tiny.log", "x\n"), ("long.log", TEXT)):
        place.write(name, text)
    async with place.tail() as tail:
        await tail.events(1 + len(LINES))
    for name in ("tiny.log", "long.log"):
        pack((place.logs / name).rename(place.logs / f"{name}.1"))
    async with place.tail() as tail:
        await tail.nothing(0.6)


@pytest.mark.parametrize("text", ["x\n", TEXT])
async def test_packed_while_running(place: Place, text: str) -> None:
    """Packed beside it and then removed: the new file is a copy, over the next restart too."""
    path = place.write("a.log", text)
    async with place.tail() as tail:
        await tail.events(text.count("\n"))
        packed = pack(path.rename(place.logs / "a.log.1"), keep=True)
        await tail.nothing(0.2)
        (place.logs / "a.log.1").unlink()
        place.write("a.log", "new\n")
        assert messages(await tail.events(1)) == ["new"]
        await tail.nothing(1.2)
        packed.rename(place.logs / "a.log.2.gz")
        await tail.nothing()
    async with place.tail() as tail:
        await tail.nothing()


async def test_packed_while_the_output_is_blocked(place: Place) -> None:
    """What was not delivered yet when the file was packed and removed comes once, in order."""
    path = place.write("a.log", TEXT)
    async with place.tail(room=1) as tail:
        found = messages((await tail.next()).events)
        pack(path.rename(place.logs / "a.log.1"))
        place.write("a.log", "new\n")
        files, new = place.tailer(tail).census.files, (place.logs / "a.log").stat()
        await until(lambda: (file := files.get((new.st_dev, new.st_ino))) is not None and file.after)
        while len(found) < len(LINES) + 1:
            tail.accept()
            found += messages((await tail.next()).events)
        tail.accept()
        assert found == [*LINES, "new"]
        await tail.nothing(1.2)


async def test_written_to_after_it_was_packed(place: Place) -> None:
    """A writer that goes on in the old file is read to its end, and the packed file that lacks those lines is no new one."""
    path = place.write("a.log", TEXT)
    async with place.tail() as tail:
        await tail.events(len(LINES))
        with path.open("ab") as late:
            pack(path.rename(place.logs / "a.log.1"))
            late.write(b"late\n")
            late.flush()
            assert messages(await tail.events(1)) == ["late"]
            await tail.nothing(1.2)
    async with place.tail() as tail:
        await tail.nothing()


async def test_packed_and_kept(place: Place) -> None:
    """`gzip -k` makes a copy of what is being read: the copy waits as long as the original is there."""
    path = place.write("a.log", TEXT)
    async with place.tail() as tail:
        await tail.events(len(LINES))
        pack(path, keep=True)
        await tail.nothing(1.2)
        place.write("a.log", "more\n")
        assert messages(await tail.events(1)) == ["more"]


async def test_unpacked_again(place: Place) -> None:
    """A file that is unpacked where it lies goes on where the packed one was left."""
    path = place.write("a.log.1.gz", gzip.compress(TEXT.encode()))
    async with place.tail(room=2) as tail:
        found = await taken(tail, 2)
    (place.logs / "a.log.1").write_text(TEXT)
    path.unlink()
    async with place.tail() as tail:
        assert found + messages(await tail.events(len(LINES) - len(found))) == LINES
        await tail.nothing()


async def test_restarted_in_the_middle_of_a_packed_file(place: Place) -> None:
    """A packed file goes on where it was left; another one that took its place is read from its beginning."""
    path = place.write("a.log.gz", gzip.compress(TEXT.encode()))
    async with place.tail(room=2) as tail:
        found = await taken(tail, 2)
    async with place.tail(room=1) as tail:
        found += await taken(tail, 1)
    assert found == LINES[: len(found)] != LINES
    other = TEXT[:2000] + "".join(f"other {line}\n" for line in range(30_000))
    path.write_bytes(gzip.compress(other.encode()))
    async with place.tail() as tail:
        assert messages(await tail.events(other.count("\n"))) == other.splitlines()


async def test_a_packed_file_is_unpacked_once(place: Place) -> None:
    """What was delivered whole is not even unpacked at the next start: a start costs no more for a thousand old files."""
    packed = bytearray(gzip.compress(os.urandom(200_000).hex().encode() + b"\nlast\n"))
    path = place.write("a.log.gz", bytes(packed))
    async with place.tail() as tail:
        await tail.events(2)
    packed[len(packed) // 2] ^= 0xFF  # whoever unpacked it would stumble
    path.write_bytes(packed)
    async with place.tail() as tail:
        source = tail.source
        assert isinstance(source, File)
        await until(lambda: any(file.settled for file in place.tailer(tail).census.files.values()))
        assert not tail.scope.counters["unreadable_files", ()]


async def test_packed_files_that_begin_alike(place: Place) -> None:
    """Twenty files with the same two kilobytes at their head, half of them packed while stopped: each goes on as itself."""
    head = "banner " * 300 + "\n"
    for number in range(20):
        place.write(f"app{number}.log", head + "".join(f"{number} {line}\n" for line in range(number + 1)))
    async with place.tail() as tail:
        await tail.events(sum(number + 2 for number in range(20)))
    for number in range(0, 20, 2):
        place.write(f"app{number}.log", f"{number} unread\n")
        pack((place.logs / f"app{number}.log").rename(place.logs / f"app{number}.log.1"))
        place.write(f"app{number}.log", head + f"{number} new\n")
    async with place.tail() as tail:
        found = messages(await tail.events(30))
        expected = [line for number in range(0, 20, 2) for line in (f"{number} unread", head[:-1], f"{number} new")]
        assert sorted(found) == sorted(expected)
        await tail.nothing()


async def test_packed_twice_while_stopped(place: Place) -> None:
    """Two rotations while nobody looked: the older file is finished, the newer packed one and the new one are read whole."""
    path = place.write("a.log", TEXT)
    async with place.tail(room=1) as tail:
        found = await taken(tail, 1)
    pack(path.rename(place.logs / "a.log.2"))
    pack(place.write("a.log", "second\n").rename(place.logs / "a.log.1"))
    place.write("a.log", "third\n")
    async with place.tail() as tail:
        found += messages(await tail.events(len(LINES) - len(found) + 2))
        assert found[: len(LINES)] == LINES
        assert sorted(found[len(LINES) :]) == ["second", "third"]
        await tail.nothing()


async def test_other_packed_files_are_no_text(place: Place) -> None:
    """Files packed with something else than gzip are said once and not read as if they were text."""
    place.write("a.log.1.xz", b"\xfd7zXZ\0\0\4garbage\n")
    place.write("a.log.2.zst", b"\x28\xb5\x2f\xfdgarbage\n")
    place.write("a.log.3.zst", "text in spite of its name\n")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["text in spite of its name"]
        await tail.nothing()
        assert tail.scope.counters["unreadable_files", ()] == 2


ROTATIONS = {
    "rename": "create",
    "rename and pack later": "create\ndelaycompress",
    "dates": "create\ndateext\ndateformat -%Y%m%d-%s",
    "copy and truncate": "copytruncate",
}


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="needs logrotate")
@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("way", ROTATIONS)
async def test_logrotate(place: Place, way: str, stopped: bool) -> None:
    """The real logrotate with `compress`, several times, everything it makes in the patterns: each line comes once."""
    place.logs.chmod(0o755)
    path = place.write("a.log", "")
    rules = place.root / "rules"
    rules.write_text(f"{place.logs}/a.log {{\nrotate 9\ncompress\nsize 1\n{ROTATIONS[way]}\n}}\n")
    rules.chmod(0o644)
    written: list[str] = []
    seen: list[str] = []

    def write(count: int) -> None:
        lines = [f"{len(written) + line} {'y' * 60}" for line in range(count)]
        place.write("a.log", "".join(line + "\n" for line in lines))
        written.extend(lines)

    async def settle(tail: Driver) -> None:
        seen.extend(messages(await tail.events(len(written) - len(seen))))

    def rotate() -> None:
        began = int(time.time())
        while "%s" in ROTATIONS[way] and int(time.time() - 0.05) <= began:  # each second is a name, and time(2) is late
            time.sleep(0.01)
        command: list[Any] = ["logrotate", "-f", "-s", place.root / "logrotate.state", rules]
        subprocess.run(command, check=True, capture_output=True)

    for count in (1, 500, 30, 2000):
        write(count)
        if stopped:
            rotate()
            write(count)
        async with place.tail() as tail:
            await settle(tail)
            if not stopped:
                rotate()
                write(count)
                await settle(tail)
                write(3)
            await settle(tail)
            await tail.nothing(0.2)
        write(2)
    assert path.exists()
    assert sorted(seen) == sorted(written[: len(seen)])


@pytest.mark.parametrize("include", ["*.log*", "*.log"])
@pytest.mark.parametrize("truncated", [False, True], ids=["packed", "copied and truncated"])
async def test_rotated_while_its_handle_was_closed(place: Place, truncated: bool, include: str) -> None:
    """With more files than handles, what was written to a quiet file before it was rotated is read from what it became."""
    async with place.tail(include=[include]) as tail:
        census = place.tailer(tail).census
        census.opening.most = 8
        for number in range(20):
            place.write(f"{number}.log", f"{number} " + "".join(line + "\n" for line in LINES[:20]))
        await tail.events(20 * 20)
        await until(lambda: any(file.handle is None for file in census.files.values()))
        closed = next(Path(file.path) for file in census.files.values() if file.handle is None)
        place.write(closed.name, "unread\n")
        if truncated:
            shutil.copy(closed, place.logs / f"{closed.name}.1")
            os.truncate(closed, 0)
        else:
            pack(closed.rename(place.logs / f"{closed.name}.1"))
        place.write(closed.name, "new\n")
        assert messages(await tail.events(2)) == ["unread", "new"]
        await tail.nothing(1.2)


async def test_once_with_more_packed_files_than_handles(place: Place) -> None:
    """Small ones, which could be copies in the making, are read in the same run all the same."""
    for number in range(40):
        place.write(f"{number}.log.gz", gzip.compress(f"{number}\n".encode()))
    async with place.tail(follow=False) as tail:
        place.tailer(tail).census.opening.most = 8
        assert sorted(messages(await tail.events(40))) == sorted(str(number) for number in range(40))
        await tail.ended()
