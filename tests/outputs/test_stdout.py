"""Standard output takes everything in order, at its reader's pace, and says so when nobody reads."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.batch import Batch, Piece
from shipper.codecs.ndjson import Ndjson
from shipper.component import Scope
from shipper.errors import Unavailable
from shipper.outputs.stdout import GIVEN_UP, Stdout
from shipper.share import Share
from shipper.testing import FakeClock, check_output


def printing(fd: int) -> Stdout:
    output = Stdout(codec=Ndjson())
    output._fd = fd
    return output


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def numbered(count: int) -> list[Piece]:
    return [Piece(b'{"n":%d}\n' % number, 1) for number in range(count)]


async def read_all(reader: int, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += await asyncio.to_thread(os.read, reader, 100_000)
    return got


async def full(writer: int) -> None:
    """Until the pipe takes no more."""
    async with asyncio.timeout(10):
        while select.select([], [writer], [], 0)[1]:
            await asyncio.sleep(0)


async def test_contract(tmp_path: Path) -> None:
    """It keeps the contract of outputs, into a file."""
    with (tmp_path / "out").open("wb") as out:
        await check_output(lambda: printing(out.fileno()))


async def test_slow_reader_blocks_nobody_else(pipe: tuple[int, int]) -> None:
    """More than a pipe holds waits for the reader while the loop goes on; all of it comes, in order."""
    reader, writer = pipe
    output = printing(writer)
    await output.open()
    pieces = numbered(60_000)
    body = b"".join(piece.body for piece in pieces)
    writing = asyncio.ensure_future(output.write(pieces))
    await full(writer)
    assert not writing.done()
    assert await read_all(reader, len(body)) == body
    await writing


async def test_given_up_half_way_goes_on(pipe: tuple[int, int]) -> None:
    """A request that is cancelled and comes again goes on where it stopped: nothing torn, nothing twice."""
    reader, writer = pipe
    output = printing(writer)
    await output.open()
    pieces = numbered(20_000)
    body = b"".join(piece.body for piece in pieces)
    writing = asyncio.ensure_future(output.write(pieces))
    await full(writer)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    again = asyncio.ensure_future(output.write(pieces))
    assert await read_all(reader, len(body)) == body
    await again


async def test_another_request_begins_on_its_own_line(pipe: tuple[int, int]) -> None:
    """When what was begun never comes again, the next line is not glued to its half."""
    reader, writer = pipe
    output = printing(writer)
    await output.open()
    writing = asyncio.ensure_future(output.write([Piece(b'{"m":"' + b"x" * 200_000 + b'"}\n', 1)]))
    await full(writer)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    held = os.read(reader, 1_000_000)
    await output.write([Piece(b'{"n":1}\n', 1)])
    assert os.read(reader, 100) == b'\n{"n":1}\n'
    assert held.startswith(b'{"m":"xxx')


async def test_closed_reader(pipe: tuple[int, int]) -> None:
    """Nobody reads any more: the events are not lost, and the reason is said."""
    reader, writer = pipe
    output = printing(writer)
    await output.open()
    os.close(reader)
    with pytest.raises(Unavailable, match="standard output is closed"):
        await output.write(numbered(1))


async def test_socket() -> None:
    """A socket in the place of a pipe works alike."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        output = printing(theirs.fileno())
        await output.open()
        pieces = numbered(50_000)
        body = b"".join(piece.body for piece in pieces)
        writing = asyncio.ensure_future(output.write(pieces))
        assert await read_all(ours.fileno(), len(body)) == body
        await writing


async def test_encodes_with_its_codec() -> None:
    """Events are written as the codec writes them."""
    assert list(Stdout(codec=Ndjson()).encode(Batch([{"a": 1}], attrs={"h": "x"}))) == [Piece(b'{"h":"x","a":1}\n', 1)]


