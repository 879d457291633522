"""Several processes append to one file: every piece is whole and there once, and one of them exchanges the file."""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from shipper.files.appending import Disk, Shape
from shipper.files.packed import MARKS, gzip_whole, zstd_whole
from shipper.files.together import SharedAppender
from tests.e2e.agent import environment

NOW = 1_790_000_000.0


def appender(path: Path, shape: Shape | None = None, disk: Disk | None = None, now: float = NOW) -> SharedAppender:
    return SharedAppender(str(path.parent), [path.name], shape or Shape(), now, disk or Disk())


def every_line(folder: Path) -> list[bytes]:
    return [line for path in folder.iterdir() for line in path.read_bytes().splitlines(keepends=True)]


def test_pieces_are_whole_and_there_once(tmp_path: Path) -> None:
    """Two that write at the same time, with a new file every few pieces: no line is torn, lost or doubled."""
    shape = Shape(size=3000)

    def write(who: bytes) -> None:
        file = appender(tmp_path / "x.log", shape)
        for number in range(300):
            file.append([b"%b %d a\n" % (who, number), b"%b %d %b\n" % (who, number, b"b" * 50)], NOW)
            if number % 7 == 0:
                file.sync()
        file.close()

    threads = [threading.Thread(target=write, args=(who,)) for who in (b"one", b"two", b"three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = Counter(
        b"%b %d %b\n" % (who, number, rest)
        for who in (b"one", b"two", b"three") for number in range(300) for rest in (b"a", b"b" * 50)
    )  # fmt: skip
    assert Counter(every_line(tmp_path)) == wanted
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) > 15
    assert max(sizes) <= 3000
    assert min(size for size in sizes if size) > 2000 or len([size for size in sizes if size < 2000]) == 1


def test_one_exchanges_and_the_others_follow(tmp_path: Path) -> None:
    """After another has begun a new file, the next write goes there; old files are deleted once."""
    shape = Shape(size=20, keep=1)
    one, two = appender(tmp_path / "x.log", shape), appender(tmp_path / "x.log", shape)
    one.append([b"1" * 10 + b"\n"], NOW)
    two.append([b"2" * 10 + b"\n"], NOW)  # does not fit behind what it did not write itself
    one.append([b"3\n"], NOW)
    assert (tmp_path / "x.log").read_bytes() == b"2" * 10 + b"\n3\n"
    two.append([b"4" * 15 + b"\n"], NOW)
    one.append([b"5\n"], NOW)
    assert (tmp_path / "x.log").read_bytes() == b"4" * 15 + b"\n5\n"
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"2" * 10 + b"\n3\n", b"4" * 15 + b"\n5\n"]


def test_a_period_ends_once(tmp_path: Path) -> None:
    """With `every`, the first that writes in a new period begins the new file, and the others do not begin another."""
    shape = Shape(every=3600)
    at = NOW // 3600 * 3600
    one, two = appender(tmp_path / "x.log", shape, now=at), appender(tmp_path / "x.log", shape, now=at)
    for path, now in ((one, at + 1), (two, at + 2)):
        path.append([b"old\n"], now)
    os.utime(tmp_path / "x.log", (at + 2, at + 2))
    one.append([b"new\n"], at + 3601)
    os.utime(tmp_path / "x.log", (at + 3601, at + 3601))
    two.append([b"new\n"], at + 3602)
    one.append([b"new\n"], at + 3603)
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"new\n" * 3, b"old\n" * 2]


@pytest.mark.parametrize("gone", ["moved", "deleted", "folder moved", "folder deleted"])
def test_what_somebody_else_took_away_is_begun_anew(tmp_path: Path, gone: str) -> None:
    """The very next write of each goes to the file at the path."""
    path = tmp_path / "logs" / "x.log"
    one, two = appender(path), appender(path)
    one.append([b"1\n"], NOW)
    if gone == "moved":
        path.rename(tmp_path / "y.log")
    elif gone == "folder moved":
        path.parent.rename(tmp_path / "old")
    else:
        path.unlink()
        if gone == "folder deleted":
            path.parent.rmdir()
    two.append([b"2\n"], NOW)
    one.append([b"3\n"], NOW)
    assert path.read_bytes() == b"2\n3\n"


def test_a_torn_end_is_closed_once(tmp_path: Path) -> None:
    """Half a line of a process that was killed gets one newline, from whoever writes next, even if that wrote before it."""
    one, two = appender(tmp_path / "x.log"), appender(tmp_path / "x.log")
    one.append([b"1\n"], NOW)
    with (tmp_path / "x.log").open("ab") as dying:
        dying.write(b"half a li")
    one.append([b"2\n"], NOW)
    two.append([b"3\n"], NOW)
    appender(tmp_path / "x.log").append([b"4\n"], NOW)
    assert (tmp_path / "x.log").read_bytes() == b"1\nhalf a li\n2\n3\n4\n"


