"""What is measured of one agent alone, where there is no bare floor: figures with their goals."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.agents import Agent, Job
from bench.run import Sink, started, wait_for
from bench.scenarios import Route, Scenario

TO_FILE = Scenario("to-file", "file, raw -> JSON file", "", "raw")
TO_HTTP = Scenario("to-http", "file, raw -> HTTP, NDJSON", "", "raw", (Route("http"),))
STALL = 50.0
"""Milliseconds that the event loop may stand still."""


@dataclass(frozen=True)
class Figure:
    probe: str
    agent: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    sign: Literal["<=", ">="] = "<="

    @property
    def met(self) -> bool:
        if self.goal is None:
            return True
        return self.value <= self.goal if self.sign == "<=" else self.value >= self.goal


@dataclass(frozen=True)
class Bench:
    """What a probe measures with, and how much."""

    agent: Agent
    folder: Path
    """Emptied by `job`."""
    server: Sink
    lines: int
    runs: int
    long: bool = False
    """As long as the goals say, instead of as long as somebody waits."""

    def job(self, scenario: Scenario, source: Path, wait: float | None = None, path: str = "/") -> Job:
        """A run that goes on until it is stopped, in the emptied folder."""
        folder = self.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.server("POST", "/reset")
        return Job(scenario, folder, source, self.server.port, follow=True, wait=wait, path=path)

    @contextlib.contextmanager
    def running(self, job: Job) -> Iterator[subprocess.Popen[bytes]]:
        """The agent, once it is ready."""
        with started(self.agent, job) as process:
            wait_for(process, lambda: self.agent.ready(job), 0.01)
            yield process

    def stall(self, probe: str, what: str, job: Job) -> list[Figure]:
        """The longest time that its loop stood still, start-up included; nothing where the agent does not say."""
        said = self.agent.says(job)
        return (
            [Figure(probe, self.agent.name, f"{what}: stall", said["stall"] * 1000, "ms", STALL)]
            if "stall" in said
            else []
        )

    def arrived(self) -> int:
        """Events that the server took."""
        return int(self.server("GET", "/report")["http"]["events"])


@dataclass(frozen=True)
class Probe:
    name: str
    title: str
    measure: Callable[[Bench], list[Figure]]


def pids(process: subprocess.Popen[bytes]) -> list[int]:
    """The agent that `timed.py` watches, and its descendants; Linux only, as all that is below."""
    found = [process.pid]
    for each in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found[1:]


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU, user and system, that the agent and those of its descendants that live have taken."""
    ticks = 0
    for each in pids(process):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(process: subprocess.Popen[bytes]) -> int:
    """Bytes of memory now."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in pids(process))
    return pages * os.sysconf("SC_PAGE_SIZE")


def until(done: Callable[[], bool], process: subprocess.Popen[bytes], pause: float = 0.1) -> float:
    """Wait for something; the moment (of the monotonic clock) at which it was so. Raises Wrong."""
    wait_for(process, done, pause)
    return time.monotonic()
