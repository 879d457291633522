"""What was acknowledged is in the file, once and whole; nothing is ever outside of the folder."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from shipper.batch import Batch, Event, Piece
from shipper.codecs.ndjson import Ndjson
from shipper.component import Scope
from shipper.errors import Unavailable
from shipper.files.appending import Disk
from shipper.files.together import SharedAppender
from shipper.net.compression import Gzip, Plain, Zstd
from shipper.options import Duration, Size
from shipper.outputs import file as module
from shipper.outputs.file import File, Rotate
from shipper.share import Share
from shipper.testing import FakeClock, check_output, delivered
from shipper.text.templates import Template


def to(path: Path | str, **options: Any) -> File:
    return File(path=Template(str(path)), codec=Ndjson(), **options)


def lines(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


async def test_contract(tmp_path: Path) -> None:
    """It keeps the contract of outputs, with one file and with many."""
    await check_output(lambda: to(tmp_path / "all.log"))
    await check_output(lambda: to(tmp_path / "{level:none}.log"))


async def test_appends_by_template(tmp_path: Path) -> None:
    """Each event goes to the file that its fields name, in order; a second run appends."""
    output = to(tmp_path / "{service:other}/{timestamp:%Y-%m-%d}.log")
    time = "2026-11-22T12:00:00Z"
    events: list[Event] = [
        {"service": "a", "timestamp": time},
        {"timestamp": time, "n": 1},
        {"service": "a", "timestamp": time, "n": 2},
    ]
    await delivered(output, events, attrs={"host": "h"})
    await delivered(output, [{"service": "a", "timestamp": time, "n": 3}])
    assert tree(tmp_path) == ["a/2026-11-22.log", "other/2026-11-22.log"]
    assert [line.get("n") for line in lines(tmp_path / "a/2026-11-22.log")] == [None, 2, 3]
    assert lines(tmp_path / "other/2026-11-22.log") == [{"host": "h", "timestamp": time, "n": 1}]


async def test_modes(tmp_path: Path) -> None:
    """Files are 0640 and folders 0750, whatever the umask allows beyond."""
    before = os.umask(0o022)
    try:
        await delivered(to(tmp_path / "logs" / "{a}" / "x.log"), [{"a": "b"}])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "logs/b").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "logs/b/x.log").stat().st_mode) == 0o640


async def test_torn_line_is_closed(tmp_path: Path) -> None:
    """Half a line that a crash left gets its newline; nothing is glued to it, nothing is deleted."""
    path = tmp_path / "x.log"
    path.write_bytes(b'{"n":1}\n{"n":')
    await delivered(to(path), [{"n": 2}])
    assert path.read_bytes() == b'{"n":1}\n{"n":\n{"n":2}\n'


@pytest.mark.parametrize(("compression", "unpack"), [(Gzip(), gzip.decompress), (Zstd(), None)])
async def test_compressed(tmp_path: Path, compression: Any, unpack: Any) -> None:
    """Every request is a member of its own, and all of them together are one file."""
    path = tmp_path / f"x.log{compression.suffix}"
    for number in range(3):
        await delivered(to(path, compression=compression), [{"n": number}])
    data = path.read_bytes()
    if unpack is None:
        unpack = lambda packed: zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read()
    assert unpack(data) == b'{"n":0}\n{"n":1}\n{"n":2}\n'
    assert tree(tmp_path) == [path.name]


@pytest.mark.parametrize("compression", [Gzip(), Zstd()])
@pytest.mark.parametrize("torn", [1, 12, -1])
async def test_torn_member_is_put_aside(tmp_path: Path, compression: Any, torn: int) -> None:
    """A packed file with a torn end goes aside under another name, so that what follows can be read."""
    path = tmp_path / f"x.log{compression.suffix}"
    whole = compression.compress(b'{"n":0}\n')
    path.write_bytes(whole + whole[:torn])
    await delivered(to(path, compression=compression), [{"n": 1}])
    new, old = sorted(tmp_path.iterdir(), key=lambda each: len(each.name))
    assert new == path
    assert old.name.startswith("x.log.20")
    assert old.name.endswith(compression.suffix)
    assert old.read_bytes() == whole + whole[:torn]
    data = path.read_bytes()  # with the time of packing in it
    assert (gzip if data[0] == 0x1F else zstandard).decompress(data) == b'{"n":1}\n'


async def test_rotates_by_size_and_keeps(tmp_path: Path) -> None:
    """A new file begins before one grows too large; old ones keep their order, and only so many stay."""
    clock = FakeClock()
    output = to(tmp_path / "x.log", rotate=Rotate(size=Size(20), keep=2))
    output.scope = Scope("file", clock=clock)
    (tmp_path / "x.log.bak").write_text("not ours")
    (tmp_path / "y.log.20200101T000000Z").write_text("not ours")
    await output.open()
    for number in range(9):
        await output.write([Piece(b'{"n":%d}\n' % number, 1, str(tmp_path / "x.log"))])
    await output.close()
    assert lines(tmp_path / "x.log") == [{"n": 8}]
    assert lines(tmp_path / "x.log.20261122T120000Z-2") == [{"n": 4}, {"n": 5}]
    assert lines(tmp_path / "x.log.20261122T120000Z-3") == [{"n": 6}, {"n": 7}]
    assert len(tree(tmp_path)) == 5


async def test_rotates_by_time(tmp_path: Path) -> None:
    """With `every` a file ends at the full hour, also when the process began anew in between."""
    clock = FakeClock()
    path = tmp_path / "x.log"
    for number in range(3):
        output = to(path, rotate=Rotate(every=Duration(3600)))
        output.scope = Scope("file", clock=clock)
        await output.open()
        await output.write([Piece(b'{"n":%d}\n' % number, 1, str(path))])
        await output.close()
        os.utime(path, (clock.time(), clock.time()))
        await clock.advance(1799 if number == 0 else 1801)
    assert lines(path) == [{"n": 2}]
    assert lines(tmp_path / "x.log.20261122T130000Z") == [{"n": 0}, {"n": 1}]


async def test_moved_by_somebody_else(tmp_path: Path) -> None:
    """After logrotate moved the file, or somebody deleted its folder, a new one is begun within a second."""
    clock = FakeClock()
    path = tmp_path / "in" / "x.log"
    output = to(path)
    output.scope = Scope("file", clock=clock)
    await output.open()
    piece = Piece(b'{"n":1}\n', 1, str(path))
    await output.write([piece])
    path.rename(path.with_suffix(".1"))
    await clock.advance(1)
    await output.write([piece])
    assert lines(path) == [{"n": 1}]
    path.unlink()
    path.with_suffix(".1").unlink()
    path.parent.rmdir()
    await clock.advance(1)
    await output.write([piece])
    assert lines(path) == [{"n": 1}]
    await output.close()


class Full(Disk):
    """A disk that has room for so many bytes more."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, fd: int, bodies: Sequence[bytes]) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = b"".join(bodies)[: self.room]
        self.room -= len(part)
        return os.write(fd, part)


