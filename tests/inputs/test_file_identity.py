"""No file is taken for another: recycled inodes, equal beginnings, truncation, whatever the agent did meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from shipper.files.copies import COPY_WAIT
from shipper.files.handles import Handle
from shipper.options import Duration
from tests.faults.bench.following import recycled
from tests.inputs.places import Place, messages, until

NEW = {"shorter": "new\n", "longer": "new content that is longer\nthan before\n", "equal first line": "one\nmore\n"}


@pytest.mark.parametrize("stopped", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("name", ["a.log", "b.log"], ids=["same name", "other name"])
@pytest.mark.parametrize("new", NEW)
async def test_a_recycled_inode(place: Place, new: str, name: str, stopped: bool) -> None:
    """A new file with the inode of a deleted one is read from its beginning, in all twelve combinations."""
    path = place.write("a.log", "one\ntwo\n" if new == "longer" else "one\n")
    inode = path.stat().st_ino
    lines = NEW[new].splitlines()

    def replace(old: Path) -> None:
        old.unlink()
        if not recycled(place.logs / name, inode, NEW[new].encode()):
            pytest.skip("this file system gives no inode back")

    async with place.tail(include=["*.log"]) as tail:
        await tail.events(2 if new == "longer" else 1)
        if not stopped:
            census = place.tailer(tail).census
            old = path.rename(place.root / "old")  # out of sight, and there: only then the handle is let go
            await until(lambda: not census.files)
            replace(old)
            assert messages(await tail.events(len(lines))) == lines
            await tail.nothing()
    if stopped:
        replace(path)
        async with place.tail(include=["*.log"]) as tail:
            assert messages(await tail.events(len(lines))) == lines
            await tail.nothing()


async def test_a_deleted_file_is_known_to_be_gone(place: Place) -> None:
    """Where no birth times are known too: what was deleted while it was open gives its number away."""
    path = place.write("a.log", "one\n")
    async with place.tail() as tail:
        await tail.events(1)
        census = place.tailer(tail).census
        path.unlink()
        await until(lambda: not census.files)
        assert [entry.key for entry in census.positions.entries] == [(0, 0)]


async def test_truncated_and_grown_beyond_its_size_with_lines_that_end_alike(place: Place) -> None:
    """Twenty times, with lines of one length whose last hundred bytes are always the same: each comes once, none in parts."""
    path = place.write("a.log", "")
    rest = "-" * 200
    async with place.tail() as tail:
        for number in range(20):
            lines = [f"{number:03} {line:03} {rest}" for line in range(5 + number)]
            with path.open("r+b") as file:  # at one stroke, as far as a poll can see
                file.truncate(0)
                file.write("".join(line + "\n" for line in lines).encode())
            assert messages(await tail.events(len(lines))) == lines
        await tail.nothing()


async def test_written_anew_with_the_same_length(place: Place) -> None:
    """New content that is exactly as long as the old and ends alike is read."""
    path = place.write("a.log", "one " + "-" * 100 + "\n")
    async with place.tail() as tail:
        await tail.events(1)
        with path.open("r+b") as file:
            file.write(b"two " + b"-" * 100 + b"\n")
        assert messages(await tail.events(1)) == ["two " + "-" * 100]
        await tail.nothing()


async def test_tiny_files_and_empty_ones(place: Place) -> None:
    """Fifty files of two bytes, all the same, and empty ones: each line once, also for those that come later."""
    for number in range(50):
        place.write(f"{number}.log", "x\n")
        place.write(f"empty{number}.log", "")
    async with place.tail() as tail:
        assert messages(await tail.events(50)) == ["x"] * 50
        for number in range(50, 60):
            place.write(f"{number}.log", "x\n")
        assert messages(await tail.events(10)) == ["x"] * 10
        place.write("empty7.log", "y\n")
        assert messages(await tail.events(1)) == ["y"]
        await tail.nothing()
    async with place.tail() as tail:
        await tail.nothing()


async def test_twin_headers_over_a_restart(place: Place) -> None:
    """Fifty files with the same two kilobytes at their head; one is deleted and another made while stopped: it is read."""
    head = "h" * 2047 + "\n"
    for number in range(50):
        place.write(f"file{number}.log", head)
    async with place.tail() as tail:
        await tail.events(50)
    (place.logs / "file7.log").unlink()
    place.write("other.log", head + "new\n")
    place.write("file8.log", "more\n")
    async with place.tail() as tail:
        assert sorted(messages(await tail.events(3))) == [head[:-1], "more", "new"]
        await tail.nothing()


@pytest.mark.parametrize("stopped", [False, True], ids=["up", "down"])
async def test_tiny_copies(place: Place, stopped: bool) -> None:
    """`copytruncate` of a file of a few bytes: its copy is no new file, up or down."""
    path = place.write("a.log", "x\n")
    async with place.tail() as tail:
        await tail.events(1)
        if not stopped:
            shutil.copy(path, place.logs / "a.log.1")
            os.truncate(path, 0)
            place.write("a.log", "y\n")
            assert messages(await tail.events(1)) == ["y"]
            await tail.nothing(1.2)
    if stopped:
        shutil.copy(path, place.logs / "a.log.1")
        os.truncate(path, 0)
        place.write("a.log", "y\n")
        async with place.tail() as tail:
            assert messages(await tail.events(1)) == ["y"]
            await tail.nothing()


async def test_a_hard_link_over_restarts(place: Place) -> None:
    """A file with two names is read once, whichever name is there, and whichever goes."""
    path = place.write("a.log", "one\n")
    os.link(path, place.logs / "b.log")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["one"]
    path.unlink()
    place.write("b.log", "two\n")
    os.link(place.logs / "b.log", place.logs / "c.log")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["two"]
        (place.logs / "b.log").unlink()
        place.write("c.log", "three\n")
        assert messages(await tail.events(1)) == ["three"]
        await tail.nothing()


@pytest.mark.parametrize("stopped", [False, True], ids=["up", "down"])
async def test_what_was_rotated_is_finished_first(place: Place, stopped: bool) -> None:
    """The lines of a renamed file come before those of the new file of its name."""
    lines = [f"{line:06} {'x' * 90}" for line in range(20_000)]
    path = place.write("a.log", "".join(line + "\n" for line in lines))

    def rotate() -> None:
        path.rename(place.logs / "a.log.1")
        place.write("a.log", "new\n")

    async with place.tail(room=1) as tail:
        found = messages((await tail.next()).events)
        tail.accept()
        if not stopped:
            rotate()
        while not stopped and len(found) <= len(lines):
            found += messages((await tail.next()).events)
            tail.accept()
    if stopped:
        rotate()
        async with place.tail() as tail:
            found += messages(await tail.events(len(lines) + 1 - len(found)))
    assert found == [*lines, "new"]


async def test_a_rotated_file_that_cannot_be_read_holds_up_nobody(place: Place) -> None:
    """The new file waits for the old one only as long as that can be read."""
    path = place.write("a.log", "one\n" * 50_000)
    async with place.tail(room=1) as tail:
        await tail.next()
        tail.accept()
    path.rename(place.logs / "a.log.1")
    (place.logs / "a.log.1").write_bytes(b"")
    place.write("a.log", "new\n")
    async with place.tail() as tail:
        assert messages(await tail.events(1)) == ["new"]


async def test_a_finished_copy_that_is_being_synced(place: Place) -> None:
    """logrotate syncs a copy before it truncates the original: a large one stands beside it for long, and is no new file."""
    line = "x" * 2**20 + "\n"
    log = place.write("a.log", line * 16)
    async with place.tail(room=100) as tail:
        await tail.events(16)
        shutil.copy(log, place.logs / "a.log.1")
        await tail.nothing(COPY_WAIT + 0.4)  # a disk may take a second for that much
        os.truncate(log, 0)
        place.write("a.log", "new\n")
        assert messages(await tail.events(1)) == ["new"]
        await tail.nothing(0.3)


async def test_a_tiny_twin_waits_for_no_scan(place: Place) -> None:
    """A file that looks like a copy is read when it has waited long enough, however seldom folders are looked at."""
    place.write("a.log", "x\n")
    async with place.tail(poll_interval=Duration(4)) as tail:
        await tail.events(1)
        place.write("a.log.1.log", "x\n")
        census = place.tailer(tail).census
        await until(lambda: any(file.suspected is not None for file in census.files.values()))
        async with asyncio.timeout(COPY_WAIT + 1.5):
            assert messages(await tail.events(1)) == ["x"]


class Failing(Handle):
    """A handle of a file system that has gone away."""

    def _fail(self, *_: int) -> Any:
        raise OSError(errno.ESTALE, "Stale file handle")

    stat = reaches = head = key = read = _fail  # type: ignore[assignment]


async def test_a_file_system_that_fails_holds_up_nobody(place: Place) -> None:
    """Whatever is asked of a stale handle: it is that file's trouble, said once, and the input goes on; nothing is lost."""
    place.write("a.log", "one\n")
    place.write("b.log", "")
    async with place.tail() as tail:
        await tail.events(1)
        census = place.tailer(tail).census
        await until(lambda: len(census.files) == 2)
        for file in census.files.values():
            assert file.handle is not None
            file.handle = Failing(os.dup(file.handle.fd))
        place.write("a.log", "two\n")
        place.write("b.log", "other\n")
        place.write("c.log", "next\n")
        assert sorted(messages(await tail.events(3))) == ["next", "other", "two"]
        assert tail.scope.counters["unreadable_files", ()] == 2


