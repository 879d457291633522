"""Standard input becomes events, and its end ends the input."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.inputs.stdin import Stdin
from shipper.options import Size
from shipper.testing import drive


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe; the test may close the writing one."""
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def stdin(fd: int, **options: object) -> Stdin:
    source = Stdin(**options)  # type: ignore[arg-type]
    source._fd = fd
    return source


async def test_lines_come_as_they_are_written(pipe: tuple[int, int]) -> None:
    """A line is sent when it is whole, the last one without an end when the pipe ends, and then the input ends."""
    reader, writer = pipe
    async with drive(stdin(reader)) as driven:
        os.write(writer, b"one\ntw")
        first = await driven.next()
        assert first.raw == b"one"
        assert set(first.attrs) == {"timestamp"}
        os.write(writer, b"o\r\nthree")
        assert (await driven.next()).events == [{"message": "two"}]
        os.close(writer)
        assert (await driven.next()).events == [{"message": "three"}]
        await driven.ended()


@pytest.mark.parametrize("content", [b"", b"one\ntwo", b"x\n" * 200_000])
async def test_a_file_as_standard_input(tmp_path: Path, content: bytes) -> None:
    """`shipper run < file` reads the file to its end."""
    path = tmp_path / "in"
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        async with drive(stdin(fd)) as driven:
            await driven.ended()
            found = [event["message"] for taken in driven.unread for event in taken.batch.events]
            assert found == content.decode().split("\n")[: -1 if content.endswith(b"\n") or not content else None]
    finally:
        os.close(fd)


async def test_nothing_at_all() -> None:
    """With `/dev/null` as its standard input it ends at once."""
    fd = os.open(os.devnull, os.O_RDONLY)
    try:
        async with drive(stdin(fd)) as driven:
            await driven.ended()
            assert not driven.unread
    finally:
        os.close(fd)


async def test_it_stops_reading_while_nobody_takes_lines(pipe: tuple[int, int]) -> None:
    """When the window is full the pipe fills up and the writer waits; nothing is lost when it goes on."""
    reader, writer = pipe
    os.set_blocking(writer, False)
    line = b"x" * 1023 + b"\n"
    async with drive(stdin(reader), room=1) as driven:
        written = 0
        stalled = 0
        while stalled < 50:
            try:
                written += os.write(writer, line)
                stalled = 0
            except BlockingIOError:
                stalled += 1
            await asyncio.sleep(0)
        assert written < 1024 * 1024
        os.close(writer)
        found = 0
        while found < written:
            batch = await driven.next()
            found += len(batch.raw or b"") + 1
            driven.accept()
        assert found == written
        await driven.ended()


async def test_run_again_loses_nothing_that_was_read(pipe: tuple[int, int]) -> None:
    """What was read before `run` ended is handed on by the next one: it cannot be read again."""
    reader, writer = pipe
    async with drive(stdin(reader), room=1) as driven:
        os.write(writer, b"one\n")
        await driven.next()
        os.write(writer, b"two\nhal")
        source = driven.source
        assert isinstance(source, Stdin)
        async with asyncio.timeout(10):
            while not source._ready:
                await asyncio.sleep(0.01)
        await driven.stop()
        driven.accept()
        os.write(writer, b"f\n")
        os.close(writer)
        driven.task = asyncio.get_running_loop().create_task(source.run(driven))
        assert [event["message"] for event in await driven.events(2)] == ["two", "half"]
        await driven.ended()


async def test_long_lines_are_cut(pipe: tuple[int, int]) -> None:
    """A line over the limit is cut, marked and counted, and never held whole."""
    reader, writer = pipe
    async with drive(stdin(reader, max_line_bytes=Size(10))) as driven:
        os.write(writer, b"x" * 5000 + b"\nok\n")
        os.close(writer)
        events = await driven.events(2)
        assert [event["message"] for event in events] == ["x" * 10, "ok"]
        assert events[0]["truncated"] is True
        assert driven.scope.counters["long_lines", (("action", "truncate"),)] == 1
