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
from shipper.errors import Unavailable
from shipper.outputs.stdout import Stdout
from shipper.testing import check_output


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
