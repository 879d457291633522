"""Several workers divide the files of one input: every line comes to one of them, once, and those of a log in order."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.config.load import load
from shipper.files.checkpoints import Entry, Slots
from shipper.files.identity import Digest
from shipper.files.survey import Survey
from shipper.inputs.file import File
from shipper.options import Duration
from shipper.share import Share
from shipper.testing import drive
from shipper.testing.drive import Driver
from shipper.workers.folders import common, folder
from shipper.workers.moving import redistribute

LOGS = ("app.log", "web-1.log", "web-2.log", "x.log")
ACTIONS = [
    "write",
    "write",
    "write many",
    "settle",
    "rename",
    "copy",
    "pack",
    "aside",
    "workers 1",
    "workers 2",
    "workers 3",
]


class Log:
    """One log and who writes it; lines are all different and count upwards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = path.open("ab", buffering=0)
        self.written = 0
        self.rotated = 0

    def write(self, count: int = 1) -> None:
        lines = [f"{self.path.name} {self.written + number:06} {'x' * 60}\n" for number in range(count)]
        self.written += count
        self.writer.write("".join(lines).encode())

    def rename(self, name: str = "") -> None:
        """As logrotate does it; the writer says one thing more before it opens the new file."""
        self.rotated += not name
        self.path.rename(self.path.with_name(name or f"{self.path.name}.{self.rotated}"))
        self.write()
        self.writer.close()
        self.writer = self.path.open("ab", buffering=0)

    def copy(self) -> None:
        self.rotated += 1
        shutil.copy(self.path, self.path.with_name(f"{self.path.name}.{self.rotated}"))
        os.truncate(self.path, 0)

    def pack(self) -> None:
        path = self.path.with_name(f"{self.path.name}.{self.rotated}")
        if path.exists():
            info = path.stat()
            packed = path.with_name(path.name + ".gz")
            packed.write_bytes(gzip.compress(path.read_bytes(), 1))
            os.utime(packed, ns=(info.st_atime_ns, info.st_mtime_ns))
            path.unlink()

    def aside(self) -> None:
        """A new name that is no rotation's, and would by itself fall to any worker."""
        self.rotated += 1
        self.rename(f"moved{self.rotated}-{self.path.name}.txt")


class Model:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "logs").mkdir()
        self.logs = [Log(root / "logs" / name) for name in LOGS]
        self.seen: dict[str, set[int]] = {name: set() for name in LOGS}
        self.loose: set[str] = set()
        """Logs whose lines may come in any order: they went where nobody could know that they had been one log before."""
        self.tails: list[Driver] = []
        self.stack = AsyncExitStack()
        path = root / "shipper.yaml"
        path.write_text("inputs: {app: {type: file, include: ['logs/*']}}\noutputs: {out: {type: blackhole}}\n")
        self.config = load([path])

    async def workers(self, count: int) -> None:
        """Stop all, and start so many."""
        before = len(self.tails) or 1
        await self.stop()
        redistribute(self.config, before, count)
        data_dir = Path(self.config.data_dir)
        for index in range(count):
            source = File(
                include=[str(self.root / "logs" / "*")], poll_interval=Duration(0.02), rotate_wait=Duration(30)
            )
            tail = drive(
                source,
                folder(data_dir, index) / "state" / "input-app",
                name="app",
                share=Share(index, count),
                common=common(data_dir) if count > 1 else None,
            )
            self.tails.append(await self.stack.enter_async_context(tail))

    async def stop(self) -> None:
        await self.stack.aclose()
        self.tails.clear()

    def survey(self) -> Survey:
        source = File(include=[str(self.root / "logs" / "*")])
        return source.survey(Path(self.config.data_dir) / "state" / "input-app")

    async def take(self) -> None:
        """Accept what has come, and see that it is in order and that nothing of it comes again."""
        for tail in self.tails:
            while tail.unread:
                for event in (await tail.next()).events:
                    name, number, _ = event["message"].split(" ")
                    assert int(number) not in self.seen[name], (event, tail.scope.share)
                    assert int(number) == len(self.seen[name]) or name in self.loose, (event, tail.scope.share)
                    self.seen[name].add(int(number))
                tail.accept()

    async def settle(self) -> None:
        async with asyncio.timeout(20):
            while any(len(self.seen[log.path.name]) < log.written for log in self.logs):
                await self.take()
                await asyncio.sleep(0.01)

    async def act(self, log: Log, action: str) -> None:
        if action.startswith("workers"):
            await self.workers(int(action[-1]))
        elif action == "settle":
            await self.settle()
        elif action == "write many":
            log.write(2000)
        else:
            if action in ("aside", "copy") and len(self.seen[log.path.name]) < log.written:
                self.loose.add(log.path.name)
            getattr(log, action)()


async def play(root: Path, actions: list[tuple[int, str]]) -> None:
    model = Model(root)
    try:
        await model.workers(2)
        for log in model.logs:
            log.write()
        for which, action in actions:
            await model.act(model.logs[which], action)
        await model.settle()
        await asyncio.sleep(0.1)  # time enough to read more, which must not be
        await model.take()
        await model.stop()
        found = {row.path: row for row in model.survey().rows}
        for log in model.logs:  # in one list, whoever read it
            assert (found[str(log.path)].state, found[str(log.path)].lag) == ("waiting", 0), found[str(log.path)]
    finally:
        await model.stop()
        for log in model.logs:
            log.writer.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(LOGS) - 1), st.sampled_from(ACTIONS)), max_size=14))
def test_every_line_comes_once_and_in_order(actions: list[tuple[int, str]]) -> None:
    """Whatever rotations do, and however the number of workers changes between and during them."""
    with tempfile.TemporaryDirectory() as root:
        asyncio.run(play(Path(root), actions))


@pytest.mark.parametrize("once", [False, True])
async def test_an_inode_that_another_worker_knew_is_read_once(tmp_path: Path, once: bool) -> None:
    """A new log whose inode was another's, of which another worker has the position, is read by one of them, from its
    beginning: in the end by whom its name falls to, and with `--once`, where nobody looks twice, by whom had it."""
    model = Model(tmp_path)
    new = next(log for log in model.logs if Share(1, 2).takes(str(log.path)))
    new.write(3)
    info = new.path.stat()
    data_dir = Path(model.config.data_dir)
    before = next(path for n in range(99) if Share(0, 2).takes(path := f"{new.path.parent}/old{n}x"))
    entry = Entry(before, (info.st_dev, info.st_ino), 1, 5, Digest.of(b"other"), Digest.of(b"other"))
    Slots(folder(data_dir, 0) / "state" / "input-app" / "positions", lambda path: path).write([entry.dump()], 10.0)
    redistribute(model.config, 2, 2)
    async with AsyncExitStack() as stack:
        tails = []
        for index in (0, 1):
            source = File(include=[str(tmp_path / "logs" / "*")], poll_interval=Duration(0.02))
            source._once = once
            state = folder(data_dir, index) / "state" / "input-app"
            tail = drive(source, state, name="app", share=Share(index, 2), common=common(data_dir))
            tails.append(await stack.enter_async_context(tail))
        assert [event["message"].split(" ")[1] for event in await tails[0 if once else 1].events(3)] == [
            "000000",
            "000001",
            "000002",
        ]
        await asyncio.sleep(0.1)  # time enough to read more, which must not be
        assert not any(tail.unread for tail in tails)
    for log in model.logs:
        log.writer.close()