PACKINGS: list[tuple[str, Any, Any]] = [
    ("gzip", gzip.compress, gzip_whole),
    ("zstd", zstandard.ZstdCompressor().compress, zstd_whole),
]


def unpacked(kind: str, data: bytes) -> bytes:
    if kind == "gzip":
        return gzip.decompress(data)
    read: bytes = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    return read


@pytest.mark.parametrize(("kind", "pack", "whole"), PACKINGS)
@pytest.mark.parametrize("torn", [1, 5, -1])
def test_a_torn_member_is_put_aside_by_one(tmp_path: Path, kind: str, pack: Any, whole: Any, torn: int) -> None:
    """A packed file with a torn end goes aside, and everything that was acknowledged can be unpacked."""
    shape = Shape(lines=False, whole=whole, mark=MARKS[kind])
    one, two = appender(tmp_path / "x.log", shape), appender(tmp_path / "x.log", shape)
    one.append([pack(b"1\n")], NOW)
    two.append([pack(b"2\n")], NOW)
    before = (tmp_path / "x.log").read_bytes()
    with (tmp_path / "x.log").open("ab") as dying:
        dying.write(pack(b"torn\n")[:torn])
    one.append([pack(b"3\n")], NOW)
    two.append([pack(b"4\n")], NOW)
    old, new = sorted(tmp_path.iterdir(), key=lambda path: -len(path.name))
    assert unpacked(kind, new.read_bytes()) == b"3\n4\n"
    assert unpacked(kind, old.read_bytes()[: len(before)]) == b"1\n2\n"


@pytest.mark.parametrize(("kind", "pack", "whole"), PACKINGS)
def test_marked_files_are_whole_for_a_single_process_too(tmp_path: Path, kind: str, pack: Any, whole: Any) -> None:
    """What several left, one goes on with, and the other way round; the whole file is only looked through where no mark is."""
    looked: list[int] = []

    def counting(fd: int) -> bool:
        looked.append(fd)
        return bool(whole(fd))

    path = tmp_path / "x.log"
    path.write_bytes(pack(b"1\n"))
    shape = Shape(lines=False, whole=counting, mark=MARKS[kind])
    one, two = appender(path, shape), appender(path, shape)
    for file in (one, two, one, two):
        file.append([pack(b"2\n")], NOW)
    assert len(looked) == 1
    fd = os.open(path, os.O_RDONLY)
    assert whole(fd)
    os.close(fd)
    assert unpacked(kind, path.read_bytes()) == b"1\n2\n2\n2\n2\n"
    assert len(list(tmp_path.iterdir())) == 1


class Failing(Disk):
    """A disk that is full after some bytes, or whose syncs fail."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.syncs = 0

    def write(self, fd: int, bodies: Sequence[bytes]) -> int:
        if self.room is None:
            return super().write(fd, bodies)
        if not self.room:
            raise OSError(errno.ENOSPC, "full")
        data = b"".join(bodies)[: self.room]
        self.room -= len(data)
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        if self.syncs:
            self.syncs -= 1
            raise OSError(errno.EIO, "broken")
        super().sync(fd)


def test_a_full_disk_takes_back_its_own_piece_only(tmp_path: Path) -> None:
    """A write that finds no room leaves the file as the other left it."""
    disk = Failing()
    one, two = appender(tmp_path / "x.log", disk=disk), appender(tmp_path / "x.log")
    two.append([b"theirs\n"], NOW)
    disk.room = 3
    with pytest.raises(OSError, match="full"):
        one.append([b"mine\n"], NOW)
    two.append([b"theirs again\n"], NOW)
    disk.room = None
    one.append([b"mine\n"], NOW)
    assert (tmp_path / "x.log").read_bytes() == b"theirs\ntheirs again\nmine\n"


@pytest.mark.parametrize("theirs", ["none", "before", "behind"])
def test_a_failed_sync_takes_back_nothing_of_others(tmp_path: Path, theirs: str) -> None:
    """What was not made durable is cut off when it is the end and one's own; else it stays, and is there twice."""
    disk = Failing()
    one, two = appender(tmp_path / "x.log", disk=disk), appender(tmp_path / "x.log")
    one.append([b"safe\n"], NOW)
    one.sync()
    one.append([b"lost\n"], NOW)
    if theirs == "before":
        two.append([b"theirs\n"], NOW)
        one.append([b"lost too\n"], NOW)
    elif theirs == "behind":
        two.append([b"theirs\n"], NOW)
    disk.syncs = 1
    with pytest.raises(OSError, match="broken"):
        one.sync()
    one.cut_back()
    left = {"none": b"safe\n", "before": b"safe\nlost\ntheirs\n", "behind": b"safe\nlost\ntheirs\n"}
    assert (tmp_path / "x.log").read_bytes() == left[theirs]
    two.append([b"on\n"], NOW)
    one.append([b"we go\n"], NOW)
    assert (tmp_path / "x.log").read_bytes() == left[theirs] + b"on\nwe go\n"