async def test_what_cannot_be_looked_at_is_not_gone(place: Place) -> None:
    """A file is not taken for removed while it, or a folder above it, answers with an error that says nothing about it."""
    log = place.write("a.log", "one\n")
    async with place.tail() as tail:
        await tail.events(1)
        census = place.tailer(tail).census
        for number, path, hidden in (
            (errno.ESTALE, log, True),
            (errno.EACCES, place.logs, True),
            (errno.EIO, place.logs / "other", False),
            (errno.ELOOP, log, False),
        ):
            census._failing.clear()
            census.trouble(str(path), OSError(number, "it failed"))
            assert census._hidden(str(log)) is hidden


async def test_a_name_that_lasts_no_time(place: Place) -> None:
    """Renamed out of the pattern before anybody could look, and renamed again: where the system tells of it, it is read."""
    path = place.write("app.log", "first\n")
    async with place.tail(include=["app.log"]) as tail:
        assert messages(await tail.events(1)) == ["first"]
        moves = place.tailer(tail).census.moves

        def rename(before: str, after: str) -> None:
            path.with_name(before).rename(path.with_name(after))
            moves.append((str(path.with_name(before)), str(path.with_name(after))))

        for number in range(2, 12):  # not one await in between
            rename("app.log", f"app.log.{number}")
            path.write_text(f"line {number}\n")
        rename("app.log.5", "app.log.five")
        found = await tail.events(10)
        assert sorted(messages(found)) == sorted(f"line {number}" for number in range(2, 12))
        assert {event["file"] for event in found} == {str(path)}
        await tail.nothing()


