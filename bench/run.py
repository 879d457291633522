"""Run a scenario, once, with one agent: time it as a child, then check what came out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bench.agents import Agent, Job
from bench.check import LineCount, Wrong, check_file, check_lossy, check_numbered, check_samples, expected, wanted
from bench.feed import connected, kernel_drops, post_all, send_datagrams, send_end, send_stream, udp_row
from bench.scenarios import Scenario

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
PATIENCE = 600.0  # seconds for one run
WAIT = 0.1  # somebody waits for the last events before an agent is stopped; full requests are sent at once anyway
QUIET = 1.0  # seconds in which no datagram came out: there will be no more
# Bytecode is kept: an installed agent has it, and compiling it at each start would be timed as start-up.
ENV = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Usage:
    """What one run took: seconds of CPU (user + system), seconds on the wall, peak memory in bytes."""

    cpu: float
    wall: float
    rss: int
    lost: int = 0
    """Datagrams that were sent and did not come out."""
    said: dict[str, float] = field(default_factory=dict)
    """What the agent counted itself: `Agent.says`."""


class Sink:
    """The server process that the HTTP scenarios send to."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"null")


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    argv = [sys.executable, "-m", "bench.sink"]
    with subprocess.Popen(argv, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Sink(int(process.stdout.readline()))
        finally:
            process.terminate()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextlib.contextmanager
def started(agent: Agent, job: Job) -> Iterator[subprocess.Popen[bytes]]:
    """The agent under `timed.py`, which SIGTERM passes through; ended when the block is left. Its output is in `log`."""
    command = [*agent.command(job)]
    argv = [sys.executable, "-I", "-S", str(ROOT / "bench" / "timed.py"), str(job.folder / "usage.json"), *command]
    with (
        (job.folder / "log").open("wb") as said,
        subprocess.Popen(argv, cwd=job.folder, env=ENV, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE)
                except BaseException:
                    process.kill()
                    raise


def usage(agent: Agent, job: Job, lost: int = 0, said: dict[str, float] | None = None) -> Usage:
    """What `timed.py` wrote about an agent that has ended. Raises Wrong when it did not end well."""
    found = json.loads((job.folder / "usage.json").read_text())
    if found["status"] != 0:
        log = (job.folder / "log").read_text(errors="replace")[-2000:]
        raise Wrong(f"{agent.name} ended with {found['status']}:\n{log}")
    return Usage(found["cpu"], found["wall"], found["rss"], lost, said or {})


def wait_for(process: subprocess.Popen[bytes], done: Callable[[], T | None], pause: float) -> T:
    """Wait until `done` gives something true; Wrong when the process ends first or the time is over."""
    end = time.monotonic() + PATIENCE
    while not (found := done()):
        if process.poll() is not None or time.monotonic() > end:
            raise Wrong("it ended, or stood still, before everything had come out")
        time.sleep(pause)
    return found


class Run:
    """Runs of one scenario on one input, in a folder that is emptied before each."""

    def __init__(self, scenario: Scenario, folder: Path, source: Path, server: Sink) -> None:
        self.scenario = scenario
        self.source = source
        self.server = server
        kind = socket.SOCK_DGRAM if scenario.feed == "udp" else socket.SOCK_STREAM
        self.port = free_port(kind) if scenario.feed != "file" else 0
        self.folder = folder
        self.wanted = expected(source, scenario)
        self.counts: list[LineCount] = []

    def __call__(self, agent: Agent, follow: bool = False) -> Usage:
        """One run to its end, timed and checked; stopped when everything is out where the agent would go on for ever."""
        scenario = self.scenario
        wait = WAIT if scenario.daemon else None
        job = Job(scenario, self.folder, self.source, self.server.port, self.port, follow, wait)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.server("POST", "/reset")
        self.counts = [LineCount(job.out(route)) for route in scenario.routes]
        said: dict[str, float] = {}
        dropped: int | None = None
        with started(agent, job) as process:
            if not agent.ends(job):
                wait_for(process, lambda: agent.ready(job), 0.02)
            self._send(agent, job, process)
            if not agent.ends(job):
                out: Callable[[], bool] = self._settled() if scenario.feed == "udp" else lambda: self._out(agent, job)
                wait_for(process, out, 0.2)
                said, dropped = agent.says(job), kernel_drops(self.port) if scenario.feed == "udp" else None
                process.terminate()
            process.wait(PATIENCE)
        lost = self.wanted[0] - self.counts[0]() if scenario.feed == "udp" else 0
        found = usage(agent, job, lost, said)
        self._check(job, found, dropped)
        return found

    def _send(self, agent: Agent, job: Job, process: subprocess.Popen[bytes]) -> None:
        """All lines, as soon as somebody listens."""
        feed, port = self.scenario.feed, self.port
        if feed == "tcp":
            send_stream(wait_for(process, lambda: connected(port), 0.02), self.source)
        elif feed == "http":
            with wait_for(process, lambda: connected(port), 0.02):  # held: the floor ends with its last connection
                post_all(port, self.source)
        elif feed == "udp":
            wait_for(process, lambda: udp_row(port), 0.02)
            send_datagrams(port, self.source)
            while agent.ends(job) and process.poll() is None:
                send_end(port)
                time.sleep(0.05)

    def _settled(self) -> Callable[[], bool]:
        """Whether everything came out, or nothing more has for a while."""
        last, since = -1, time.monotonic()

        def settled() -> bool:
            nonlocal last, since
            came = self.counts[0]()
            if came != last:
                last, since = came, time.monotonic()
            return came >= self.wanted[0] or time.monotonic() - since > QUIET

        return settled

    def _out(self, agent: Agent, job: Job) -> bool:
        report = self.server("GET", "/report") if any(route.to_server for route in self.scenario.routes) else {}
        for route, count, lines in zip(self.scenario.routes, self.wanted, self.counts, strict=True):
            if route.to == "nothing":
                came = agent.delivered(job) or 0
                if came > count:
                    raise Wrong(f"{count} events were to come, {agent.name} delivered {came}")
            else:
                came = report[route.to]["events"] if route.to_server else lines()
            if came < count:
                return False
        return True

    def _check(self, job: Job, found: Usage, dropped: int | None) -> None:
        scenario = self.scenario
        if scenario.feed == "udp" and self.wanted[0]:
            check_lossy(self.source, job.out(scenario.routes[0]))
            counted = found.said.get("kernel_drops", 0), found.said.get("own_drops", 0)
            if found.said and counted[0] != (dropped or 0):
                raise Wrong(f"the kernel dropped {dropped} datagrams, the agent counted {counted[0]:.0f}")
            if found.said and sum(counted) != found.lost:
                raise Wrong(f"{found.lost} datagrams were lost, the agent counted {sum(counted):.0f}")
            return
        numbers = wanted(self.source, scenario.parse, tuple(route.where for route in scenario.routes))
        report = self.server("GET", "/report")
        for route, only, count in zip(scenario.routes, numbers, self.wanted, strict=True):
            if route.to == "file" and scenario.feed == "http" and count:
                check_numbered(scenario.parse, self.source, job.out(route), count)
            elif route.to == "file" and any(self.wanted):
                check_file(scenario.parse, self.source, job.out(route), only)
            elif route.to_server:
                check_samples(scenario.parse, self.source, report[route.to], count)
