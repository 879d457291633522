"""Real processes that divide logs: whatever rotates, is killed or changes in number, every line arrives, in order."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from shipper.share import Share
from tests.e2e.agent import Agent

LOGS = ("app.log", "web-1.log", "web-2.log", "auth", "batch.json", "x.out")


class Writers:
    """Programs that write numbered lines to their logs all the time, and what rotates these."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.paths = {name: folder / name for name in LOGS}
        self.files = {name: path.open("ab", buffering=0) for name, path in self.paths.items()}
        self.written = dict.fromkeys(LOGS, 0)
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.rotations = itertools.count(1)
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self.over.wait(0.01):
            for name in LOGS:
                with self.lock:
                    self._write(name, 10)

    def _write(self, name: str, count: int) -> None:
        lines = [f"{name} {self.written[name] + number} {'x' * 50}\n" for number in range(count)]
        self.written[name] += count
        self.files[name].write("".join(lines).encode())

    def rename(self, name: str, suffix: str = "") -> None:
        """The writer says something more to the old file before it opens the new one."""
        path = self.paths[name]
        with self.lock:
            path.rename(path.with_name(f"{name}{suffix or f'.{next(self.rotations)}'}"))
            self._write(name, 5)
            self.files[name].close()
            self.files[name] = path.open("ab", buffering=0)

    def copytruncate(self, name: str) -> None:
        path = self.paths[name]
        with self.lock:
            shutil.copy2(path, path.with_name(f"{name}-20260801-{next(self.rotations)}"))
            os.truncate(path, 0)

    def rotate_all(self, odd: int) -> dict[str, int]:
        """Half of the logs by renaming, half by copying; what was written to each until then."""
        for number, name in enumerate(LOGS):
            (self.rename if (number + odd) % 2 else self.copytruncate)(name)
        return dict(self.written)

    def __enter__(self) -> Writers:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        for file in self.files.values():
            file.close()


class Out:
    """What has arrived."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = 0
        self.lines: list[tuple[str, int]] = []
        self.last = dict.fromkeys(LOGS, -1)
        self.torn = 0
        """Lines that a killed process left unfinished."""

    def look(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.at)
            data = file.read()
        whole = data.rfind(b"\n") + 1
        self.at += whole
        for line in data[:whole].splitlines():
            try:
                name, number, _ = orjson.loads(line)["message"].split(" ")
            except orjson.JSONDecodeError:
                self.torn += 1
                continue
            self.lines.append((name, int(number)))
            self.last[name] = max(self.last[name], int(number))

    def reached(self, wanted: dict[str, int]) -> bool:
        self.look()
        return all(self.last[name] >= count - 1 for name, count in wanted.items())


def configuration(tmp_path: Path, workers: int, **more: Any) -> dict[str, Any]:
    return {
        "workers": workers,
        "data_dir": "data",
        "checkpoint_interval": "200ms",
        "inputs": {
            "app": {"type": "file", "include": [str(tmp_path / "logs" / "*")], "poll_interval": "100ms", **more}
        },
        "outputs": {"out": {"type": "file", "path": str(tmp_path / "out.ndjson")}},
    }


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    with Writers(tmp_path / "logs") as made:
        yield made


def busy_worker(folder: Path, count: int) -> int:
    """One that has something to read, and is not the first."""
    workers = [Share(index, count) for index in range(1, count)]
    return next((worker.index for name in LOGS for worker in workers if worker.takes(str(folder / name))), 1)


def is_back(agent: Agent, worker: str) -> bool:
    died = agent.metric("shipper_worker_restarts_total", worker=worker) == 1
    return died and agent.metric("shipper_worker_up", worker=worker) == 1


def process_of(agent: Agent, worker: int) -> int:
    return int((agent.data_dir / "workers" / str(worker) / "lock").read_text())


@pytest.mark.timeout(180)
def test_the_number_of_workers_changes_under_load(tmp_path: Path, writers: Writers) -> None:
    """One worker, two, three and one again, all logs rotated before, between and during, two workers killed: no line is
    missing, the lines of a log are in order, and only what a kill repeats is there twice."""
    out = Out(tmp_path / "out.ndjson")
    killed: list[tuple[int, int]] = []
    for odd, count in enumerate([1, 2, 3, 1]):
        last = odd == 3
        victim = busy_worker(tmp_path / "logs", count) if count > 1 else None
        with Agent(configuration(tmp_path, count), tmp_path) as agent:
            # what is rotated twice before it was ever seen has no order that anybody could know
            wanted = dict(writers.written)
            agent.wait_for(lambda wanted=wanted: out.reached(wanted), 40, "to read what was written meanwhile")
            wanted = writers.rotate_all(odd)
            begin = len(out.lines)
            if victim is not None:
                os.kill(process_of(agent, victim), signal.SIGKILL)
            agent.wait_for(lambda wanted=wanted: out.reached(wanted), 40, f"to read on with {count} workers")
            if victim is not None:
                agent.wait_for(partial(is_back, agent, str(victim)))
            wanted = writers.rotate_all(odd + 1)
            agent.wait_for(lambda wanted=wanted: out.reached(wanted), 40, "to read what was rotated")
            if last:
                writers.over.set()
                writers.thread.join()
                agent.wait_for(lambda: out.reached(writers.written), 40, "to read all")
            assert agent.unaccounted() == {}
            assert agent.stop() == 0, agent.tail()
            assert agent.tracebacks() == []
        out.look()
        if victim is not None:
            killed.append((begin, len(out.lines)))
        if not last:
            writers.rotate_all(odd)
    check(out, writers, killed)


@pytest.mark.timeout(180)
def test_everything_is_killed_and_the_number_changes(tmp_path: Path, writers: Writers) -> None:
    """Supervisor and workers killed at once, over and over, the logs rotated while nobody looks, and another number of
    workers each time: no line is missing, and those of a log are in order but for what the kills repeat."""
    out = Out(tmp_path / "out.ndjson")
    counts = [2, 1, 3, 2, 1]
    for odd, count in enumerate(counts):
        with Agent(configuration(tmp_path, count), tmp_path) as agent:
            wanted = dict(writers.written)
            agent.wait_for(lambda wanted=wanted: out.reached(wanted), 40, "to read what was written meanwhile")
            wanted = writers.rotate_all(odd)
            if odd + 1 < len(counts):
                agent.wait_for(lambda wanted=wanted: out.reached(wanted), 40, "to read what was rotated")
                for process in (agent.pid, *children(agent.pid)):
                    os.kill(process, signal.SIGKILL)
                agent.wait()
                writers.rotate_all(odd)
            else:
                writers.over.set()
                writers.thread.join()
                agent.wait_for(lambda: out.reached(writers.written), 40, "to read all")
                assert agent.unaccounted() == {}
                assert agent.stop() == 0, agent.tail()
            assert agent.tracebacks() == []
    out.look()
    check(out, writers, [(0, len(out.lines))])
    assert out.torn <= 3 * len(counts)


def children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def check(out: Out, writers: Writers, killed: list[tuple[int, int]]) -> None:
    """`killed` are parts of the output in which lines may come a second time."""
    seen: Counter[tuple[str, int]] = Counter()
    last = dict.fromkeys(LOGS, -1)
    for at, line in enumerate(out.lines):
        if line in seen:
            assert any(begin <= at < end for begin, end in killed), f"{line} comes again at {at}, no kill explains it"
        else:
            assert line[1] == last[line[0]] + 1, f"{line} at {at} behind {last[line[0]]}"
            last[line[0]] = line[1]
        seen[line] += 1
    assert last == {name: count - 1 for name, count in writers.written.items()}