class Broken(Disk):
    """A disk that takes everything and confirms nothing."""

    broken = True

    def sync(self, fd: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")


class Gated(Disk):
    """A disk whose syncs hang until the gate opens; `sizes` is how long the file was when each began."""

    def __init__(self) -> None:
        self.loop, self.gate, self.hangs = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        self.sizes: list[int] = []
        self.error: OSError | None = None

    def sync(self, fd: int) -> None:
        self.sizes.append(os.fstat(fd).st_size)
        self.loop.call_soon_threadsafe(self.hangs.set)
        asyncio.run_coroutine_threadsafe(self.gate.wait(), self.loop).result(10)
        if self.error is not None:
            raise self.error


class Gone(Disk):
    """A disk whose one file takes nothing more and confirms nothing, as after the kernel gave the disk up."""

    gone = 0

    def write(self, fd: int, bodies: Sequence[bytes]) -> int:
        self.sync(fd)
        return super().write(fd, bodies)

    def sync(self, fd: int) -> None:
        if os.fstat(fd).st_ino == self.gone:
            raise OSError(errno.EROFS, "Read-only file system")


async def opened(path: Path, disk: Disk) -> File:
    output = to(path)
    output._disk = disk
    await output.open()
    return output


def pieces_for(path: Path, count: int) -> list[Piece]:
    return [Piece(b'{"n":%d}\n' % number, 1, str(path)) for number in range(count)]


async def test_full_disk_tears_nothing(tmp_path: Path) -> None:
    """A write that fails half way is taken back and comes again: no torn line, nothing twice."""
    path = tmp_path / "x.log"
    disk = Full(20)
    output = await opened(path, disk)
    pieces = pieces_for(path, 3)
    await output.write(pieces[:1])
    with pytest.raises(Unavailable, match="No space left"):
        await output.write(pieces[1:])
    assert path.read_bytes() == b'{"n":0}\n'
    disk.room = 1000
    await output.write(pieces[1:])
    assert path.read_bytes() == b'{"n":0}\n{"n":1}\n{"n":2}\n'
    await output.close()


async def test_more_pieces_than_one_call_takes(tmp_path: Path) -> None:
    """Thousands of pieces, taken by the disk in odd parts, are written whole and in order."""

    class Slow(Disk):
        def write(self, fd: int, bodies: Sequence[bytes]) -> int:
            return os.write(fd, b"".join(bodies)[:777])

    path = tmp_path / "x.log"
    output = await opened(path, Slow())
    pieces = pieces_for(path, 3000)
    await output.write(pieces)
    assert path.read_bytes() == b"".join(piece.body for piece in pieces)
    await output.close()


async def test_failed_fsync_is_taken_back(tmp_path: Path) -> None:
    """When the disk does not confirm, what it did not confirm is cut off, refused, and written when it comes again."""
    path = tmp_path / "x.log"
    disk = Broken()
    disk.broken = False
    output = await opened(path, disk)
    pieces = pieces_for(path, 3)
    await output.write(pieces[:1])
    disk.broken = True
    outcomes = await asyncio.gather(*[output.write([piece]) for piece in pieces[1:]], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable, Unavailable]
    assert path.read_bytes() == b'{"n":0}\n'
    disk.broken = False
    await output.write(pieces[1:])
    assert path.read_bytes() == b'{"n":0}\n{"n":1}\n{"n":2}\n'
    await output.close()


async def test_a_disk_that_went_away_is_let_go(tmp_path: Path) -> None:
    """When another file is at the path and the old one's disk takes nothing more, events go to the new one."""
    clock, path, old = FakeClock(), tmp_path / "x.log", tmp_path / "x.1"
    disk = Gone()
    output = await opened(path, disk)
    output.scope = Scope("file", clock=clock)
    pieces = pieces_for(path, 2)
    await output.write(pieces[:1])
    path.rename(old)
    disk.gone = old.stat().st_ino
    await clock.advance(1)
    await output.write(pieces[1:])
    assert (old.read_bytes(), path.read_bytes()) == (b'{"n":0}\n', b'{"n":1}\n')
    await output.close()


async def test_a_failed_fsync_before_an_exchange(tmp_path: Path) -> None:
    """An append that has to wait for an fsync before it may look for another file goes on when that fails."""
    clock, path = FakeClock(), tmp_path / "x.log"
    disk = Gated()
    output = await opened(path, disk)
    output.scope = Scope("file", clock=clock)
    disk.error = OSError(errno.EIO, "Input/output error")
    pieces = pieces_for(path, 2)
    first = asyncio.ensure_future(output.write(pieces[:1]))
    await disk.hangs.wait()
    await clock.advance(1)
    second = asyncio.ensure_future(output.write(pieces[1:]))
    await asyncio.sleep(0)
    disk.gate.set()
    with pytest.raises(Unavailable):
        await first
    disk.error = None
    async with asyncio.timeout(10):
        await asyncio.gather(second, return_exceptions=True)
        await output.write(pieces[:1])
    assert b'{"n":0}' in path.read_bytes()
    await output.close()


class Creeping(FakeClock):
    """Once it is set off, 0.6 seconds go by between any two looks at it."""

    step = 0.0

    def monotonic(self) -> float:
        at = super().monotonic() + self.step
        self.step += 0.6 if self.step else 0.0
        return at


async def test_no_exchange_below_an_fsync(tmp_path: Path) -> None:
    """A file that is being fsynced is not closed, though it was moved and the time to look for that has just come."""
    clock, path, old = Creeping(), tmp_path / "x.log", tmp_path / "x.1"
    disk = Gated()
    output = await opened(path, disk)
    output.scope = Scope("file", clock=clock)
    first, second = pieces_for(path, 2)
    writing = asyncio.ensure_future(output.write([first]))
    await disk.hangs.wait()
    path.rename(old)
    clock.step = 0.6
    more = asyncio.ensure_future(output.write([second]))
    async with asyncio.timeout(10):
        while old.stat().st_size < 16:
            await asyncio.sleep(0.001)
    disk.gate.set()
    await asyncio.gather(writing, more)
    assert not path.exists()
    await output.close()


async def test_writers_share_an_fsync(tmp_path: Path) -> None:
    """Many who wait at the same time wait for few fsyncs, and each for one that began behind its own bytes."""
    path = tmp_path / "x.log"
    disk = Gated()
    output = await opened(path, disk)
    writing = [asyncio.ensure_future(output.write([piece])) for piece in pieces_for(path, 10)]
    await disk.hangs.wait()
    while path.stat().st_size < 80:
        await asyncio.sleep(0.001)
    assert not any(job.done() for job in writing)
    disk.gate.set()
    await asyncio.gather(*writing)
    assert disk.sizes[-1] == 80
    assert len(disk.sizes) <= 3
    await output.close()


async def test_given_up_and_written_once(tmp_path: Path) -> None:
    """A request whose time ran out while the disk hung is waited for when it comes again, not written twice."""
    path = tmp_path / "x.log"
    disk = Gated()
    output = await opened(path, disk)
    pieces = pieces_for(path, 2)
    writing = asyncio.ensure_future(output.write(pieces))
    await disk.hangs.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    again = asyncio.ensure_future(output.write(pieces))
    disk.gate.set()
    await again
    assert path.read_bytes() == b'{"n":0}\n{"n":1}\n'
    await output.close()


async def test_close_does_not_wait_for_a_disk_that_hangs(tmp_path: Path) -> None:
    """Closing ends within a second though a thread hangs in the disk; its file is closed when it returns."""
    path = tmp_path / "x.log"
    disk = Gated()
    output = await opened(path, disk)
    writing = asyncio.ensure_future(output.write(pieces_for(path, 1)))
    await disk.hangs.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    (job,) = output._unsettled.values()
    async with asyncio.timeout(1):
        await output.close()
    assert len(output._handles) == 1
    disk.gate.set()
    await job
    assert not output._handles


async def test_open_files_are_bounded(tmp_path: Path) -> None:
    """However many files the events name, few are open at a time, and those unused for a minute are closed."""
    clock = FakeClock()
    output = to(tmp_path / "{n}.log", fsync=False)
    output.scope = Scope("file", clock=clock)
    before = len(os.listdir("/proc/self/fd"))
    await output.open()
    for number in range(3 * module.OPEN_FILES):
        for piece in output.encode(Batch([{"n": number}])):
            assert isinstance(piece, Piece)
            await output.write([piece])
    assert len(output._handles) == module.OPEN_FILES
    await output.idle()
    assert len(output._handles) == module.OPEN_FILES
    await clock.advance(61)
    await output.idle()
    assert not output._handles
    await output.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert len(tree(tmp_path)) == 3 * module.OPEN_FILES


async def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """When the folder cannot be made the output is unavailable, with the reason, and not broken."""
    (tmp_path / "x").write_text("a file")
    with pytest.raises(Unavailable, match="x"):
        await to(tmp_path / "x" / "y.log").open()


@pytest.mark.parametrize("compression", [Plain(), Gzip(), Zstd()])
async def test_workers_append_to_the_same_files(tmp_path: Path, compression: Any) -> None:
    """Two that write to one path, with a new file now and then: every event is there, once, in files that can be read."""
    path = tmp_path / f"x.log{compression.suffix}"
    outputs = [to(path, compression=compression, rotate=Rotate(size=Size(300))) for _ in range(2)]
    for index, output in enumerate(outputs):
        output.scope = Scope("file", share=Share(index, 2))
        await output.open()

    async def written(index: int) -> None:
        for number in range(40):
            await outputs[index].write([Piece(b'{"w":%d,"n":%d}\n' % (index, number), 1, str(path))])

    await asyncio.gather(written(0), written(1))
    for output in outputs:
        await output.close()
    found: list[bytes] = []
    files = list(tmp_path.iterdir())
    for each in files:
        data = each.read_bytes()
        if isinstance(compression, Gzip):
            data = gzip.decompress(data)
        elif isinstance(compression, Zstd):
            data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
        found += data.splitlines()
    assert len(files) > 2
    assert sorted(found) == sorted(b'{"w":%d,"n":%d}' % (index, number) for index in (0, 1) for number in range(40))


async def test_a_worker_keeps_the_contract(tmp_path: Path) -> None:
    """What is true of an output that writes alone is true of one among several."""

    def made() -> File:
        output = to(tmp_path / "all.log")
        output._appender = SharedAppender
        return output

    await check_output(made)
