"""Run a scenario, once, with the agent or with the bare floor: time it as a child, then check what came out."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.check import LineCount, Wrong, check_file, check_samples
from bench.scenarios import Scenario

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
PATIENCE = 600.0  # seconds for one run
# Bytecode is kept: an installed agent has it, and compiling it at each start would be timed as start-up.
ENV = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT)}
SENT = re.compile(r'^shipper_output_events_total\{output="out"\} (\d+)', re.MULTILINE)


@dataclass(frozen=True)
class Usage:
    """What one run took: seconds of CPU (user + system), seconds on the wall, peak memory in bytes."""

    cpu: float
    wall: float
    rss: int


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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(process: subprocess.Popen[bytes], done: Callable[[], T | None], pause: float) -> T:
    """Wait until `done` gives something true; Wrong when the process ends first or the time is over."""
    end = time.monotonic() + PATIENCE
    while not (found := done()):
        if process.poll() is not None or time.monotonic() > end:
            raise Wrong("it ended, or stood still, before everything had come out")
        time.sleep(pause)
    return found


def connected(port: int) -> socket.socket | None:
    with contextlib.suppress(OSError):
        return socket.create_connection(("127.0.0.1", port), 5)
    return None


class Run:
    """One run in a folder of its own, which is emptied first."""

    def __init__(self, scenario: Scenario, folder: Path, source: Path, lines: int, server: Sink) -> None:
        self.scenario = scenario
        self.folder = folder
        self.source = source
        self.lines = lines
        self.server = server
        self.out = folder / "out.ndjson"
        self.target = str(server.port) if scenario.to_server else str(self.out)
        self.written = LineCount(self.out)
        self.port = free_port() if scenario.by_tcp else 0

    def agent(self) -> Usage:
        """`shipper run`, to its end; stopped when everything is out where it would go on for ever."""
        scenario, config = self.scenario, self.folder / "shipper.json"
        feed = f"tcp://127.0.0.1:{self.port}" if scenario.by_tcp else str(self.source)
        self._clear()
        config.write_text(json.dumps(scenario.config(feed, self.target, str(self.folder / "data"))))
        once = [] if scenario.daemon else ["--once"]
        return self._timed([sys.executable, "-m", "shipper", "run", *once, "-c", str(config)], stops=scenario.daemon)

    def floor(self) -> Usage:
        """The bare floor; it always ends by itself."""
        scenario = self.scenario
        self._clear()
        source = f"tcp:{self.port}" if scenario.by_tcp else str(self.source)
        script = str(ROOT / "bench" / "floor.py")
        return self._timed([sys.executable, script, scenario.parse, scenario.write, source, self.target], stops=False)

    def _clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.server("POST", "/reset")

    def _timed(self, command: list[str], stops: bool) -> Usage:
        result, log = self.folder / "usage.json", self.folder / "log"
        argv = [sys.executable, "-I", "-S", str(ROOT / "bench" / "timed.py"), str(result), *command]
        with (
            log.open("wb") as said,
            subprocess.Popen(
                argv, cwd=self.folder, env=ENV, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            ) as process,
        ):
            try:
                if self.scenario.by_tcp:
                    self._send(process)
                if stops:
                    wait_for(process, self._everything_is_out, 0.2)
                    process.terminate()
                process.wait(PATIENCE)
            except BaseException:
                process.terminate()
                raise
        usage = json.loads(result.read_text())
        if usage["status"] != 0:
            raise Wrong(f"{' '.join(command)} ended with {usage['status']}:\n{log.read_text()[-2000:]}")
        self._check()
        return Usage(usage["cpu"], usage["wall"], usage["rss"])

    def _send(self, process: subprocess.Popen[bytes]) -> None:
        """All lines over one connection, as soon as somebody listens."""
        connection = wait_for(process, lambda: connected(self.port), 0.02)
        with connection, self.source.open("rb") as file:
            connection.sendfile(file)

    def _everything_is_out(self) -> bool:
        if self.scenario.write == "file" and self.written() < self.lines:
            return False
        with contextlib.suppress(OSError):  # not there yet, or not ready
            api = (self.folder / "data" / "api").read_text().strip()
            urllib.request.urlopen(f"{api}/readyz", timeout=30).close()
            with urllib.request.urlopen(f"{api}/metrics", timeout=30) as response:
                sent = SENT.search(response.read().decode())
            return sent is not None and int(sent[1]) >= self.lines
        return False

    def _check(self) -> None:
        scenario = self.scenario
        if scenario.write == "file" and self.lines:
            check_file(scenario.parse, self.source, self.out, self.lines)
        elif scenario.to_server:
            check_samples(scenario.parse, self.source, self.server("GET", "/report"), self.lines)
