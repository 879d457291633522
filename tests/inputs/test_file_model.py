"""Whatever a writer, a rotation and restarts do in whatever order: every line comes, and comes once."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import tempfile
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.inputs.file import File
from shipper.options import Duration
from shipper.testing import drive
from shipper.testing.drive import Driver

ACTIONS = [
    "write",
    "write",
    "write many",
    "half a line",
    "settle",
    "rename",
    "copy",
    "pack",
    "truncate",
    "delete",
    "stop",
    "start",
]


class Model:
    """A writer with its file, and the input that reads it; lines are all different."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "app.log"
        self.writer = self.path.open("ab", buffering=0)
        self.numbers = iter(range(10**6))
        self.rotated = 0
        self.half = ""
        self.written: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.tail: Driver | None = None
        self.stack = AsyncExitStack()

    def line(self) -> str:
        return f"line {next(self.numbers):06} {'x' * 40}"

    async def write(self, count: int = 1) -> None:
        lines = [self.line() for _ in range(count)]
        if self.half:
            lines[0], self.half = self.half + lines[0], ""
            self.writer.write(lines[0][self.started :].encode() + b"\n")
            self.written[lines.pop(0)] += 1
        self.writer.write("".join(line + "\n" for line in lines).encode())
        self.written.update(lines)

    async def half_a_line(self) -> None:
        if not self.half:
            self.half = self.line()
            self.started = len(self.half)
            self.writer.write(self.half.encode())

    async def whole(self) -> None:
        if self.half:
            await self.write()

    async def settle(self) -> None:
        """Wait until all whole lines have come and are acknowledged."""
        if self.tail is None:
            return
        while self.seen != self.written:
            for event in await self.tail.events(1):
                self.seen[event["message"]] += 1
                assert self.seen[event["message"]] <= self.written[event["message"]], event
            while self.tail.unread:
                batch = await self.tail.next()
                self.seen.update(event["message"] for event in batch.events)
                self.tail.accept()

    async def rename(self) -> None:
        self.rotated += 1
        self.path.rename(self.root / f"app.log.{self.rotated}")
        if self.rotated % 2:  # the old writer has something more to say
            await self.write()
        else:
            await self.whole()
        self.writer.close()
        self.writer = self.path.open("ab", buffering=0)

    async def copy(self) -> None:
        await self.whole()
        self.rotated += 1
        shutil.copy(self.path, self.root / f"app.log.{self.rotated}")
        os.truncate(self.path, 0)

    async def pack(self) -> None:
        """The newest rotated file that is not packed yet, as gzip does it: a new file, then the old one goes."""
        await self.whole()
        path = self.root / f"app.log.{self.rotated}"
        if not path.exists():
            return
        info = path.stat()
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), 1))
        os.utime(packed, ns=(info.st_atime_ns, info.st_mtime_ns))
        path.unlink()

    async def truncate(self) -> None:
        await self.whole()
        if await self.all_read():
            os.truncate(self.path, 0)

    async def delete(self) -> None:
        await self.whole()
        if await self.all_read():
            self.path.unlink()
            self.writer.close()
            self.writer = self.path.open("ab", buffering=0)

    async def all_read(self) -> bool:
        """What is removed can only be asked for when it was read before."""
        await self.settle()
        return self.seen == self.written

    async def stop(self) -> None:
        await self.stack.aclose()
        self.tail = None

    async def start(self) -> None:
        if self.tail is None:
            source = File(include=[str(self.root / "app.log*")], poll_interval=Duration(0.02), rotate_wait=Duration(30))
            self.tail = await self.stack.enter_async_context(drive(source, self.root / "state"))

    async def act(self, action: str) -> None:
        if action == "write many":
            await self.write(3000)
        elif action == "half a line":
            await self.half_a_line()
        else:
            await getattr(self, action)()


async def play(root: Path, actions: list[str]) -> None:
    model = Model(root)
    try:
        await model.start()
        for action in actions:
            await model.act(action)
        await model.whole()
        await model.start()
        await model.settle()
        assert model.tail
        await model.tail.nothing(0.1)
    finally:
        await model.stop()
        model.writer.close()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(ACTIONS), max_size=14))
def test_no_line_is_lost_and_none_comes_twice(actions: list[str]) -> None:
    """Writing, rotating, truncating, removing and restarting: what was read of each line is exactly one."""
    with tempfile.TemporaryDirectory() as root:
        asyncio.run(play(Path(root), actions))