def workers(fd: int, common: Path, clock: FakeClock | None = None) -> list[Stdout]:
    """Two that print on the same output."""
    made = [printing(fd), printing(fd)]
    for index, output in enumerate(made):
        output.scope = Scope("out", clock=clock, share=Share(index, 2), common=common)
    return made


async def test_workers_print_in_turn(pipe: tuple[int, int], tmp_path: Path) -> None:
    """Requests that are longer than a pipe takes at once are not mixed: each comes whole."""
    reader, writer = pipe
    outputs = workers(writer, tmp_path)
    pieces = [Piece(b'{"w":%d,"m":"%b"}\n' % (index, b"x" * 30_000), 1) for index in (0, 1)]
    for output in outputs:
        await output.open()

    async def printed(index: int) -> None:
        for _ in range(15):
            await outputs[index].write([pieces[index]] * 3)

    writing = [asyncio.ensure_future(printed(index)) for index in (0, 1)]
    body = await read_all(reader, 45 * (len(pieces[0].body) + len(pieces[1].body)))
    await asyncio.gather(*writing)
    lines = body.splitlines(keepends=True)
    requests = [lines[at : at + 3] for at in range(0, 90, 3)]
    assert all(request in ([pieces[0].body] * 3, [pieces[1].body] * 3) for request in requests)
    assert lines.count(pieces[0].body) == 45
    for output in outputs:
        await output.close()


async def test_a_worker_that_is_killed_in_a_line_leaves_a_whole_one_to_the_next(
    pipe: tuple[int, int], tmp_path: Path
) -> None:
    """Who prints next begins on a line of its own, and only that one does."""
    reader, writer = pipe
    dying, other = workers(writer, tmp_path)
    for output in (dying, other):
        await output.open()
    writing = asyncio.ensure_future(dying.write([Piece(b'{"m":"' + b"x" * 200_000 + b'"}\n', 1)]))
    await full(writer)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    waiting = asyncio.ensure_future(other.write([Piece(b'{"n":1}\n', 1)]))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert dying._turn is not None
    os.close(dying._turn._fd)  # as the kernel does it
    os.read(reader, 1_000_000)
    await waiting
    await other.write([Piece(b'{"n":2}\n', 1)])
    assert os.read(reader, 100) == b'\n{"n":1}\n{"n":2}\n'
    await other.close()


async def test_what_a_worker_has_begun_is_finished_first(pipe: tuple[int, int], tmp_path: Path) -> None:
    """A request that was given up half way keeps its turn until it comes again; when it does not, the others go on."""
    reader, writer = pipe
    clock = FakeClock()
    one, two = workers(writer, tmp_path, clock)
    for output in (one, two):
        await output.open()
    pieces = [Piece(b'{"m":"' + b"x" * 100_000 + b'"}\n', 1)]
    for comes_again in (True, False):
        writing = asyncio.ensure_future(one.write(pieces))
        await full(writer)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        waiting = asyncio.ensure_future(two.write([Piece(b'{"n":1}\n', 1)]))
        await asyncio.sleep(0)
        if comes_again:
            again = asyncio.ensure_future(one.write(pieces))
            assert await read_all(reader, len(pieces[0].body)) == pieces[0].body
            await again
            await clock.advance(1)
            await waiting
            assert os.read(reader, 100) == b'{"n":1}\n'
        else:
            os.read(reader, 1_000_000)
            await one.idle()
            await clock.advance(1)
            assert not waiting.done()
            await clock.advance(GIVEN_UP)
            await one.idle()
            await clock.advance(1)
            await waiting
            assert os.read(reader, 100) == b'\n{"n":1}\n'
    for output in (one, two):
        await output.close()


async def test_one_process_takes_no_turns(pipe: tuple[int, int], tmp_path: Path) -> None:
    """Where nobody else prints, there is no lock."""
    output = printing(pipe[1])
    output.scope = Scope("out", common=tmp_path)
    await output.open()
    await output.write(numbered(1))
    assert list(tmp_path.iterdir()) == []