async def test_truncated_before_its_first_turn(place: Place) -> None:
    """Written anew, shorter and with the same long header, while others were read: from its beginning, not behind its old end."""
    header = "h" * 1500 + "\n"
    path = place.write("a.log", header + "old\n" * 100)
    async with place.tail() as tail:
        await tail.events(101)
    busy = place.write("busy.log", ("x" * 99 + "\n") * 3000)
    os.utime(busy, (1, 1))  # the oldest has the first turn
    async with place.tail(room=1) as tail:
        found = len(await tail.next())
        path.write_text(header + "new\n")
        tail.accept()
        while found < 3000:
            found += len(await tail.next())
            tail.accept()
        assert messages(await tail.events(2)) == [header[:-1], "new"]


@pytest.mark.parametrize("include", ["app.log*", "app.log"])
async def test_a_copy_is_read_to_its_end_before_the_truncated_file(place: Place, include: str) -> None:
    """Truncated when much of it was not read yet: the rest, out of the copy, comes before the new lines."""
    path = place.write("app.log", "first\n")
    old = [f"old {number} {'-' * 200}" for number in range(5000)]
    new = [f"new {number}" for number in range(50)]
    async with place.tail(include=[include]) as tail:
        assert messages(await tail.events(1)) == ["first"]
        with path.open("a") as file:
            file.writelines(line + "\n" for line in old)
        shutil.copyfile(path, path.with_name("app.log.1"))
        with path.open("r+") as file:
            file.truncate(0)
            file.writelines(line + "\n" for line in new)
        assert messages(await tail.events(len(old) + len(new))) == old + new
        await tail.nothing()