def test_a_sync_that_failed_at_an_exchange_is_not_forgotten(tmp_path: Path) -> None:
    """What could not be made durable in the old file fails the next sync, whatever file that is on."""
    disk = Failing()
    one, two = appender(tmp_path / "x.log", Shape(size=10), disk), appender(tmp_path / "x.log", Shape(size=10))
    one.append([b"12345678\n"], NOW)
    two.append([b"12345678\n"], NOW)
    disk.syncs = 1
    one.append([b"\n"], NOW)
    with pytest.raises(OSError, match="broken"):
        one.sync()
    one.sync()


def test_a_running_sync_does_not_keep_the_lock(tmp_path: Path) -> None:
    """While one waits for the disk, the other exchanges the file and writes on."""
    begun, go = threading.Event(), threading.Event()

    class Slow(Disk):
        def sync(self, fd: int) -> None:
            begun.set()
            assert go.wait(10)
            super().sync(fd)

    slow = Slow()
    one, two = appender(tmp_path / "x.log", Shape(size=10), slow), appender(tmp_path / "x.log", Shape(size=10))
    one.append([b"1234\n"], NOW)
    thread = threading.Thread(target=one.sync)
    thread.start()
    assert begun.wait(10)
    two.append([b"12345678\n"], NOW)
    two.append([b"12345678\n"], NOW)
    go.set()
    thread.join()
    assert len(list(tmp_path.iterdir())) == 3


CHILD = """
import sys
from pathlib import Path
from shipper.files.appending import Disk, Shape
from shipper.files.together import SharedAppender
folder, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
file = SharedAppender(folder, ["x.log"], Shape(size=200_000), 1.79e9, Disk())
for number in range(count):
    file.append([b"%b %d %b\\n" % (who.encode(), number * 10 + line, b"x" * 300) for line in range(10)], 1.79e9)
    print(number, flush=True)
"""


def child(folder: Path, who: str, count: int) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", CHILD, str(folder), who, str(count)]
    return subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE)


def test_processes_that_are_killed_leave_whole_lines(tmp_path: Path) -> None:
    """Two processes with a new file every 200 kB, a third killed over and over in between: what any of them was told is
    there is there, once, and at most one torn line for each kill."""
    out = tmp_path / "out"
    steady = [child(out, "one", 1500), child(out, "two", 1500)]
    told: dict[str, int] = {}
    for kill in range(6):
        with child(out, f"dying{kill}", 10**6) as dying:
            assert dying.stdout is not None
            for _ in range(30 + kill * 7):
                assert dying.stdout.readline()
            dying.send_signal(signal.SIGKILL)
            rest = dying.stdout.read().splitlines(keepends=True)
        told[f"dying{kill}"] = 30 + kill * 7 + sum(line.endswith(b"\n") for line in rest)
    for process in steady:
        process.communicate(timeout=60)
        assert process.returncode == 0
    lines: Counter[tuple[str, int]] = Counter()
    torn = 0
    for line in every_line(out):
        fields = line.split(b" ")
        if len(fields) != 3 or fields[2] != b"x" * 300 + b"\n":
            torn += 1
        else:
            lines[fields[0].decode(), int(fields[1])] += 1
    assert torn <= 6
    assert max(lines.values()) == 1
    for who, count in {"one": 1500, "two": 1500, **told}.items():
        assert all(lines[who, number] for number in range(count * 10)), who
    assert len(list(out.iterdir())) > 30


def test_who_waits_sees_the_exchange(tmp_path: Path) -> None:
    """A writer that had to wait for the lock of a file that was exchanged meanwhile writes to the new one."""
    one, two = appender(tmp_path / "x.log"), appender(tmp_path / "x.log")
    two.append([b"old\n"], NOW)
    fcntl.flock(two.fd, fcntl.LOCK_EX)
    thread = threading.Thread(target=one.append, args=([b"waited\n"], NOW))
    thread.start()
    (tmp_path / "x.log").rename(tmp_path / "x.log.1")
    (tmp_path / "x.log").touch()
    fcntl.flock(two.fd, fcntl.LOCK_UN)
    thread.join(10)
    assert (tmp_path / "x.log").read_bytes() == b"waited\n"
    assert (tmp_path / "x.log.1").read_bytes() == b"old\n"
